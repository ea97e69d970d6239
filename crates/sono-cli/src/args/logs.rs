//! `sono logs`.

use std::{str::FromStr, time::Duration};

use clap::{Args, builder::NonEmptyStringValueParser};
use sono_types::go_duration;

use super::RunLocation;

/// `sono logs`
#[derive(Debug, Args)]
pub struct Logs {
    #[command(flatten)]
    pub location: RunLocation,
    /// ID of the run [default: the newest in the namespace]
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub run: Option<String>,
    /// Print only logs of this plugin; `sonobuoy` is the aggregator
    #[arg(short, long, value_name = "NAME")]
    pub plugin: Option<String>,
    /// Follow the logs until the run is complete
    #[arg(short, long)]
    pub follow: bool,
    /// Print only lines newer than this: 90s, 10m, 2h
    #[arg(long, value_name = "DURATION")]
    pub since: Option<Since>,
    /// Print only the last LINES lines of each container
    #[arg(long, value_name = "LINES", value_parser = clap::value_parser!(i64).range(0..))]
    pub tail: Option<i64>,
    /// Prefix each line with its timestamp
    #[arg(long)]
    pub timestamps: bool,
    /// Print only logs of containers that ended with an error, including restarted ones
    #[arg(long, conflicts_with = "follow")]
    pub failed: bool,
}

/// Maximum age of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since(pub Duration);

impl FromStr for Since {
    type Err = go_duration::DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        go_duration::parse(text).map(Self)
    }
}
