//! Arguments, as clap reads them. Nothing is done here.

mod changes;
pub(crate) mod flags_first;
mod images;
mod wait;

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use sono_types::constants;

pub use changes::{Changes, Pair};
pub use images::{
    Images, ImagesAccess, ImagesAction, ImagesDelete, ImagesDownload, ImagesInspect, ImagesList, ImagesOutput,
    ImagesPlatforms, ImagesPull, ImagesPush, ImagesRenamed, ImagesStore, ImagesWanted,
};
pub use wait::WaitTime;

/// Runs diagnostic and conformance plugins on a Kubernetes cluster, or on this machine, and brings home one archive of
/// results.
#[derive(Debug, Parser)]
#[command(name = "sono", disable_version_flag = true, arg_required_else_help = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Flags of all commands.
    #[command(flatten)]
    pub common: Common,
}

/// Flags of all commands.
#[derive(Debug, Args)]
pub struct Common {
    /// How much is logged, here and by the aggregator
    #[arg(long, global = true, default_value = "info", value_name = "LEVEL",
        value_parser = ["panic", "fatal", "error", "warn", "warning", "info", "debug", "trace"])]
    pub level: String,
    #[command(flatten)]
    klog: Klog,
}

/// Flags of Kubernetes' logging library, which scripts pass to Sonobuoy; they have no effect there either.
#[derive(Debug, Args)]
struct Klog {
    #[arg(long = "v", short = 'v', hide = true, global = true)]
    verbosity: Option<String>,
    #[arg(long, hide = true, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    logtostderr: Option<String>,
    #[arg(long, hide = true, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    alsologtostderr: Option<String>,
    #[arg(long = "add_dir_header", hide = true, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    add_dir_header: Option<String>,
    #[arg(long = "skip_headers", hide = true, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    skip_headers: Option<String>,
    #[arg(long = "skip_log_headers", hide = true, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    skip_log_headers: Option<String>,
    #[arg(long, hide = true, global = true)]
    stderrthreshold: Option<String>,
    #[arg(long, hide = true, global = true)]
    vmodule: Option<String>,
    #[arg(long = "log_dir", hide = true, global = true)]
    log_dir: Option<String>,
    #[arg(long = "log_file", hide = true, global = true)]
    log_file: Option<String>,
    #[arg(long = "log_file_max_size", hide = true, global = true)]
    log_file_max_size: Option<String>,
    #[arg(long = "log_backtrace_at", hide = true, global = true)]
    log_backtrace_at: Option<String>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a run
    Run(Run),
    /// Print what `run` would create, as YAML
    Gen(Gen),
    /// Show how far the run is
    Status(Status),
    /// Wait until the run is complete
    Wait(Wait),
    /// Print the logs of aggregator and plugins
    Logs(Logs),
    /// Fetch the archive of a complete run
    Retrieve(Retrieve),
    /// Show what an archive says
    Results(Results),
    /// Remove everything that a run created
    Delete(Delete),
    /// List, copy and inspect the images that a run needs, without a container engine
    Images(Box<Images>),
    /// List the named choices of Kubernetes tests, for --mode
    Modes(Modes),
    /// Print the version
    Version(Version),
    /// Be the built-in plugin that checks a host.
    #[command(hide = true, disable_help_flag = true)]
    HostCheck(HostCheck),
}

/// Which cluster.
#[derive(Debug, Clone, Args)]
pub struct Cluster {
    /// Path of a kubeconfig; otherwise KUBECONFIG, ~/.kube/config, or the pod's own account
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; otherwise its current one
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

/// Which run.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// Namespace of the run
    #[arg(short, long, default_value = constants::DEFAULT_NAMESPACE)]
    pub namespace: String,
    #[command(flatten)]
    pub cluster: Cluster,
}

/// What to run, and how.
#[derive(Debug, Clone, Args)]
pub struct Plan {
    /// A plugin: a file, a directory of files, or the name of a built-in one (e2e, host-check, systemd-logs); may be
    /// given more than once [default: e2e and systemd-logs; with --local host-check]
    #[arg(short, long = "plugin", value_name = "PLUGIN")]
    pub plugins: Vec<String>,
    /// Namespace of the run [default: sonobuoy]
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// Seconds that each plugin may take; 0 means no limit [default: 21600]
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
    /// Image of both aggregator and worker
    #[arg(long, value_name = "IMAGE")]
    pub sonobuoy_image: Option<String>,
    /// Image of the aggregator
    #[arg(long, value_name = "IMAGE")]
    pub aggregator_image: Option<String>,
    /// Image of the worker
    #[arg(long, value_name = "IMAGE")]
    pub worker_image: Option<String>,
    /// When images of aggregator and workers are pulled [default: IfNotPresent]
    #[arg(long, value_name = "POLICY", value_parser = ["Always", "IfNotPresent", "Never"], ignore_case = true)]
    pub image_pull_policy: Option<String>,
    /// What the aggregator may do; all but clusterAdmin use a namespace that is there [default: clusterAdmin]
    #[arg(long, value_name = "MODE", value_parser = ["clusterAdmin", "clusterRead", "namespaceAdmin"])]
    pub aggregator_permissions: Option<String>,
    /// A JSON file with the run's configuration; flags come before it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Version that plugins are told, and that $SONOBUOY_K8S_VERSION in their images stands for [default: the cluster's]
    #[arg(long, value_name = "VERSION")]
    pub kubernetes_version: Option<String>,
    #[command(flatten)]
    pub changes: Changes,
}

/// `sono run`
#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    pub plan: Plan,
    #[command(flatten)]
    pub cluster: Cluster,
    /// Wait until the run is complete; minutes, or a duration such as 30m [bare: 1440]
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "1440")]
    pub wait: Option<WaitTime>,
    /// What is shown while waiting
    #[arg(long, value_enum, ignore_case = true, default_value_t = WaitOutput::Progress)]
    pub wait_output: WaitOutput,
    /// Run on this machine, without a cluster: plugins become processes
    #[arg(long)]
    pub local: bool,
}

/// `sono gen`
#[derive(Debug, Args)]
pub struct Gen {
    #[command(flatten)]
    pub plan: Plan,
    #[command(flatten)]
    pub cluster: Cluster,
}

/// What is shown while waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WaitOutput {
    /// Nothing but the end.
    Silent,
    /// As progress.
    Spinner,
    /// What happens: bars on a terminal, a line for each change elsewhere.
    Progress,
}

/// `sono status`
#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    pub place: Place,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    /// One row for each plugin and node
    #[arg(long)]
    pub show_all: bool,
}

/// `sono wait`
#[derive(Debug, Args)]
pub struct Wait {
    #[command(flatten)]
    pub place: Place,
    /// How long; minutes, or a duration such as 30m
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_value = "1440", default_missing_value = "1440")]
    pub wait: WaitTime,
    /// What is shown while waiting
    #[arg(long, value_enum, ignore_case = true, default_value_t = WaitOutput::Progress)]
    pub wait_output: WaitOutput,
}

/// `sono logs`
#[derive(Debug, Args)]
pub struct Logs {
    #[command(flatten)]
    pub place: Place,
    /// Only this plugin; `sonobuoy` is the aggregator
    #[arg(short, long, value_name = "NAME")]
    pub plugin: Option<String>,
    /// Go on until the run is complete
    #[arg(short, long)]
    pub follow: bool,
}

/// `sono retrieve`
#[derive(Debug, Args)]
pub struct Retrieve {
    /// Directory to put it into
    #[arg(default_value = ".")]
    pub path: PathBuf,
    #[command(flatten)]
    pub place: Place,
    /// Another name for the file, relative to the directory
    #[arg(short, long, value_name = "NAME")]
    pub filename: Option<PathBuf>,
    /// Extract it into the directory instead of keeping it
    #[arg(short = 'x', long)]
    pub extract: bool,
    /// Where the aggregator keeps archives
    #[arg(long, value_name = "DIRECTORY", default_value = constants::AGGREGATOR_DIR)]
    pub retrieve_path: String,
}

/// `sono results`
#[derive(Debug, Args)]
pub struct Results {
    /// The archive, or the directory that it was extracted to
    pub archive: PathBuf,
    /// Only this plugin; `sonobuoy` is the cluster's health
    #[arg(short, long, value_name = "NAME")]
    pub plugin: Option<String>,
    /// How much
    #[arg(short, long, value_enum, default_value_t = ResultsMode::Report)]
    pub mode: ResultsMode,
    /// Only this node, or whatever else in the tree has that name
    #[arg(short, long, value_name = "NAME")]
    pub node: Option<String>,
    /// No prefix in front of files in the detailed mode
    #[arg(short, long)]
    pub skip_prefix: bool,
}

/// How much `results` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ResultsMode {
    /// Counts, and what failed.
    Report,
    /// A line of JSON for each item, or its file.
    Detailed,
    /// As dump, with line breaks and tabs as such.
    Readable,
    /// The stored YAML.
    Dump,
}

/// `sono delete`
#[derive(Debug, Args)]
pub struct Delete {
    #[command(flatten)]
    pub place: Place,
    /// Wait until all is gone; minutes, or a duration such as 30m [bare: 60]
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "60")]
    pub wait: Option<WaitTime>,
    /// Also the roles of all other runs, and namespaces that e2e tests left behind
    #[arg(long)]
    pub all: bool,
}

/// `sono modes`
#[derive(Debug, Args)]
pub struct Modes {
    /// Whole values, however long
    #[arg(long)]
    pub verbose: bool,
}

/// `sono version`
#[derive(Debug, Args)]
pub struct Version {
    /// Only the version
    #[arg(long)]
    pub short: bool,
    #[command(flatten)]
    pub cluster: Cluster,
}

/// `sono host-check`
#[derive(Debug, Args)]
pub struct HostCheck {
    /// Its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<OsString>,
}
