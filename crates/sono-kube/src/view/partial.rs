//! Partially parsed objects, from which the views are made.

use std::{borrow::Cow, fmt::Debug};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::{
    Resource,
    core::{ApiResource, DynamicResourceScope},
};
use serde::{Deserialize, Deserializer};

use super::{EventView, NodeView, pod::cut};

/// An object with parts of its specification and status.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Partial<S, T> {
    #[serde(default, deserialize_with = "head")]
    pub(super) metadata: ObjectMeta,
    #[serde(default = "none")]
    pub(super) spec: Option<S>,
    #[serde(default = "none")]
    pub(super) status: Option<T>,
}

fn none<T>() -> Option<T> {
    None
}

impl<S, T> Resource for Partial<S, T> {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// Metadata without labels, annotations and managed fields.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    name: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
}

fn head<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let head = Option::<Head>::deserialize(deserializer)?.unwrap_or_default();
    Ok(ObjectMeta {
        name: head.name,
        uid: head.uid,
        resource_version: head.resource_version,
        generation: head.generation,
        creation_timestamp: head.creation_timestamp,
        deletion_timestamp: head.deletion_timestamp,
        ..ObjectMeta::default()
    })
}

/// Parts of a DaemonSet's status.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SetStatus {
    pub(super) observed_generation: Option<i64>,
    pub(super) desired_number_scheduled: Option<i64>,
    pub(super) current_number_scheduled: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Event {
    involved_object: Option<Head>,
    reason: Option<String>,
    message: Option<String>,
    series: Option<Series>,
    // Some recorders omit some of these fields or leave them empty.
    last_timestamp: Option<String>,
    #[serde(rename = "eventTime")]
    time: Option<String>,
    metadata: Option<Created>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Series {
    last_observed_time: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    creation_timestamp: Option<String>,
}

impl From<Event> for EventView {
    fn from(event: Event) -> Self {
        let times = [
            event.series.and_then(|series| series.last_observed_time),
            event.last_timestamp,
            event.time,
            event.metadata.and_then(|metadata| metadata.creation_timestamp),
        ];
        Self {
            about: event.involved_object.and_then(|object| object.uid).unwrap_or_default(),
            reason: event.reason.unwrap_or_default(),
            message: cut(&event.message.unwrap_or_default()).to_owned(),
            at: times
                .into_iter()
                .flatten()
                .find_map(|time| time.parse::<Timestamp>().ok()),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Node {
    metadata: Option<Named>,
    status: Option<NodeStatus>,
}

#[derive(Deserialize)]
struct Named {
    name: Option<String>,
}

#[derive(Deserialize)]
struct NodeStatus {
    conditions: Option<Vec<NodeCondition>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    last_transition_time: Option<String>,
}

impl From<Node> for NodeView {
    fn from(node: Node) -> Self {
        let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
        let ready = conditions.into_iter().find(|condition| condition.kind == "Ready");
        let since = ready.filter(|ready| ready.status != "True");
        Self {
            name: node.metadata.and_then(|metadata| metadata.name).unwrap_or_default(),
            unready_since: since.and_then(|ready| ready.last_transition_time?.parse().ok()),
        }
    }
}
