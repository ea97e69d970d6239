//! `sono run`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Cluster, Preflight, Recording, RunFlags, WaitOutput, WaitTime};

const EXAMPLES: &str = "\
Examples:
  sono run --mode quick --rm             quick test: verdict, archive, clean-up
  sono run host-check --wait             check all nodes
  sono run -p my-plugin.yaml --dry-run   check the plugin, create nothing
  sono run --local                       check this machine, without a cluster";

/// `sono run`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Run {
    /// Plugins to run, same as --plugin
    #[arg(value_name = "PLUGIN", conflicts_with = "file")]
    pub names: Vec<String>,
    #[command(flatten)]
    pub flags: RunFlags,
    #[command(flatten)]
    pub cluster: Cluster,
    /// Manifest to apply, written by `sono gen` or Sonobuoy; - reads standard input
    #[arg(short, long, value_name = "FILE", hide_short_help = true)]
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub preflight: Preflight,
    /// Wait until the run is complete: a duration such as 30m, or a number of minutes; 0 does not wait [without TIME: 24h]
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "24h", help_heading = "Waiting")]
    pub wait: Option<WaitTime>,
    /// Output while waiting
    #[arg(long, value_enum, ignore_case = true, default_value_t = WaitOutput::from_environment(), help_heading = "Waiting", hide_short_help = true)]
    pub wait_output: WaitOutput,
    /// Exit with a code for the outcome; requires --wait, --rm or --local.
    ///
    /// 3: a result failed, 4: a result is unknown, 5: the run failed, 6: the run is still active at the time limit.
    #[arg(long, help_heading = "Waiting")]
    pub exit_code: bool,
    /// Print the objects and check the cluster and your permissions, without creating anything
    #[arg(long, conflicts_with_all = ["wait", "rm", "exit_code"])]
    pub dry_run: bool,
    /// Plant random values, search the archive for them and remove them; exit code 3 if one that is in a Secret was found.
    ///
    /// They are in a Secret, a ConfigMap with an annotation, an Event, and the variables, arguments, log and result of a
    /// plugin; with `cluster` also in a custom resource. Waits for the run and retrieves its archive, as --rm does.
    #[arg(long, value_enum, value_name = "SCOPE", ignore_case = true, num_args = 0..=1, require_equals = true, default_missing_value = "namespace", conflicts_with_all = ["file", "dry_run"], help_heading = "Waiting", hide_short_help = true)]
    pub canaries: Option<Canaries>,
    /// Wait for the run, retrieve its archive into the current directory, then delete the run
    #[arg(long, conflicts_with = "local")]
    pub rm: bool,
    #[command(flatten)]
    pub archive: RunArchive,
    /// Run plugins as local processes, without a cluster
    #[arg(long)]
    pub local: bool,
}

/// What is done with the archive of a complete run.
#[derive(Debug, Args)]
pub struct RunArchive {
    /// With --rm: number of archives to retain in the current directory, newest first
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..), requires = "rm", hide_short_help = true)]
    pub keep: Option<u32>,
    /// With --rm: also write a report about the run, one HTML file
    #[arg(long, value_name = "FILE", requires = "rm", hide_short_help = true)]
    pub report: Option<PathBuf>,
    /// With --rm: accepted failures, which --exit-code ignores
    #[arg(long, value_name = "FILE", requires = "rm", hide_short_help = true)]
    pub waivers: Option<PathBuf>,
    #[command(flatten)]
    pub recording: Recording,
}

/// Where canaries are planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Canaries {
    /// In the run's namespace.
    Namespace,
    /// Also in a custom resource, of which the definition belongs to the cluster.
    Cluster,
}
