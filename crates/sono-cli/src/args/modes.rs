//! `sono modes`.

use clap::Args;

/// `sono modes`
#[derive(Debug, Args)]
pub struct Modes {
    /// Whole values, however long
    #[arg(long)]
    pub verbose: bool,
}
