//! A run on a backend in memory: the tests act as plugins.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::BoxFuture;
use serde_json::json;
use sono_aggregator::{
    Addresses, Backend, BackendError, Driver, EventError, FinishedRun, Launch, LoopbackView, Report, RunError,
    RunEvent, RunLog, Setup, execute_run, serve_locally, system_clock,
};
use sono_manifest::{Definition, DriverKind, NodeFacts, ResultRedaction};
use sono_redact::{Known, KnownValues, Redactor};
use sono_run::Failure;
use sono_types::{Config, ContainersState, PluginName, ResultKey, RunStatus, SessionId, UploadLimits};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

/// Launches of plugins, by name.
type Launches = Arc<Mutex<BTreeMap<PluginName, Launch>>>;

struct TestBackend {
    nodes: Vec<NodeFacts>,
    launches: Launches,
    launched: watch::Sender<usize>,
    statuses: watch::Sender<RunStatus>,
    secrets: Vec<&'static str>,
    trouble: Trouble,
}

/// Faults of the backend that a test can switch on.
#[derive(Clone, Default)]
pub(crate) struct Trouble {
    /// Queries wait while this is true.
    pub(crate) holds_queries: Arc<watch::Sender<bool>>,
    /// The call that panics next.
    pub(crate) breaks: Arc<Mutex<&'static str>>,
}

struct TestDriver {
    definition: Definition,
    session: SessionId,
    launches: Launches,
    launched: watch::Sender<usize>,
}

impl Trouble {
    fn come(&self, what: &str) {
        let breaks = *self.breaks.lock().unwrap();
        assert_ne!(breaks, what, "a defect");
    }
}

impl Backend for TestBackend {
    fn nodes<'a>(&'a self, _: &'a BTreeSet<String>) -> BoxFuture<'a, Result<Option<Vec<NodeFacts>>, BackendError>> {
        Box::pin(async { Ok(Some(self.nodes.clone())) })
    }

    fn containers(&self, key: &ResultKey) -> ContainersState {
        match (key.plugin.as_str(), key.target.to_string().as_str()) {
            ("p", "global") => ContainersState::Succeeded,
            _ => ContainersState::Unknown,
        }
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

    fn publish<'a>(&'a self, status: &'a RunStatus) -> BoxFuture<'a, Result<(), BackendError>> {
        self.trouble.come("publish");
        self.statuses.send_replace(status.clone());
        Box::pin(async { Ok(()) })
    }

    fn record_event<'a>(&'a self, _: &'a RunEvent) -> BoxFuture<'a, Result<(), EventError>> {
        self.trouble.come("record_event");
        Box::pin(async { Ok(()) })
    }

    fn redactor(&self) -> BoxFuture<'_, Redactor> {
        let mut values = KnownValues::default();
        for value in &self.secrets {
            values.add("", value.as_bytes());
        }
        let known = match self.secrets.as_slice() {
            [] => Known::NotSearched("a run without Secrets".to_owned()),
            _ => Known::Values(values),
        };
        Box::pin(async move { Redactor::new(known) })
    }

    fn query<'a>(&'a self, _: &'a Path, _: &'a Arc<Redactor>) -> BoxFuture<'a, Vec<String>> {
        let mut held = self.trouble.holds_queries.subscribe();
        Box::pin(async move {
            held.wait_for(|held| !held).await.unwrap();
            Vec::new()
        })
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

    fn monitor<'a>(&'a self, _: &'a Launch, _: mpsc::Sender<Report>) -> BoxFuture<'a, ()> {
        Box::pin(std::future::pending())
    }

    fn cleanup(&self) -> BoxFuture<'_, Result<(), BackendError>> {
        Box::pin(async { Ok(()) })
    }
}

/// A run whose plugins are launched and wait for results.
pub(crate) struct TestRun {
    pub(crate) address: SocketAddr,
    /// Address of the loopback listener, which outlives the run.
    pub(crate) local: SocketAddr,
    pub(crate) root: tempfile::TempDir,
    pub(crate) statuses: watch::Receiver<RunStatus>,
    pub(crate) trouble: Trouble,
    /// The loopback server.
    pub(crate) local_server: JoinHandle<()>,
    launches: Launches,
    outcome: JoinHandle<Result<FinishedRun, RunError>>,
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
        result_redaction: ResultRedaction::default(),
        description: String::new(),
        source_url: String::new(),
        order: 0,
        account: None,
        spec: json!({"name": "c"}),
        extra_volumes: Vec::new(),
        pod_spec: None,
        config_map: BTreeMap::new(),
        others: serde_json::Map::new(),
        other_settings: serde_json::Map::new(),
    }
}

/// The parameters of a run.
pub(crate) struct Options {
    pub(crate) definitions: Vec<Definition>,
    pub(crate) limits: UploadLimits,
    /// Number of nodes, named `n1` to `n<nodes>`.
    pub(crate) nodes: usize,
    pub(crate) config: Config,
    /// The bind address of the server.
    pub(crate) bind: IpAddr,
    /// Parent of the run's directory.
    pub(crate) place: PathBuf,
    /// The values of the cluster's Secrets.
    pub(crate) secrets: Vec<&'static str>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            definitions: vec![plugin("p", DriverKind::DaemonSet)],
            limits: UploadLimits::default(),
            nodes: 2,
            config: Config::default(),
            bind: Ipv4Addr::LOCALHOST.into(),
            place: std::env::temp_dir(),
            secrets: Vec::new(),
        }
    }
}

impl TestRun {
    /// Starts a run on nodes `n1` and `n2` and waits until its plugins are launched.
    pub(crate) async fn start(definitions: Vec<Definition>, limits: UploadLimits) -> Self {
        Self::begin(Options {
            definitions,
            limits,
            ..Options::default()
        })
        .await
    }

    /// Starts a run and waits until its plugins are launched.
    pub(crate) async fn begin(options: Options) -> Self {
        let Options {
            definitions,
            limits,
            nodes,
            config,
            bind,
            place,
            secrets,
        } = options;
        sono_tls::install_provider();
        let root = tempfile::tempdir_in(place).unwrap();
        let listener = TcpListener::bind((bind, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let view = LoopbackView::default();
        let (statuses, seen) = watch::channel(RunStatus::default());
        let (launched, mut count) = watch::channel(0);
        let (launches, trouble) = (Launches::default(), Trouble::default());
        let expected = definitions.len();
        let node = |number| NodeFacts {
            name: format!("n{number}"),
            ..NodeFacts::default()
        };
        let backend = TestBackend {
            nodes: (1..=nodes).map(node).collect(),
            launches: Arc::clone(&launches),
            launched,
            statuses,
            secrets,
            trouble: trouble.clone(),
        };
        let setup = Setup {
            config: Config {
                uuid: "run".to_owned(),
                ..config
            },
            definitions,
            backend: Arc::new(backend),
            root: root.path().to_path_buf(),
            listener,
            addresses: Addresses {
                url: format!("https://{address}"),
                fallback_url: None,
                names: vec!["127.0.0.1".to_owned(), "::1".to_owned()],
            },
            limits,
            clock: system_clock(),
            new_session: || SessionId::from_random([7; 8]),
            log: RunLog::new(system_clock()),
            reconcile: true,
            view: view.clone(),
        };
        let local_listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let local = local_listener.local_addr().unwrap();
        let local_server = serve_locally(local_listener, view.clone()).unwrap();
        let (shutdown, stopped) = oneshot::channel();
        let outcome = tokio::spawn(execute_run(setup, async {
            stopped.await.ok();
        }));
        within(count.wait_for(|count| *count == expected)).await.unwrap();
        Self {
            address,
            local,
            root,
            statuses: seen,
            trouble,
            local_server,
            launches,
            outcome,
            _shutdown: shutdown,
        }
    }

    /// TLS with this plugin's certificate.
    pub(crate) fn tls(&self, plugin: &str) -> rustls::ClientConfig {
        let launches = self.launches.lock().unwrap();
        let launch = &launches[&PluginName::parse(plugin).unwrap()];
        let identity = &launch.identity;
        sono_tls::client_config(&launch.ca_pem, &identity.certificate_pem, &identity.key_pem).unwrap()
    }

    /// A client with this plugin's certificate.
    pub(crate) fn client(&self, plugin: &str) -> reqwest::Client {
        reqwest::Client::builder()
            .tls_backend_preconfigured(self.tls(plugin))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// Directory of the run before its end.
    pub(crate) fn directory(&self) -> PathBuf {
        self.root.path().join("run")
    }

    /// The end of the run.
    pub(crate) async fn finished(self) -> (Result<FinishedRun, RunError>, tempfile::TempDir) {
        (within(self.outcome).await.unwrap(), self.root)
    }
}

/// Waits for a future with a time limit.
pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), work)
        .await
        .expect("within 30 s")
}
