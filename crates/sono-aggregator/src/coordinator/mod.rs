//! The task that owns the run: start-up, loop, end.

mod finalize;
mod names;
mod run;
mod startup;

pub use run::{Finished, Setup, run as run_to_the_end};
