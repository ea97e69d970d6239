//! `sono status`.

use clap::Args;

use super::Place;

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
