//! The Kubernetes API client, and verdicts about pods.
//!
//! [`Cluster`] has the requests; most kinds are known at compile time and need no discovery. [`judge`] and [`stuck`]
//! are pure: they take the view of a pod and a time. This crate does not know what the objects mean to a run.

mod bounded;
mod certificate;
mod client;
mod collection;
mod connect;
mod deletion;
mod elapsed;
mod error;
mod forward;
mod image;
pub mod judge;
mod kind;
mod output;
pub mod query;
mod stall;
mod streams;
pub mod stuck;
mod view;
mod watch;

pub use client::{Cluster, Deleted};
pub use collection::Collection;
pub use connect::{Connection, Environment, check_credential, check_kubeconfig};
pub use elapsed::elapsed;
pub use error::{Cause, KubeError};
pub use forward::Forwarded;
pub use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
pub use kind::Kind;
pub use output::FailedOutput;
pub use streams::{ExecOutcome, ExecStream, LogOptions};
pub use view::{DaemonSetView, EventView, NodeView, PodView, StringPool, Text};
pub use watch::WatchEvent;
