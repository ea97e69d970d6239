//! A run in a cluster: drivers that create objects, the status as an annotation, queries of the API server.

mod annotation;
mod daemon_set;
mod events;
mod evidence;
mod job;
mod objects;
pub(crate) mod query;
mod retry;
mod run_event;
mod secret_store;
mod siblings;
mod watching;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use futures::future::BoxFuture;
use siblings::Siblings;
use sono_kube::{Cluster, Kind, KubeError};
use sono_manifest::{Definition, DriverKind, NodeFacts, Owner};
use sono_redact::Redactor;
use sono_types::{Config, ContainersState, ResultKey, RunStatus, SessionId, constants, error_chain};

use crate::{
    backend::{Addresses, Backend, BackendError, CheckpointStore, Driver, EventError, RunEvent},
    clock::Clock,
};

/// The cluster that the aggregator runs in.
#[derive(Clone)]
pub struct ClusterBackend {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for ClusterBackend {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ClusterBackend")
            .field("pod", &self.shared.pod)
            .finish_non_exhaustive()
    }
}

/// State shared by the backend and its drivers.
struct Shared {
    cluster: Cluster,
    config: Config,
    owner: Owner,
    /// The aggregator's own pod, whose annotation is the status.
    pod: String,
    clock: Clock,
    siblings: Siblings,
    /// Locked while Secrets are read.
    secrets_at_start: tokio::sync::Mutex<query::AtStart>,
}

/// Why the aggregator cannot find its own objects in the cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A request failed.
    #[error("cannot read the run's own objects")]
    Kube(#[from] KubeError),
    /// The ConfigMap that owns the run's objects does not exist.
    #[error(
        "ConfigMap {name} not found in namespace {namespace}; it must exist, because it owns all objects of the run"
    )]
    NoOwner {
        /// Its name.
        name: String,
        /// Its namespace.
        namespace: String,
    },
    /// No pod is the aggregator's.
    #[error("couldn't get aggregator pod: no pod in namespace {0} has the label sonobuoy-component=aggregator")]
    NoPod(String),
    /// No address is known at which workers can reach the aggregator.
    #[error(
        "cannot determine the address of the aggregator for workers: Service {0} has no address, and SONOBUOY_ADVERTISE_IP is not set"
    )]
    NoAddress(String),
}

/// The aggregator's pods, by the label of current manifests or that of old ones.
async fn own_pods(cluster: &Cluster, namespace: &str) -> Result<Vec<serde_json::Value>, sono_kube::KubeError> {
    let mut pods = Vec::new();
    for selector in constants::AGGREGATOR_SELECTORS {
        pods = cluster.list(Kind::Pod, Some(namespace), selector).await?;
        if !pods.is_empty() {
            break;
        }
    }
    Ok(pods)
}

impl ClusterBackend {
    fn has_checkpoint(&self) -> bool {
        self.shared.config.aggregator_workload == constants::WORKLOAD_DEPLOYMENT
    }

    /// Finds the run's own objects, and how workers reach this process.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any point: it only reads.
    pub async fn find(
        cluster: Cluster,
        config: &Config,
        advertise_ip: Option<&str>,
        clock: Clock,
    ) -> Result<(Self, Addresses), ClusterError> {
        let namespace = config.namespace.as_str();
        let ask = || async {
            tokio::try_join!(
                cluster.get(Kind::ConfigMap, Some(namespace), constants::CONFIG_MAP),
                async {
                    let service = cluster.get(Kind::Service, Some(namespace), constants::AGGREGATOR_SERVICE);
                    match service.await {
                        // Without the right to read Services the pod's own address is used. A Service that was only not
                        // answered would be missing in the certificate, and workers that dial it would be lost.
                        Err(error) if !error.is_transient() => Ok(None),
                        answered => answered,
                    }
                },
                own_pods(&cluster, namespace),
            )
        };
        let (owner, service, pods) = retry::patiently("reading the run's own objects", ask).await?;
        let text = |value: &serde_json::Value, pointer: &str| {
            value
                .pointer(pointer)
                .and_then(serde_json::Value::as_str)
                .map(str::to_owned)
        };
        let no_owner = || ClusterError::NoOwner {
            name: constants::CONFIG_MAP.to_owned(),
            namespace: namespace.to_owned(),
        };
        let uid = owner
            .as_ref()
            .and_then(|owner| text(owner, "/metadata/uid"))
            .ok_or_else(no_owner)?;
        let own = |pod: &&serde_json::Value| {
            advertise_ip.is_some() && pod.pointer("/status/podIP").and_then(serde_json::Value::as_str) == advertise_ip
        };
        // Before it has an address it is the newest: a replaced pod may still exist.
        let newest = |pod: &&serde_json::Value| {
            let going = pod.pointer("/metadata/deletionTimestamp").is_some();
            (!going, text(pod, "/metadata/creationTimestamp"))
        };
        let pod = pods.iter().find(own).or_else(|| pods.iter().max_by_key(newest));
        let pod = pod
            .and_then(|pod| text(pod, "/metadata/name"))
            .ok_or_else(|| ClusterError::NoPod(namespace.to_owned()))?;
        let cluster_ip = service.as_ref().and_then(|service| text(service, "/spec/clusterIP"));
        let addresses = addresses(config, cluster_ip.as_deref(), advertise_ip)
            .ok_or_else(|| ClusterError::NoAddress(constants::AGGREGATOR_SERVICE.to_owned()))?;
        let owner = Owner {
            name: constants::CONFIG_MAP.to_owned(),
            uid,
        };
        let shared = Shared {
            cluster,
            config: config.clone(),
            owner,
            pod,
            clock,
            siblings: Siblings::default(),
            secrets_at_start: tokio::sync::Mutex::default(),
        };
        Ok((
            Self {
                shared: Arc::new(shared),
            },
            addresses,
        ))
    }
}

/// Workers dial the Service's cluster address, which remains when the aggregator is replaced, and the pod's own
/// if Service addresses do not work. An address in the configuration takes precedence.
fn addresses(config: &Config, cluster_ip: Option<&str>, pod_ip: Option<&str>) -> Option<Addresses> {
    let service = constants::AGGREGATOR_SERVICE;
    let namespace = &config.namespace;
    let mut names = vec![
        service.to_owned(),
        format!("{service}.{namespace}"),
        format!("{service}.{namespace}.svc"),
        format!("{service}.{namespace}.svc.cluster.local"),
    ];
    let cluster_ip = cluster_ip.filter(|address| !address.is_empty() && *address != "None");
    names.extend([cluster_ip, pod_ip].into_iter().flatten().map(str::to_owned));
    let mut urls = Vec::new();
    let advertised = config.server.advertise_address.as_str();
    if !advertised.is_empty() {
        let (host, port) = split_port(advertised);
        names.push(host.to_owned());
        urls.push(url(host, port.unwrap_or(config.server.bind_port)));
    }
    // The Service's port is fixed, the pod's is configured (cli §5).
    urls.extend(cluster_ip.map(|address| url(address, constants::AGGREGATOR_PORT)));
    urls.extend(pod_ip.map(|address| url(address, config.server.bind_port)));
    let mut urls = urls.into_iter();
    Some(Addresses {
        url: urls.next()?,
        fallback_url: urls.next(),
        names,
    })
}

fn url(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("https://[{host}]:{port}")
    } else {
        format!("https://{host}:{port}")
    }
}

/// `host`, `host:port` or `[v6]:port`.
fn split_port(address: &str) -> (&str, Option<u16>) {
    if let Some((host, port)) = address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (host, port.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match address.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host, port.parse().ok()),
        _ => (address, None),
    }
}

impl Backend for ClusterBackend {
    fn nodes<'a>(
        &'a self,
        labels: &'a BTreeSet<String>,
    ) -> BoxFuture<'a, Result<Option<Vec<NodeFacts>>, BackendError>> {
        Box::pin(async {
            let list = || async {
                let mut nodes = Vec::new();
                let each = |mut node: NodeFacts| {
                    node.labels.retain(|label, _| labels.contains(label));
                    nodes.push(node);
                };
                self.shared.cluster.each(Kind::Node, None, "", each).await?;
                Ok(nodes)
            };
            match retry::patiently("listing nodes", list).await {
                Ok(nodes) => Ok(Some(nodes)),
                Err(error) if error.is_forbidden() => {
                    tracing::warn!(
                        error = error_chain(&error),
                        "not permitted to list nodes, deriving the nodes of DaemonSet plugins from their pods"
                    );
                    Ok(None)
                }
                Err(error) => Err(BackendError::new(error)),
            }
        })
    }

    fn containers(&self, key: &ResultKey) -> ContainersState {
        self.shared.siblings.of(key)
    }

    fn driver(&self, definition: Definition, session: SessionId) -> Box<dyn Driver> {
        let plugin = objects::PluginObjects {
            shared: Arc::clone(&self.shared),
            definition,
            session,
        };
        match plugin.definition.driver {
            DriverKind::Job => Box::new(job::Job(plugin)),
            DriverKind::DaemonSet => Box::new(daemon_set::DaemonSet(plugin)),
        }
    }

    fn publish<'a>(&'a self, status: &'a RunStatus) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            let text = annotation::text(status).map_err(BackendError::new)?;
            let annotations = BTreeMap::from([(constants::STATUS_ANNOTATION.to_owned(), text)]);
            let shared = &self.shared;
            shared
                .cluster
                .annotate(Kind::Pod, Some(&shared.config.namespace), &shared.pod, &annotations)
                .await
                .map(|_| ())
                .map_err(BackendError::new)
        })
    }

    fn record_event<'a>(&'a self, note: &'a RunEvent) -> BoxFuture<'a, Result<(), EventError>> {
        Box::pin(async move {
            let shared = &self.shared;
            let event = run_event::event(note, &shared.owner, &shared.config.namespace, (shared.clock)());
            match shared.cluster.create(&event).await {
                Ok(_) => Ok(()),
                // An earlier process of this run wrote it.
                Err(error) if error.is_already_exists() => Ok(()),
                Err(error) if error.is_transient() => Err(EventError::Failed(BackendError::new(error))),
                Err(error) => Err(EventError::Refused(BackendError::new(error))),
            }
        })
    }

    fn plugins_survive_restart(&self) -> bool {
        true
    }

    fn identity(&self) -> Option<String> {
        // Without a checkpoint a directory belongs to one run, whatever its name.
        self.has_checkpoint().then(|| self.shared.owner.uid.clone())
    }

    fn checkpoint_store(&self) -> Option<Arc<dyn CheckpointStore>> {
        self.has_checkpoint()
            .then(|| Arc::new(secret_store::RunSecret::new(Arc::clone(&self.shared))) as Arc<dyn CheckpointStore>)
    }

    fn read_secrets(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let mut at_start = self.shared.secrets_at_start.lock().await;
            let (cluster, config) = (&self.shared.cluster, &self.shared.config);
            *at_start = query::read_at_start(cluster, config, query::SecretValues::of_run(config)).await;
        })
    }

    fn redactor(&self) -> BoxFuture<'_, Redactor> {
        Box::pin(async {
            let at_start = std::mem::take(&mut *self.shared.secrets_at_start.lock().await);
            let (cluster, config) = (&self.shared.cluster, &self.shared.config);
            let secrets = query::SecretValues::of_run(config);
            Redactor::new(query::read_known(cluster, config, secrets, at_start).await)
        })
    }

    fn query<'a>(&'a self, directory: &'a Path, redactor: &'a Arc<Redactor>) -> BoxFuture<'a, Vec<String>> {
        let Shared {
            cluster, config, clock, ..
        } = self.shared.as_ref();
        Box::pin(query::query_with(cluster, config, redactor, directory, clock))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(advertised: &str, cluster_ip: Option<&str>, pod_ip: Option<&str>) -> Option<(String, Option<String>)> {
        let mut config = Config::default();
        config.server.advertise_address = advertised.to_owned();
        addresses(&config, cluster_ip, pod_ip).map(|addresses| (addresses.url, addresses.fallback_url))
    }

    fn urls(first: &str, second: Option<&str>) -> (String, Option<String>) {
        (first.to_owned(), second.map(str::to_owned))
    }

    #[test]
    fn workers_dial_the_service_and_then_the_pod() {
        assert_eq!(
            found("", Some("10.96.0.7"), Some("10.244.0.9")),
            Some(urls("https://10.96.0.7:8080", Some("https://10.244.0.9:8080")))
        );
        assert_eq!(
            found("", Some("None"), Some("fd00::9")),
            Some(urls("https://[fd00::9]:8080", None))
        );
        assert_eq!(
            found("me:9", Some("10.96.0.7"), None),
            Some(urls("https://me:9", Some("https://10.96.0.7:8080")))
        );
        assert_eq!(found("[::1]:9", None, None), Some(urls("https://[::1]:9", None)));
        assert_eq!(found("", None, None), None);
    }

    #[test]
    fn the_certificate_covers_all_of_them() {
        let names = addresses(&Config::default(), Some("10.96.0.7"), Some("10.244.0.9"))
            .unwrap()
            .names;
        assert_eq!(
            names,
            [
                "sonobuoy-aggregator",
                "sonobuoy-aggregator.sonobuoy",
                "sonobuoy-aggregator.sonobuoy.svc",
                "sonobuoy-aggregator.sonobuoy.svc.cluster.local",
                "10.96.0.7",
                "10.244.0.9"
            ]
        );
    }
}
