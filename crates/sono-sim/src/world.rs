//! The environment of the aggregator: a fake API server with nodes and the objects of `sono run`, the part of the
//! controllers, and the mounted files.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use base64::Engine as _;
use serde_json::{Value, json};
use sono_testkit::FakeApi;
use sono_types::{UploadLimits, WorkerConfig, config::PluginSelection, constants, env};
use tokio::{
    sync::{Mutex, watch},
    time::sleep,
};

use crate::disk::{Disk, SmallVolume};

pub(crate) const NAMESPACE: &str = constants::DEFAULT_NAMESPACE;

/// Name of the file with the offset of the aggregator's clock.
const CLOCK: &str = "clock";

/// A plugin of the run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plugin {
    pub(crate) name: &'static str,
    pub(crate) driver: &'static str,
    pub(crate) order: i32,
    pub(crate) result_format: &'static str,
}

/// Parameters of a world.
#[derive(Debug, Clone)]
pub(crate) struct WorldParameters {
    pub(crate) nodes: Vec<String>,
    pub(crate) plugins: Vec<Plugin>,
    pub(crate) limits: UploadLimits,
    /// Whether each node gets a pod of the DaemonSet; benchmarks skip them to save time.
    pub(crate) pods: bool,
}

/// Environments of worker containers with resolved secrets, by plugin name.
pub(crate) type Environments = BTreeMap<String, BTreeMap<String, String>>;

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) api: FakeApi,
    /// Dropped before the folder that it is mounted in.
    disk: Mutex<Option<Disk>>,
    small: Mutex<Option<SmallVolume>>,
    /// The library that changes the aggregator's clock.
    faketime: OnceLock<PathBuf>,
    folder: tempfile::TempDir,
    pub(crate) address: Ipv4Addr,
    parameters: WorldParameters,
}

impl World {
    pub(crate) fn new(parameters: WorldParameters) -> anyhow::Result<Self> {
        Self::at(parameters, free_address()?)
    }

    /// Creates a world with an aggregator at `address`, which must be free.
    pub(crate) fn at(parameters: WorldParameters, address: Ipv4Addr) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("sono-sim-").tempdir()?;
        let api = FakeApi::start();
        let named = |name: &str| json!({"name": name, "namespace": NAMESPACE, "uid": "1-2-3"});
        api.put(
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE},
            "status": {"phase": "Active"}}),
        );
        api.put(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": named(constants::CONFIG_MAP)}));
        let mut metadata = named(constants::AGGREGATOR_POD);
        metadata["labels"] = json!({constants::COMPONENT_LABEL: "aggregator"});
        api.put(
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": []},
            "status": {"podIP": address.to_string(), "phase": "Running"}}),
        );
        for node in &parameters.nodes {
            api.put(json!({"apiVersion": "v1", "kind": "Node",
                "metadata": {"name": node, "labels": {"kubernetes.io/os": "linux", "kubernetes.io/hostname": node}},
                "spec": {}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}));
        }
        let world = Self {
            api,
            disk: Mutex::default(),
            small: Mutex::default(),
            faketime: OnceLock::new(),
            folder,
            address,
            parameters,
        };
        world.write_files()?;
        Ok(world)
    }

    fn write_files(&self) -> anyhow::Result<()> {
        self.api.write_kubeconfig(self.path());
        let plugins = self.path().join("plugins.d");
        fs_err::create_dir_all(&plugins)?;
        fs_err::create_dir_all(self.volume())?;
        for Plugin {
            name,
            driver,
            order,
            result_format,
        } in &self.parameters.plugins
        {
            fs_err::write(
                plugins.join(format!("{name}.yaml")),
                format!(
                    "sonobuoy-config:\n  driver: {driver}\n  plugin-name: {name}\n  order: {order}\n  result-format: {result_format}\nspec:\n  image: none\n  name: plugin\n"
                ),
            )?;
        }
        let mut config = sono_types::Config {
            uuid: "run".to_owned(),
            namespace: NAMESPACE.to_owned(),
            resources: Some(vec!["nodes".to_owned(), "configmaps".to_owned()]),
            plugin_search_path: Some(vec![plugins.display().to_string()]),
            plugins: Some(
                self.parameters
                    .plugins
                    .iter()
                    .map(|plugin| PluginSelection {
                        name: plugin.name.to_owned(),
                    })
                    .collect(),
            ),
            upload_limits: self.parameters.limits.clone(),
            ..sono_types::Config::default()
        };
        config.server.bind_address = self.address.to_string();
        config.server.bind_port = constants::AGGREGATOR_PORT;
        fs_err::write(self.path().join("config.json"), config.to_json())?;
        Ok(())
    }

    /// Folder of the world's files.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The aggregator's directory.
    pub(crate) fn volume(&self) -> PathBuf {
        self.path().join("volume")
    }

    /// Replaces the volume by a disk that can lose unsynced writes.
    pub(crate) async fn use_disk(&self) -> anyhow::Result<()> {
        *self.disk.lock().await = Some(Disk::new(self.path(), &self.volume()).await?);
        Ok(())
    }

    /// Simulates a power loss if the volume is such a disk.
    pub(crate) async fn fail_power(&self) -> anyhow::Result<()> {
        match self.disk.lock().await.as_mut() {
            Some(disk) => disk.lose_unsynced_writes().await,
            None => Ok(()),
        }
    }

    /// Replaces the volume by a small one.
    pub(crate) async fn use_small_volume(&self) -> anyhow::Result<()> {
        // A disk for power losses already has a fixed size.
        if self.disk.lock().await.is_none() {
            *self.small.lock().await = Some(SmallVolume::new(&self.volume()).await?);
        }
        Ok(())
    }

    /// Makes aggregators that are started later use the clock of [`World::set_clock`].
    pub(crate) fn use_faketime(&self, library: PathBuf) {
        self.faketime.get_or_init(|| library);
    }

    /// Sets the offset of the aggregator's clock.
    pub(crate) fn set_clock(&self, seconds: i64) -> anyhow::Result<()> {
        let new = self.path().join("clock.new");
        fs_err::write(&new, format!("{seconds:+}s\n"))?;
        // Rename atomically: the file is read all the time.
        Ok(fs_err::rename(new, self.path().join(CLOCK))?)
    }

    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let config = self.path().join("config.json").display().to_string();
        let mut variables = vec![
            (env::SONOBUOY_CONFIG, config),
            (env::SONOBUOY_ADVERTISE_IP, self.address.to_string()),
        ];
        if let Some(library) = self.faketime.get() {
            let on = || "1".to_owned();
            variables.extend([
                ("LD_PRELOAD", library.display().to_string()),
                ("FAKETIME_TIMESTAMP_FILE", self.path().join(CLOCK).display().to_string()),
                ("FAKETIME_NO_CACHE", on()),
                ("FAKETIME_DONT_FAKE_MONOTONIC", on()),
                ("FAKETIME_DISABLE_SHM", on()),
                ("NO_FAKE_STAT", on()),
            ]);
        }
        variables
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.path().join("kubeconfig")
    }

    /// Makes the files permanent, for an analysis, and returns their folder.
    pub(crate) fn persist(self) -> PathBuf {
        let Self { folder, .. } = self;
        folder.keep()
    }

    /// Plays kubelets and controllers: creates the pods of DaemonSets, sets pods to running, and publishes the environments
    /// of their workers. Returns when all plugins have started.
    pub(crate) async fn control(&self, environments: &watch::Sender<Environments>) -> anyhow::Result<()> {
        while environments.borrow().len() < self.parameters.plugins.len() {
            for object in ["daemonsets", "pods"].iter().flat_map(|plural| self.api.all(plural)) {
                let Some(plugin) = label(&object, constants::PLUGIN_LABEL) else {
                    continue;
                };
                if environments.borrow().contains_key(&plugin) || object["metadata"]["labels"]["sono-sim"].is_string() {
                    continue;
                }
                let template = object.pointer("/spec/template/spec").or_else(|| object.get("spec"));
                let worker = template
                    .and_then(|spec| spec.get("containers")?.as_array())
                    .and_then(|containers| {
                        containers
                            .iter()
                            .find(|container| container["name"] == constants::WORKER_CONTAINER)
                    })
                    .with_context(|| format!("plugin {plugin} has no worker"))?;
                let variables = self.environment(worker)?;
                self.run(&object);
                environments.send_modify(|known| {
                    known.insert(plugin.clone(), variables);
                });
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Creates the pods of a DaemonSet, or sets a pod to running.
    fn run(&self, object: &Value) {
        let status = json!({"phase": "Running", "startTime": "2026-11-23T00:00:00Z"});
        if object["kind"] == "Pod" {
            let mut pod = object.clone();
            pod["status"] = status;
            self.api.put(pod);
            return;
        }
        let nodes = self.parameters.nodes.iter().filter(|_| self.parameters.pods);
        for node in nodes {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            let mut labels = object["spec"]["template"]["metadata"]["labels"].clone();
            labels["sono-sim"] = "true".into();
            self.api.put(json!({"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": format!("{name}-{node}"), "namespace": NAMESPACE, "labels": labels},
                "spec": {"nodeName": node, "containers": []}, "status": status}));
        }
    }

    /// Resolves the container's environment as the kubelet does.
    fn environment(&self, container: &Value) -> anyhow::Result<BTreeMap<String, String>> {
        let mut variables = BTreeMap::new();
        for variable in container["env"].as_array().into_iter().flatten() {
            let name = variable["name"].as_str().unwrap_or_default();
            let value = match variable.pointer("/valueFrom/secretKeyRef") {
                None => variable["value"].as_str().unwrap_or_default().to_owned(),
                Some(reference) => {
                    let (secret, key) = (reference["name"].as_str(), reference["key"].as_str());
                    let (secret, key) = secret.zip(key).context("a reference names a secret and a key")?;
                    let secret = self
                        .api
                        .get("secrets", Some(NAMESPACE), secret)
                        .with_context(|| format!("the secret {secret} does not exist"))?;
                    let encoded = secret["data"][key].as_str().context("the secret has the key")?;
                    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(encoded)?)?
                }
            };
            variables.insert(name.to_owned(), value);
        }
        Ok(variables)
    }
}

/// Parses the environment of a worker.
pub(crate) fn worker_config(
    environment: &BTreeMap<String, String>,
    node: Option<&str>,
) -> anyhow::Result<WorkerConfig> {
    let mut variables = environment.clone();
    if let Some(node) = node {
        variables.insert(env::NODE_NAME.to_owned(), node.to_owned());
    }
    let (config, _) = WorkerConfig::from_env(&variables, node.is_some())?;
    Ok(config)
}

/// An HTTP client with a worker's certificates.
pub(crate) fn client(config: &WorkerConfig) -> anyhow::Result<reqwest::Client> {
    client_with(sono_tls::client_config(
        &config.ca_cert,
        &config.client_cert,
        &config.client_key,
    )?)
}

/// An HTTP client with this TLS configuration, without connection reuse or TLS resumption.
pub(crate) fn client_with(mut tls: rustls::ClientConfig) -> anyhow::Result<reqwest::Client> {
    // Workers are separate processes and do not share TLS sessions.
    tls.resumption = rustls::client::Resumption::disabled();
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .http1_only()
        .pool_max_idle_per_host(0)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_mins(10))
        .build()?)
}

fn label(object: &Value, name: &str) -> Option<String> {
    Some(object.get("metadata")?.get("labels")?.get(name)?.as_str()?.to_owned())
}

/// Finds a separate loopback address for each run, so that the standard port is free after every kill.
fn free_address() -> anyhow::Result<Ipv4Addr> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..1000 {
        let number = std::process::id()
            .wrapping_mul(251)
            // The last bit is lost below.
            .wrapping_add(NEXT.fetch_add(2, Ordering::Relaxed));
        let [_, second, third, fourth] = number.to_be_bytes();
        let address = Ipv4Addr::new(127, 1 | second, third, 1 | fourth);
        if TcpListener::bind((address, constants::AGGREGATOR_PORT)).is_ok() {
            return Ok(address);
        }
    }
    anyhow::bail!("no loopback address has port {} free", constants::AGGREGATOR_PORT)
}

/// Raises the limit of open files, for thousands of connections.
pub(crate) fn raise_open_files() -> anyhow::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )
    .context("cannot raise the limit of open files")
}
