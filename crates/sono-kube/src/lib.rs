//! The one crate that talks to the Kubernetes API server, and what pods say about themselves.
//!
//! [`Cluster`] holds the verbs; kinds are known beforehand, so that nothing is discovered at run time. [`judge`] and
//! [`stuck`] are pure: they read the view of a pod and a time. It does not know what the objects mean to a run.

mod bounded;
mod certificate;
mod client;
mod collection;
mod connect;
mod elapsed;
mod error;
mod forward;
mod image;
pub mod judge;
mod kind;
pub mod query;
pub mod redact;
mod stall;
mod streams;
pub mod stuck;
mod view;
mod watch;

pub use client::{Cluster, Deleted};
pub use collection::Collection;
pub use connect::{Connection, Environment, check_kubeconfig};
pub use elapsed::elapsed;
pub use error::{Cause, KubeError};
pub use forward::Forwarded;
pub use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
pub use kind::Kind;
pub use streams::{ExecOutcome, ExecStream, LogOptions};
pub use view::{EventView, NodeView, PodView, SetView, Strings, Text};
pub use watch::WatchEvent;
