//! `sono logs`.

use clap::Args;

use super::Place;

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
