//! A run without anything around it: plugins are the tests themselves.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::BoxFuture;
use serde_json::json;
use sono_aggregator::{
    Addresses, Driver, FailureReport, Finished, Launch, RunError, RunLog, Setup, Site, View, run::Failure,
    run_to_the_end, system_clock,
};
use sono_manifest::{Definition, DriverKind, NodeFacts};
use sono_types::{Config, PluginName, RunStatus, SessionId, UploadLimits};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

/// Launches of plugins, by name.
type Launches = Arc<Mutex<BTreeMap<PluginName, Launch>>>;

struct TestSite {
    nodes: Vec<NodeFacts>,
    launches: Launches,
    launched: watch::Sender<usize>,
    statuses: watch::Sender<RunStatus>,
}

struct TestDriver {
    definition: Definition,
    session: SessionId,
    launches: Launches,
    launched: watch::Sender<usize>,
}

impl Site for TestSite {
    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeFacts>, String>> {
        Box::pin(async { Ok(self.nodes.clone()) })
    }

    fn driver(&self, definition: Definition, session: SessionId) -> Box<dyn Driver> {
        let (launches, launched) = (Arc::clone(&self.launches), self.launched.clone());
        Box::new(TestDriver {
            definition,
            session,
            launches,
            launched,
        })
    }

    fn publish<'a>(&'a self, status: &'a RunStatus) -> BoxFuture<'a, Result<(), String>> {
        self.statuses.send_replace(status.clone());
        Box::pin(async { Ok(()) })
    }

    fn query<'a>(&'a self, _: &'a Path) -> BoxFuture<'a, Vec<String>> {
        Box::pin(async { Vec::new() })
    }
}

impl Driver for TestDriver {
    fn definition(&self) -> &Definition {
        &self.definition
    }

    fn session(&self) -> &SessionId {
        &self.session
    }

    fn run<'a>(&'a self, launch: &'a Launch) -> BoxFuture<'a, Result<(), Failure>> {
        self.launches
            .lock()
            .unwrap()
            .insert(self.definition.name.clone(), launch.clone());
        self.launched.send_modify(|count| *count += 1);
        Box::pin(async { Ok(()) })
    }

    fn monitor<'a>(&'a self, _: &'a Launch, _: mpsc::Sender<FailureReport>) -> BoxFuture<'a, ()> {
        Box::pin(std::future::pending())
    }

    fn cleanup(&self) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }
}

/// A run whose plugins are launched and wait for results.
pub(crate) struct TestRun {
    pub(crate) address: SocketAddr,
    pub(crate) root: tempfile::TempDir,
    pub(crate) statuses: watch::Receiver<RunStatus>,
    launches: Launches,
    outcome: JoinHandle<Result<Finished, RunError>>,
    _shutdown: oneshot::Sender<()>,
}

pub(crate) fn plugin(name: &str, driver: DriverKind) -> Definition {
    Definition {
        name: PluginName::parse(name).unwrap(),
        driver,
        driver_text: driver.to_string(),
        skip_cleanup: false,
        result_format: String::new(),
        result_files: Vec::new(),
        description: String::new(),
        source_url: String::new(),
        order: 0,
        spec: json!({"name": "c"}),
        extra_volumes: Vec::new(),
        pod_spec: None,
        config_map: BTreeMap::new(),
    }
}

impl TestRun {
    /// Starts a run on nodes `n1` and `n2` and waits until its plugins are launched.
    pub(crate) async fn start(definitions: Vec<Definition>, limits: UploadLimits) -> Self {
        sono_tls::install_provider();
        let root = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (statuses, seen) = watch::channel(RunStatus::default());
        let (launched, mut count) = watch::channel(0);
        let launches = Launches::default();
        let expected = definitions.len();
        let nodes = ["n1", "n2"].map(|name| NodeFacts {
            name: name.to_owned(),
            ..NodeFacts::default()
        });
        let site = TestSite {
            nodes: nodes.to_vec(),
            launches: Arc::clone(&launches),
            launched,
            statuses,
        };
        let setup = Setup {
            config: Config {
                uuid: "run".to_owned(),
                ..Config::default()
            },
            definitions,
            site: Arc::new(site),
            root: root.path().to_path_buf(),
            listener,
            addresses: Addresses {
                url: format!("https://{address}"),
                fallback_url: None,
                names: vec!["127.0.0.1".to_owned()],
            },
            limits,
            clock: system_clock(),
            new_session: || SessionId::from_random([7; 8]),
            log: RunLog::new(system_clock()),
            reconcile: true,
            view: View::default(),
        };
        let (shutdown, told) = oneshot::channel();
        let outcome = tokio::spawn(run_to_the_end(setup, async {
            told.await.ok();
        }));
        within(count.wait_for(|count| *count == expected)).await.unwrap();
        Self {
            address,
            root,
            statuses: seen,
            launches,
            outcome,
            _shutdown: shutdown,
        }
    }

    /// A client with this plugin's certificate.
    pub(crate) fn client(&self, plugin: &str) -> reqwest::Client {
        let launches = self.launches.lock().unwrap();
        let launch = &launches[&PluginName::parse(plugin).unwrap()];
        let identity = &launch.identity;
        let tls = sono_tls::client_config(&launch.ca_pem, &identity.certificate_pem, &identity.key_pem).unwrap();
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .build()
            .unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// Directory of the run while it goes on.
    pub(crate) fn directory(&self) -> PathBuf {
        self.root.path().join("run")
    }

    /// The end of the run.
    pub(crate) async fn finished(self) -> (Result<Finished, RunError>, tempfile::TempDir) {
        (within(self.outcome).await.unwrap(), self.root)
    }
}

/// Anything that should happen soon.
pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), work)
        .await
        .expect("within 30 s")
}
