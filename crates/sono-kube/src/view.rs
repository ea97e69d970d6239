//! The few fields of watched objects that a run judges: what a watch holds of ten thousand pods is this and nothing else.
//!
//! Labels, annotations, managed fields, volumes and environments are skipped while an object is read. Texts that repeat
//! from pod to pod are held once.

mod partial;
mod pod;
mod strings;

use jiff::Timestamp;
use serde::Deserialize;

pub(crate) use self::{
    partial::{Partial, SetStatus},
    pod::{ConditionView, ContainerState, ContainerView, Ended, PartialPod},
};
pub use self::{
    pod::PodView,
    strings::{Strings, Text},
};

/// A DaemonSet as its controller describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SetView {
    /// `metadata.uid`.
    pub uid: String,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// Version of what is asked for.
    pub generation: Option<i64>,
    /// The version that the status is about.
    pub observed: Option<i64>,
    /// Nodes that should have a pod.
    pub desired: u64,
    /// Nodes that should have a pod and have one.
    pub current: u64,
}

impl SetView {
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

/// An event of the core group.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "partial::Event")]
pub struct EventView {
    /// `metadata.uid` of the object that it is about.
    pub about: String,
    /// One word.
    pub reason: String,
    /// The first KiB of it.
    pub message: String,
    /// When it happened last.
    pub at: Option<Timestamp>,
}

/// Whether a node answers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "partial::Node")]
pub struct NodeView {
    /// Its name.
    pub name: String,
    /// Since when its condition `Ready` is something else than `True`; `None` where it is, or where nothing is known.
    pub unready_since: Option<Timestamp>,
}

#[cfg(test)]
mod tests;
