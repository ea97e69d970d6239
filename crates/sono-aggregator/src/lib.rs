//! The server inside the cluster: it starts plugins, collects their results over mutual TLS, queries the cluster,
//! post-processes and packs one archive.
//!
//! `sono-run` decides, everything here acts. It knows neither what a result file means (`sono-results`) nor how an object
//! looks (`sono-manifest`), and it does not start workers: they connect to it.

mod backend;
mod clock;
mod cluster;
mod connections;
mod coordinator;
mod durability;
mod error;
mod handle;
mod ingest;
mod observe;
mod program;
mod settings;
#[cfg(test)]
mod test_run;

pub use backend::{
    Addresses, Backend, BackendError, CheckpointStore, CheckpointStoreError, Driver, EventError, Launch, Report,
    RunEvent, StoredCheckpoint, Version,
};
pub use clock::{Clock, system_clock};
pub use cluster::{
    ClusterBackend, ClusterError,
    query::{AtStart, SecretValues, query as query_cluster, read_known},
};
pub use coordinator::{FinishedRun, Setup, execute_run};
pub use error::{JournalError, RecordError, RunError};
pub use ingest::disposition_file_name;
pub use observe::{LoopbackView, RunLog, serve_locally, serve_metrics};
pub use program::program;
pub use settings::{Settings, SettingsError};
