//! `sono logs`.

use std::path::PathBuf;

use clap::{Args, builder::NonEmptyStringValueParser};

use super::{RunLocation, Seconds};

const EXAMPLES: &str = "\
Examples:
  sono logs -f                           follow all logs of a run
  sono logs host-check --tail 20         the last lines of a plugin
  sono logs --failed                     only containers that ended with an error
  sono logs --archive ARCHIVE --failed   the same from an archive";

/// `sono logs`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Logs {
    #[command(flatten)]
    pub location: RunLocation,
    /// ID of the run [default: the newest in the namespace]
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub run: Option<String>,
    /// Print only logs of this plugin; `sonobuoy` is the aggregator
    #[arg(short, long, value_name = "NAME", conflicts_with = "name")]
    pub plugin: Option<String>,
    /// Same as --plugin
    #[arg(value_name = "PLUGIN")]
    pub name: Option<String>,
    /// Follow the logs until the run is complete
    #[arg(short, long)]
    pub follow: bool,
    /// Print only lines newer than this: a duration such as 10m, or a number of seconds
    #[arg(long, value_name = "TIME")]
    pub since: Option<Seconds>,
    /// Print only the last LINES lines of each container
    #[arg(long, value_name = "LINES", value_parser = clap::value_parser!(i64).range(0..))]
    pub tail: Option<i64>,
    /// Prefix each line with its timestamp
    #[arg(long)]
    pub timestamps: bool,
    /// Print only logs of pods on this node
    #[arg(long, value_name = "NAME", conflicts_with = "follow")]
    pub node: Option<String>,
    /// Read the logs from this archive, or from a directory with an extracted archive, instead of a cluster
    #[arg(long, value_name = "ARCHIVE", conflicts_with_all = ["follow", "since", "timestamps", "run"])]
    pub archive: Option<PathBuf>,
    /// Print only logs of containers that ended with an error, including restarted ones
    #[arg(long, conflicts_with = "follow")]
    pub failed: bool,
}
