//! The server inside the cluster: it starts plugins, collects their results over mutual TLS, queries the cluster,
//! post-processes and packs one archive.
//!
//! [`run`] decides, everything else acts. It knows neither what a result file means (`sono-results`) nor how an object
//! looks (`sono-manifest`), and it does not start workers: they come to it.

mod begin;
mod claim;
mod clock;
mod cluster;
mod connections;
mod desk;
mod disposition;
mod driver;
mod engine;
mod finish;
mod http;
mod journal;
mod keeper;
mod local;
mod metrics;
mod names;
mod partial;
mod program;
mod progress_file;
mod publish;
mod room;
pub mod run;
mod run_id;
mod run_log;
mod settings;
mod shortage;
mod small;
mod snapshots;
mod spool;
mod story;
mod teller;
mod upload;

pub use clock::{Clock, system_clock};
pub use cluster::{ClusterSite, SiteError, query::query as query_cluster};
pub use disposition::file_name as disposition_file_name;
pub use driver::{Checkpoint, Driver, Launch, Report, Site, Vault, VaultError, Version};
pub use engine::{Addresses, Finished, RunError, Setup, run as run_to_the_end};
pub use journal::JournalError;
pub use local::{View, serve_locally, serve_metrics};
pub use program::program;
pub use run_log::RunLog;
pub use settings::{Settings, SettingsError};
pub use story::Note;
pub use teller::Untold;
