//! Observation of a run: status, Kubernetes Events, metrics, the loopback address and the log.

pub(crate) mod event_recorder;
pub(crate) mod loopback;
pub(crate) mod metrics;
pub(crate) mod run_events;
pub(crate) mod run_id;
pub(crate) mod run_log;
pub(crate) mod status_publisher;
pub(crate) mod status_snapshots;

pub use loopback::{LoopbackView, serve_locally, serve_metrics};
pub use run_log::RunLog;
