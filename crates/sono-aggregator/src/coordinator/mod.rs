//! The task that owns the run: start-up, loop, end.

mod event_loop;
mod finalize;
mod launcher;
mod names;
mod requests;
mod run;
mod server;
mod startup;
mod tasks;
mod wake;

pub use run::{FinishedRun, Setup, execute_run};
