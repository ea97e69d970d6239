//! The wire and disk contract of sono: names, routes, limits, status, progress, configuration, result items and archive
//! layout, exactly as Sonobuoy's plugins, archives and scripts know them.
//!
//! It uses no files, sockets, environment or clock. Definitions on which two crates must agree are here.
#![warn(missing_docs)]

pub mod archive_name;
pub mod canary;
pub mod config;
pub mod constants;
pub mod containers;
pub mod count;
pub mod env;
pub mod error_chain;
pub mod exit;
pub mod files;
pub mod fold;
pub mod go_duration;
pub mod go_regex;
pub mod ids;
pub mod item;
pub mod layout;
pub mod limits;
pub mod progress;
pub mod routes;
pub mod shorten;
pub mod status;
pub mod text;
pub mod worker;
pub mod yaml;

pub use archive_name::{ArchiveName, ArchiveNameError};
pub use config::Config;
pub use containers::ContainersState;
pub use error_chain::{SharedError, error_chain};
pub use files::ResultFiles;
pub use fold::fold as fold_status;
pub use ids::{NodeName, PluginName, ResultKey, RunId, SessionId, Target};
pub use item::{Item, ResultFormat};
pub use limits::UploadLimits;
pub use progress::ProgressUpdate;
pub use shorten::shortened;
pub use status::{LeftOut, OverallStatus, PluginStatus, RunStatus, TarInfo};
pub use worker::WorkerConfig;
