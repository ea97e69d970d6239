//! Runs without a cluster: the aggregator and the workers in this process, connected by mutual TLS on loopback, and
//! plugins as local processes.
//!
//! It only translates a plugin's containers to processes ([`translate`]); protocol, ledger, post-processing and archive
//! are those of the aggregator.

mod builtin;
mod driver;
mod observer;
mod process;
mod run;
mod translate;

pub use builtin::host_check;
pub use driver::NOT_STARTED;
pub use observer::{Observer, ProgramExit};
pub use run::{LocalError, Options, run};
pub use sono_aggregator::{
    AtStart, FinishedRun, RunError, RunLog, SecretValues, program as aggregator_program, query_cluster, read_known,
    system_clock,
};
pub use sono_worker::{ProgressPost, main_with_args as worker_program};
pub use translate::{Place, Program, Unsupported, translate};
