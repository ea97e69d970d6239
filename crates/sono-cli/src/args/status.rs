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
    /// End with a code that tells the outcome: 3 something failed, 4 not known to have passed, 5 the run failed, 7 not complete yet
    #[arg(long)]
    pub exit_code: bool,
}
