//! `sono modes`.

use clap::Args;

/// `sono modes`
#[derive(Debug, Args)]
pub struct Modes {
    /// Print values in full
    #[arg(long)]
    pub verbose: bool,
}
