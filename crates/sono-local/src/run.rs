//! A run on this machine, from plugin definitions to the archive.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read as _, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures::future::BoxFuture;
use sono_aggregator::{
    Addresses, Backend, BackendError, Clock, Driver, FinishedRun, LoopbackView, RunError, RunLog, Setup, execute_run,
};
use sono_bundle::create_private_directories;
use sono_manifest::{Definition, NodeFacts};
use sono_redact::{Layers, Redactions, Redactor, Report};
use sono_types::{Config, NodeName, RunStatus, SessionId, UploadLimits, error_chain, layout};
use tokio::sync::watch;

use crate::{
    Observer,
    driver::LocalDriver,
    translate::{Place, translate},
};

/// The inputs of a run.
pub struct Options {
    /// The plugins.
    pub definitions: Vec<Definition>,
    /// The run's configuration.
    pub config: Config,
    /// Directory of the archive.
    pub output: PathBuf,
    /// Receives every status.
    pub statuses: watch::Sender<RunStatus>,
    /// Stores the log for the archive.
    pub log: RunLog,
    /// The clock of the run.
    pub clock: Clock,
    /// Receives events of plugins.
    pub observer: Option<Observer>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Options")
            .field("definitions", &self.definitions)
            .field("output", &self.output)
            .finish_non_exhaustive()
    }
}

/// Why a local run failed.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// Plugins that require a cluster; all of them.
    #[error("{}", .0.join("\n"))]
    Unsupported(Vec<String>),
    /// The machine's name is not a valid node name.
    #[error("cannot use this machine's name as a node name")]
    Node(#[source] sono_types::ids::NameError),
    /// The directory for the plugins' files could not be created.
    #[error("cannot create a directory for the run")]
    Directory(#[source] std::io::Error),
    /// No loopback port is available.
    #[error("cannot listen on the loopback address")]
    Listen(#[source] std::io::Error),
    /// The run failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The archive could not be moved to the output directory.
    #[error("cannot move the archive to {path}; it remains at {source_path}")]
    Move {
        /// The destination.
        path: PathBuf,
        /// The path of the archive.
        source_path: PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
}

/// Runs the plugins on this machine and writes the archive to `options.output`. When `shutdown` resolves first, all
/// programs are killed.
pub async fn run(options: Options, shutdown: impl Future<Output = ()>) -> Result<FinishedRun, LocalError> {
    let Options {
        definitions,
        mut config,
        output,
        statuses,
        log,
        clock,
        observer,
    } = options;
    let node = node_name()?;
    let unsupported: Vec<String> = definitions
        .iter()
        .filter_map(|definition| translate(definition, &placeholder(&node)).err())
        .map(|error| error.to_string())
        .collect();
    if !unsupported.is_empty() {
        return Err(LocalError::Unsupported(unsupported));
    }
    let directory = tempfile::Builder::new()
        .prefix("sono-")
        .tempdir()
        .map_err(LocalError::Directory)?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(LocalError::Listen)?;
    let address = listener.local_addr().map_err(LocalError::Listen)?;
    if config.uuid.is_empty() {
        config.uuid = uuid::Uuid::new_v4().to_string();
    }
    "local".clone_into(&mut config.namespace);
    sono_tls::install_provider();
    let plugins = match &observer {
        Some(observer) => observer.directory.clone(),
        None => directory.path().join("plugins"),
    };
    let backend = LocalBackend {
        node,
        plugins,
        statuses,
        observer,
    };
    let setup = Setup {
        config,
        definitions,
        backend: Arc::new(backend),
        root: directory.path().join("run"),
        listener,
        addresses: Addresses {
            url: format!("https://{address}"),
            fallback_url: None,
            names: vec!["127.0.0.1".to_owned()],
        },
        limits: UploadLimits::default(),
        clock,
        new_session,
        log,
        // Programs find their results directory through the environment.
        reconcile: false,
        view: LoopbackView::default(),
    };
    let finished = match execute_run(setup, shutdown).await {
        Ok(finished) => finished,
        Err(error) => {
            if matches!(error, RunError::Pack { .. }) {
                // The error names the directory of the results, so it must remain.
                drop(directory.keep());
            }
            return Err(error.into());
        }
    };
    let archive = output.join(finished.archive.file_name().unwrap_or_default());
    if let Err(source) = move_file(&finished.archive, &archive) {
        drop(directory.keep());
        return Err(LocalError::Move {
            path: archive,
            source_path: finished.archive,
            source,
        });
    }
    Ok(FinishedRun { archive, ..finished })
}

/// Moves a file to a path that may be on another file system.
fn move_file(from: &Path, to: &Path) -> std::io::Result<()> {
    let folder = to
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."));
    create_private_directories(folder)?;
    #[cfg(unix)]
    fs_err::set_permissions(from, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    if fs_err::rename(from, to).is_ok() {
        return Ok(());
    }
    // Copied under a temporary name, so that the archive appears only when complete.
    let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
    std::io::copy(&mut fs_err::File::open(from)?, &mut temporary)?;
    temporary.as_file().sync_all()?;
    temporary.persist(to)?;
    Ok(())
}

/// Placeholder paths: whether a plugin can run does not depend on them.
fn placeholder(node: &NodeName) -> Place {
    Place {
        results_dir: String::new(),
        config_dir: String::new(),
        progress_port: String::new(),
        node: node.to_string(),
    }
}

fn new_session() -> SessionId {
    let (high, _) = uuid::Uuid::new_v4().as_u64_pair();
    SessionId::from_random(high.to_be_bytes())
}

/// This machine's name, with characters that are not allowed in a node's name replaced by dashes.
fn node_name() -> Result<NodeName, LocalError> {
    let name: String = host_name()
        .chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-') {
                letter
            } else {
                '-'
            }
        })
        .collect();
    let name = name.trim_start_matches('.');
    NodeName::parse(if name.is_empty() { "localhost" } else { name }).map_err(LocalError::Node)
}

#[cfg(unix)]
fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn host_name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default()
}

/// The backend of a local run: one node, no API server.
struct LocalBackend {
    node: NodeName,
    /// Parent of the plugins' directories.
    plugins: PathBuf,
    statuses: watch::Sender<RunStatus>,
    observer: Option<Observer>,
}

impl Backend for LocalBackend {
    fn nodes<'a>(&'a self, _: &'a BTreeSet<String>) -> BoxFuture<'a, Result<Option<Vec<NodeFacts>>, BackendError>> {
        let labels = BTreeMap::from([
            ("kubernetes.io/hostname".to_owned(), self.node.to_string()),
            ("kubernetes.io/os".to_owned(), kubernetes_os().to_owned()),
        ]);
        let node = NodeFacts {
            name: self.node.to_string(),
            labels,
            ..NodeFacts::default()
        };
        Box::pin(async { Ok(Some(vec![node])) })
    }

    fn driver(&self, definition: Definition, session: SessionId) -> Box<dyn Driver> {
        let node = self.node.clone();
        Box::new(LocalDriver::new(
            definition,
            session,
            node,
            &self.plugins,
            self.observer.clone(),
        ))
    }

    /// The status stays in this process.
    fn max_status_bytes(&self) -> Option<usize> {
        None
    }

    fn publish<'a>(&'a self, status: &'a RunStatus) -> BoxFuture<'a, Result<(), BackendError>> {
        self.statuses.send_replace(status.clone());
        Box::pin(async { Ok(()) })
    }

    /// Copies the plugins' output without secrets to the place of pod logs, since no API server can be queried.
    fn query<'a>(&'a self, directory: &'a Path, redactor: &'a Arc<Redactor>) -> BoxFuture<'a, Vec<String>> {
        Box::pin(async move {
            let mut problems = Vec::new();
            let (mut report, mut all) = (Report::default(), Redactions::default());
            report.describe(redactor);
            for plugin in names(&self.plugins) {
                for log in names(&self.plugins.join(&plugin).join("logs")) {
                    let from = self.plugins.join(&plugin).join("logs").join(&log);
                    let container = log.strip_suffix(".txt").unwrap_or(&log);
                    let name = layout::pod_log("local", &plugin, container);
                    match copy_redacted(redactor, &from, &directory.join(&name)) {
                        Ok((bytes, found)) => {
                            report.add(&name, bytes, &found);
                            all.merge(found);
                        }
                        Err(error) => problems.push(error.to_string()),
                    }
                }
            }
            if all.total() > 0 {
                report.add_rows(&all);
                let text = format!("{}\n", serde_json::json!(report));
                let written = sono_bundle::write_durably(&directory.join(layout::REDACTIONS), text.as_bytes());
                problems.extend(written.err().map(|error| error_chain(&error)));
            }
            problems
        })
    }
}

/// Copies a log without its secrets. Creates the parent directory. Returns the size of the copy.
fn copy_redacted(redactor: &Redactor, from: &Path, to: &Path) -> io::Result<(u64, Redactions)> {
    if let Some(parent) = to.parent() {
        fs_err::create_dir_all(parent)?;
    }
    let (mut source, mut copy) = (fs_err::File::open(from)?, fs_err::File::create(to)?);
    let mut stream = redactor.stream(Layers::All).named("PodLog");
    let (mut piece, mut out) = (vec![0; 64 << 10], Vec::new());
    loop {
        let read = source.read(&mut piece)?;
        if read == 0 {
            break;
        }
        stream.push(piece.get(..read).unwrap_or_default(), &mut out);
        copy.write_all(&out)?;
        out.clear();
    }
    let found = stream.finish(&mut out);
    copy.write_all(&out)?;
    Ok((copy.metadata()?.len(), found))
}

/// Kubernetes' label value for this operating system.
fn kubernetes_os() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        os => os,
    }
}

/// The names in a directory, sorted; empty if it does not exist.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs_err::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
