//! Small views of watched objects: the only data that a watch stores of ten thousand pods.
//!
//! Labels, annotations, managed fields, volumes and environment variables are skipped during parsing. Strings that
//! repeat from pod to pod are stored once.

mod partial;
mod pod;
mod string_pool;

use jiff::Timestamp;
use serde::Deserialize;

pub(crate) use self::{
    partial::{Partial, SetStatus},
    pod::{ConditionView, ContainerState, ContainerView, Ended, PartialPod},
};
pub use self::{
    pod::PodView,
    string_pool::{StringPool, Text},
};

/// The status of a DaemonSet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DaemonSetView {
    /// `metadata.uid`.
    pub uid: String,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// `metadata.generation`.
    pub generation: Option<i64>,
    /// `status.observedGeneration`.
    pub observed: Option<i64>,
    /// Nodes that should have a pod.
    pub desired: u64,
    /// Nodes that should have a pod and have one.
    pub current: u64,
}

impl DaemonSetView {
    pub(crate) fn of(set: Partial<serde::de::IgnoredAny, SetStatus>) -> Self {
        let status = set.status.unwrap_or_default();
        let count = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default();
        Self {
            uid: set.metadata.uid.unwrap_or_default(),
            created: set.metadata.creation_timestamp.map(|time| time.0),
            generation: set.metadata.generation,
            observed: status.observed_generation,
            desired: count(status.desired_number_scheduled),
            current: count(status.current_number_scheduled),
        }
    }
}

/// An Event of the core group.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "partial::Event")]
pub struct EventView {
    /// `metadata.uid` of the involved object.
    pub about: String,
    /// The reason, one word.
    pub reason: String,
    /// The first KiB of the message.
    pub message: String,
    /// When the Event last occurred.
    pub at: Option<Timestamp>,
}

/// The readiness of a node.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "partial::Node")]
pub struct NodeView {
    /// `metadata.name`.
    pub name: String,
    /// Since when the condition `Ready` has not been `True`; `None` if it is `True` or missing.
    pub unready_since: Option<Timestamp>,
}

#[cfg(test)]
mod tests;
