//! The sidecar that watches a plugin's results directory and uploads what the plugin names as its result
//! (core §3, §4).
//!
//! It knows the aggregator only by its addresses and routes, and Kubernetes only by a watch on its own pod, if it has
//! the permission. [`run`] has no globals and handles no signals, so a run without a cluster can have many workers in
//! one process. The program is [`main_with_args`].

mod containers;
mod content;
mod done;
mod error;
mod events;
mod gather;
mod ginkgo;
mod intervals;
mod live;
mod own_pod;
mod program;
mod relay;
mod retention;
mod run;
mod siblings;
mod submit;

pub use done::check_done_file;
pub use error::WorkerError;
pub use own_pod::watch_containers;
pub use program::main_with_args;
pub use relay::{ProgressPost, RelayListener};
pub use run::{Options, Sleep, WorkerOutcome, run, system_clock};
pub use sono_types::ContainersState;
