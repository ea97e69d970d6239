//! Watches of objects.

use std::{fmt::Debug, future::ready, time::Duration};

use futures::{Stream, StreamExt as _};
use kube::{
    Api, Resource,
    core::DynamicObject,
    runtime::{
        WatchStreamExt as _,
        utils::ResetTimerBackoff,
        watcher::{self, ExponentialBackoff, watcher},
    },
};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use crate::{
    Cluster, DaemonSetView, Kind, KubeError, Pod, PodView, StringPool,
    error::Cause,
    view::{Partial, PartialPod, SetStatus},
};

/// Objects per page of a list. The text of a page is in memory up to three times during parsing; a pod takes 5 to 30 kB
/// of it.
const PAGE: u32 = 100;

/// A change of the watched objects.
#[derive(Debug, Clone, PartialEq)]
pub enum WatchEvent<T> {
    /// All objects: at the start, and again when changes may have been missed. Objects that are missing here were
    /// deleted.
    Restarted(Vec<T>),
    /// The object was created or changed.
    Applied(T),
    /// The object was deleted; this is its last state.
    Deleted(T),
}

/// The objects to watch.
#[derive(Debug, Clone, Copy)]
enum Selected<'a> {
    Labels(&'a str),
    Name(&'a str),
}

impl Cluster {
    /// Watches objects of one kind by label selector (empty: all): the current objects, then each change. A lost
    /// connection is reopened after 200 ms to 30 s; each failed attempt is reported as an error. The stream does not
    /// end.
    pub fn watch(
        &self,
        kind: Kind,
        namespace: &str,
        labels: &str,
    ) -> impl Stream<Item = Result<WatchEvent<Value>, KubeError>> + Send + use<> {
        self.watch_values(kind, Some(namespace), Selected::Labels(labels))
    }

    /// Like [`Cluster::watch`], for one object, which may not exist yet; in the whole cluster if `namespace` is `None`.
    pub fn watch_named(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        name: &str,
    ) -> impl Stream<Item = Result<WatchEvent<Value>, KubeError>> + Send + use<> {
        self.watch_values(kind, namespace, Selected::Name(name))
    }

    /// Like [`Cluster::watch`], for cluster-scoped kinds.
    pub fn watch_cluster(
        &self,
        kind: Kind,
        labels: &str,
    ) -> impl Stream<Item = Result<WatchEvent<Value>, KubeError>> + Send + use<> {
        self.watch_values(kind, None, Selected::Labels(labels))
    }

    /// Like [`Cluster::watch`], for pods.
    pub fn watch_pods(
        &self,
        namespace: &str,
        labels: &str,
    ) -> impl Stream<Item = Result<WatchEvent<Pod>, KubeError>> + Send + use<> {
        self.events(
            Api::<Pod>::namespaced(self.watching_client(), namespace),
            Selected::Labels(labels),
            "pods",
        )
    }

    /// Like [`Cluster::watch_pods`], but parses and stores only the fields that verdicts need.
    pub fn watch_pod_views(
        &self,
        namespace: &str,
        labels: &str,
    ) -> impl Stream<Item = Result<WatchEvent<PodView>, KubeError>> + Send + use<> {
        let api: Api<PartialPod> = Api::namespaced_with(self.watching_client(), namespace, &Kind::Pod.resource());
        let mut strings = StringPool::default();
        self.views(api, Selected::Labels(labels), "pods", move |pod| {
            PodView::of(&pod, &mut strings)
        })
    }

    /// Like [`Cluster::watch_pod_views`], for DaemonSets.
    pub fn watch_daemon_set_views(
        &self,
        namespace: &str,
        labels: &str,
    ) -> impl Stream<Item = Result<WatchEvent<DaemonSetView>, KubeError>> + Send + use<> {
        let resource = Kind::DaemonSet.resource();
        let api: Api<Partial<IgnoredAny, SetStatus>> =
            Api::namespaced_with(self.watching_client(), namespace, &resource);
        self.views(api, Selected::Labels(labels), "daemonsets", DaemonSetView::of)
    }

    fn watch_values(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        selected: Selected<'_>,
    ) -> impl Stream<Item = Result<WatchEvent<Value>, KubeError>> + Send + use<> {
        let resource = kind.resource();
        let api: Api<DynamicObject> = match namespace.filter(|_| kind.is_namespaced()) {
            Some(namespace) => Api::namespaced_with(self.watching_client(), namespace, &resource),
            None => Api::all_with(self.watching_client(), &resource),
        };
        self.events(api, selected, kind.plural()).map(move |event| {
            let value = |object| to_value(kind, &object);
            Ok(match event? {
                WatchEvent::Applied(object) => WatchEvent::Applied(value(object)?),
                WatchEvent::Deleted(object) => WatchEvent::Deleted(value(object)?),
                WatchEvent::Restarted(objects) => {
                    WatchEvent::Restarted(objects.into_iter().map(value).collect::<Result<_, _>>()?)
                }
            })
        })
    }

    fn events<K>(
        &self,
        api: Api<K>,
        selected: Selected<'_>,
        plural: &'static str,
    ) -> impl Stream<Item = Result<WatchEvent<K>, KubeError>> + Send + use<K>
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        self.views(api, selected, plural, |object| object)
    }

    /// Watches objects as `view` maps them. The objects themselves are dropped with their page.
    fn views<K, T, F>(
        &self,
        api: Api<K>,
        selected: Selected<'_>,
        plural: &'static str,
        mut view: F,
    ) -> impl Stream<Item = Result<WatchEvent<T>, KubeError>> + Send + use<K, T, F>
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
        T: Send + 'static,
        F: FnMut(K) -> T + Send + 'static,
    {
        let config = watcher::Config::default().page_size(PAGE);
        let config = match selected {
            Selected::Labels("") => config,
            Selected::Labels(labels) => config.labels(labels),
            Selected::Name(name) => config.fields(&format!("metadata.name={name}")),
        };
        let server = self.server_url().to_owned();
        let mut listed = Vec::new();
        watcher(api, config).backoff(backoff()).filter_map(move |event| {
            ready(match event {
                Ok(watcher::Event::Init) => {
                    listed = Vec::new();
                    None
                }
                Ok(watcher::Event::InitApply(object)) => {
                    listed.push(view(object));
                    None
                }
                Ok(watcher::Event::InitDone) => Some(Ok(WatchEvent::Restarted(std::mem::take(&mut listed)))),
                Ok(watcher::Event::Apply(object)) => Some(Ok(WatchEvent::Applied(view(object)))),
                Ok(watcher::Event::Delete(object)) => Some(Ok(WatchEvent::Deleted(view(object)))),
                Err(error) => failure(error, &server, plural).map(Err),
            })
        })
    }
}

fn backoff() -> ResetTimerBackoff<ExponentialBackoff> {
    let waits = backon::ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(Duration::from_secs(30))
        .with_factor(2.0)
        .with_jitter()
        .without_max_times();
    ResetTimerBackoff::new(waits.into(), Duration::from_mins(2))
}

fn to_value(kind: Kind, object: &DynamicObject) -> Result<Value, KubeError> {
    let mut value = serde_json::to_value(object).map_err(|error| KubeError::Answer {
        request: format!("watching {}", kind.plural()),
        source: Cause(error.to_string()),
    })?;
    if let Some(fields) = value.as_object_mut() {
        fields.entry("apiVersion").or_insert_with(|| kind.api_version().into());
        fields.entry("kind").or_insert_with(|| kind.name().into());
    }
    Ok(value)
}

/// Maps a watch error. An expired resourceVersion is normal: the watch lists again by itself.
fn failure(error: watcher::Error, server: &str, plural: &str) -> Option<KubeError> {
    let request = format!("watching {plural}");
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => Some(KubeError::from_kube(error, server, &request)),
        watcher::Error::WatchError(status) if status.code == 410 => None,
        watcher::Error::WatchError(status) => Some(KubeError::from_status(&status, server.to_owned(), request)),
        watcher::Error::NoResourceVersion => Some(KubeError::Answer {
            request,
            source: Cause("it has no resourceVersion".to_owned()),
        }),
    }
}
