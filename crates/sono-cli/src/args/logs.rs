//! `sono logs`.

use std::{str::FromStr, time::Duration};

use clap::{Args, builder::NonEmptyStringValueParser};
use sono_types::go_duration;

use super::Place;

/// `sono logs`
#[derive(Debug, Args)]
pub struct Logs {
    #[command(flatten)]
    pub place: Place,
    /// Identity of the run; without it the newest one in the namespace
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub run: Option<String>,
    /// Only this plugin; `sonobuoy` is the aggregator
    #[arg(short, long, value_name = "NAME")]
    pub plugin: Option<String>,
    /// Go on until the run is complete
    #[arg(short, long)]
    pub follow: bool,
    /// Only lines that are not older: 90s, 10m, 2h
    #[arg(long, value_name = "DURATION")]
    pub since: Option<Since>,
    /// Only the last so many lines of each container
    #[arg(long, value_name = "LINES", value_parser = clap::value_parser!(i64).range(0..))]
    pub tail: Option<i64>,
    /// With the time in front of each line
    #[arg(long)]
    pub timestamps: bool,
    /// Only containers that ended with an error, those that were started again too
    #[arg(long, conflicts_with = "follow")]
    pub failed: bool,
}

/// How far back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since(pub Duration);

impl FromStr for Since {
    type Err = go_duration::DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        go_duration::parse(text).map(Self)
    }
}
