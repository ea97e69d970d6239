//! The shell around [`Run`]: the one task that owns it, carries out its effects and answers the desk.

use std::{
    collections::BTreeMap,
    future::Future,
    net::{SocketAddr, TcpListener},
    panic::AssertUnwindSafe,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use axum_server::{
    Handle,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use futures::FutureExt as _;
use jiff::Timestamp;
use serde_json::{Map, Value};
use sono_manifest::{Definition, NodeFacts, reconcile_results_dir};
use sono_tls::{Authority, Identity};
use sono_types::{
    Config, OverallStatus, PluginName, ResultKey, RunStatus, SessionId, TarInfo, UploadLimits, constants, layout,
    status::plugin_status,
};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
};

use crate::{
    Clock,
    desk::{Desk, Message},
    driver::{Driver, FailureReport, Launch, Site},
    finish::{self, Finish},
    http::{self, Interface},
    limit::LimitedAcceptor,
    publish,
    run::{Effect, Event, Failure, Plan, Run},
    run_log::RunLog,
    upload::{Uploads, chain},
};

/// How long a run that was told to stop still takes for its last status, and for the removal of its plugins.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Everything a run needs, resolved.
#[allow(
    missing_debug_implementations,
    clippy::allow_attributes,
    reason = "holds trait objects and a closure"
)]
pub struct Setup {
    /// The effective configuration, with the run's UUID.
    pub config: Config,
    /// The plugins to run, checked to have different names.
    pub definitions: Vec<Definition>,
    /// Where the run happens.
    pub site: Arc<dyn Site>,
    /// Directory for the run's files and its archive.
    pub root: PathBuf,
    /// Where workers connect to.
    pub listener: TcpListener,
    /// How workers name it.
    pub addresses: Addresses,
    /// Limits on what they send.
    pub limits: UploadLimits,
    /// The time.
    pub clock: Clock,
    /// Makes session ids.
    pub new_session: fn() -> SessionId,
    /// Takes the log into the archive.
    pub log: RunLog,
    /// Whether results mounts of plugins are pointed at the configured directory.
    pub reconcile: bool,
}

/// How workers reach the aggregator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// `https://host:port`, tried first.
    pub url: String,
    /// `https://host:port`, tried when the first does not answer.
    pub fallback_url: Option<String>,
    /// Addresses and names that the server's certificate is for.
    pub names: Vec<String>,
}

/// A finished run.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// The archive on disk.
    pub archive: PathBuf,
    /// The last status.
    pub status: RunStatus,
    /// Errors that were logged on the way; the run went on.
    pub errors: usize,
}

/// Why a run ended without an archive.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The run's directory could not be made.
    #[error("preparing {path}")]
    Prepare {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file of the run could not be written.
    #[error("writing the run's files")]
    Write(#[source] sono_bundle::StoreError),
    /// The nodes could not be listed.
    #[error("listing nodes: {0}")]
    Nodes(String),
    /// Certificates could not be made.
    #[error("making the run's certificates")]
    Certificates(#[source] sono_tls::TlsError),
    /// The server ended.
    #[error("serving workers")]
    Serve(#[source] std::io::Error),
    /// The archive could not be made; the run's directory is kept.
    #[error("packing the archive; its content is kept in {directory}: {reason}")]
    Pack {
        /// The run's directory.
        directory: PathBuf,
        /// Why.
        reason: String,
    },
    /// Told to stop before the end.
    #[error("stopped before the run was complete")]
    Stopped,
}

/// Runs everything: plugins, queries, post-processing, archive. Returns when the archive is sealed and the last status
/// published. When `shutdown` resolves first, the run ends with [`RunError::Stopped`] and its directory stays.
pub async fn run(setup: Setup, shutdown: impl Future<Output = ()>) -> Result<Finished, RunError> {
    let site = Arc::clone(&setup.site);
    let (statuses, mut publisher) = publish::start(Arc::clone(&site));
    let mut shutdown = std::pin::pin!(shutdown);
    let outcome = collect(setup, &statuses, shutdown.as_mut()).await;
    if matches!(outcome, Err(RunError::Stopped)) {
        publisher.abort();
        // One try: the pod is going, and so may be everything that lets us write.
        let status = RunStatus {
            status: OverallStatus::Failed,
            ..statuses.borrow().clone()
        };
        if !matches!(
            tokio::time::timeout(LAST_WORDS, site.publish(&status)).await,
            Ok(Ok(()))
        ) {
            tracing::warn!("the status could not be set to failed");
        }
        return outcome;
    }
    if outcome.is_err() {
        // Whoever waits must learn that there is nothing to wait for.
        statuses.send_modify(|status| status.status = OverallStatus::Failed);
    }
    drop(statuses);
    tokio::select! {
        published = &mut publisher => {
            if let Err(error) = published {
                tracing::error!(%error, "publishing the status");
            }
        }
        () = shutdown => publisher.abort(),
    }
    outcome
}

async fn collect(
    setup: Setup,
    statuses: &watch::Sender<RunStatus>,
    mut shutdown: Pin<&mut impl Future<Output = ()>>,
) -> Result<Finished, RunError> {
    let Setup {
        mut config,
        definitions,
        site,
        root,
        listener,
        addresses,
        limits,
        clock,
        new_session,
        log,
        reconcile,
    } = setup;
    let start = clock();
    constants::ARCHIVE_VERSION.clone_into(&mut config.version);
    let directory = root.join(&config.uuid);
    let incoming = root.join(format!(".incoming-{}", config.uuid));
    let prepare = |path: PathBuf| fs_err::create_dir_all(&path).map_err(|source| RunError::Prepare { path, source });
    prepare(directory.join("meta"))?;
    prepare(incoming.clone())?;
    log.attach(&directory.join(layout::RUN_LOG))
        .map_err(|source| RunError::Prepare {
            path: directory.clone(),
            source,
        })?;
    sono_bundle::write_durably(&directory.join(layout::CONFIG), config.to_json().as_bytes())
        .map_err(RunError::Write)?;

    let nodes = tokio::select! {
        nodes = site.nodes() => nodes.map_err(RunError::Nodes)?,
        () = &mut shutdown => return Err(RunError::Stopped),
    };
    let drivers = drivers(definitions, &config, site.as_ref(), new_session, reconcile);
    let plans = plans(&drivers, &nodes, &config);
    for plan in plans.iter().filter(|plan| plan.expected.is_empty()) {
        tracing::warn!(plugin_name = %plan.plugin, "no node matches this plugin: it is not started");
    }
    let mut run = Run::new(plans);

    let authority = Authority::new(start).map_err(RunError::Certificates)?;
    let limits = Arc::new(limits);
    let (desk, mut messages) = Desk::new();
    let interface = Interface {
        desk: desk.clone(),
        uploads: Uploads::new(desk.clone(), directory.clone(), incoming.clone(), Arc::clone(&limits)),
        limits: Arc::clone(&limits),
        clock: Arc::clone(&clock),
    };
    let (server, handle) = serve(listener, &authority, start, &addresses.names, &limits, interface)?;
    let mut server = Server { task: server, handle };

    let launcher = Launcher {
        drivers,
        addresses,
        authority,
        desk: desk.clone(),
        clock: Arc::clone(&clock),
        start,
    };
    let mut tasks = Tasks::default();
    let mut effects = run.handle(clock(), Event::Start);
    let ended = loop {
        for effect in effects.drain(..) {
            match effect {
                Effect::Launch { plugin, deadline } => launcher.launch(&run, &plugin, deadline, &mut tasks),
                Effect::StopMonitor(plugin) => tasks.stop(&plugin),
                Effect::RecordError { key, failure } => {
                    tasks.record(directory.join(layout::errors_dir(&key)), &key, failure);
                }
                Effect::Publish => {
                    statuses.send_replace(run.status());
                }
                Effect::Finish => {
                    tasks.written().await;
                    let finish = Finish {
                        directory: directory.clone(),
                        archive: root.join(layout::archive_name(start, &config.uuid)),
                        stored: run.stored(),
                        expected: run.expected().cloned().collect(),
                        drivers: Arc::clone(&launcher.drivers),
                        site: Arc::clone(&site),
                        config: config.clone(),
                        clock: Arc::clone(&clock),
                        log: log.clone(),
                        desk: desk.clone(),
                    };
                    tasks.finish = Some(tokio::spawn(finish::finish(finish)));
                }
            }
        }
        let finished = async {
            match tasks.finish.as_mut() {
                Some(task) => task.await,
                None => std::future::pending().await,
            }
        };
        effects = tokio::select! {
            Some(message) = messages.recv() => answer(&mut run, clock(), message),
            () = until(run.next_deadline(), &clock) => run.handle(clock(), Event::Tick),
            outcome = finished => break outcome.unwrap_or_else(|error| Err(error.to_string())),
            ended = &mut server.task => {
                let ended = ended.unwrap_or_else(|error| Err(std::io::Error::other(error)));
                return Err(RunError::Serve(ended.err().unwrap_or_else(|| std::io::Error::other("the server ended"))));
            }
            () = &mut shutdown => {
                log.detach();
                // Nothing could take these plugins up again.
                tokio::time::timeout(LAST_WORDS, finish::clean_up(&launcher.drivers)).await.ok();
                return Err(RunError::Stopped);
            }
        };
    };
    // What was said before the end still counts.
    while let Ok(message) = messages.try_recv() {
        answer(&mut run, clock(), message);
    }
    // Whoever still uploads is told that it is over, rather than cut off.
    drop(messages);
    server.handle.graceful_shutdown(Some(Duration::from_secs(1)));
    match &ended {
        Ok((tarball, _)) => run.handle(clock(), Event::Sealed(tarball.clone())),
        Err(_) => run.handle(clock(), Event::Broken),
    };
    let status = run.status();
    statuses.send_replace(status.clone());
    // Best effort: what is left there is no result any more.
    fs_err::remove_dir_all(&incoming).ok();
    let (tarball, problems): (TarInfo, usize) = ended.map_err(|reason| RunError::Pack {
        directory: directory.clone(),
        reason,
    })?;
    if let Err(error) = fs_err::remove_dir_all(&directory) {
        tracing::warn!(%error, "removing the packed directory");
    }
    if run.timed_out() {
        tracing::error!("Timeout occurred when running plugins. Inspect logs further for details.");
    }
    let failed = status
        .rows()
        .iter()
        .filter(|row| row.status == plugin_status::FAILED)
        .count();
    Ok(Finished {
        archive: root.join(tarball.name),
        status,
        errors: failed + problems,
    })
}

/// Ends the server's task when the run ends, however it ends.
struct Server {
    task: JoinHandle<std::io::Result<()>>,
    handle: Handle<SocketAddr>,
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.task.is_finished() {
            self.handle.graceful_shutdown(Some(Duration::from_secs(1)));
        }
    }
}

fn drivers(
    definitions: Vec<Definition>,
    config: &Config,
    site: &dyn Site,
    new_session: fn() -> SessionId,
    reconcile: bool,
) -> Arc<BTreeMap<PluginName, Box<dyn Driver>>> {
    let drivers = definitions.into_iter().map(|mut definition| {
        if reconcile {
            reconcile_results_dir(&mut definition, &config.results_dir);
        }
        (definition.name.clone(), site.driver(definition, new_session()))
    });
    Arc::new(drivers.collect())
}

fn plans(drivers: &BTreeMap<PluginName, Box<dyn Driver>>, nodes: &[NodeFacts], config: &Config) -> Vec<Plan> {
    let timeout = (config.server.timeout_seconds > 0).then(|| Duration::from_secs(config.server.timeout_seconds));
    let plan = |driver: &dyn Driver| Plan {
        plugin: driver.name().clone(),
        order: driver.definition().order,
        expected: driver.expected_results(nodes),
        timeout,
    };
    drivers.values().map(|driver| plan(driver.as_ref())).collect()
}

fn serve(
    listener: TcpListener,
    authority: &Authority,
    now: Timestamp,
    names: &[String],
    limits: &UploadLimits,
    interface: Interface,
) -> Result<(JoinHandle<std::io::Result<()>>, Handle<SocketAddr>), RunError> {
    let identity = authority.server(now, names).map_err(RunError::Certificates)?;
    let config = sono_tls::server_config(&identity, authority.certificate_pem()).map_err(RunError::Certificates)?;
    let acceptor = RustlsAcceptor::new(RustlsConfig::from_config(Arc::new(config)))
        .handshake_timeout(limits.handshake_timeout)
        .acceptor(LimitedAcceptor::new(limits.max_connections, limits.handshake_timeout));
    let handle = Handle::new();
    listener.set_nonblocking(true).map_err(RunError::Serve)?;
    let mut server = axum_server::from_tcp(listener)
        .map_err(RunError::Serve)?
        .acceptor(acceptor)
        .handle(handle.clone())
        .first_request_timeout(limits.handshake_timeout);
    server
        .http_builder()
        .http1()
        .header_read_timeout(limits.handshake_timeout);
    let app = http::router(interface).into_make_service();
    Ok((tokio::spawn(server.serve(app)), handle))
}

fn answer(run: &mut Run, at: Timestamp, message: Message) -> Vec<Effect> {
    match message {
        // An asker that has gone needs no answer.
        Message::Begin { key, reply } => {
            reply.send(run.begin(&key)).ok();
            Vec::new()
        }
        Message::Claim { ticket, reply } => {
            let claim = run.claim(&ticket);
            reply.send((ticket, claim)).ok();
            Vec::new()
        }
        Message::Finish { ticket, outcome, reply } => {
            let effects = run.finish(at, &ticket, outcome);
            reply.send(()).ok();
            effects
        }
        Message::Progress { key, update, reply } => {
            let expected = run.expects(&key);
            reply.send(expected).ok();
            if expected {
                run.handle(at, Event::Progress { key, update })
            } else {
                Vec::new()
            }
        }
        Message::Event(event) => run.handle(at, event),
    }
}

/// Waits until `deadline`, for ever where there is none.
pub(crate) async fn until(deadline: Option<Timestamp>, clock: &Clock) {
    match deadline {
        None => std::future::pending().await,
        Some(deadline) => {
            let left = Duration::try_from(deadline.duration_since(clock())).unwrap_or(Duration::ZERO);
            tokio::time::sleep(left).await;
        }
    }
}

/// Starts plugins.
struct Launcher {
    drivers: Arc<BTreeMap<PluginName, Box<dyn Driver>>>,
    addresses: Addresses,
    authority: Authority,
    desk: Desk,
    clock: Clock,
    start: Timestamp,
}

impl Launcher {
    fn launch(&self, run: &Run, plugin: &PluginName, deadline: Option<Timestamp>, tasks: &mut Tasks) {
        let order = self.drivers.get(plugin).map_or(0, |driver| driver.definition().order);
        tracing::info!(plugin_name = %plugin, order, "Running plugin");
        let expected = run.expected().filter(|key| key.plugin == *plugin).cloned().collect();
        let identity = self.authority.client((self.clock)(), plugin);
        let launch = |identity: Identity| Launch {
            url: self.addresses.url.clone(),
            fallback_url: self.addresses.fallback_url.clone(),
            ca_pem: self.authority.certificate_pem().to_owned(),
            identity,
            deadline,
            expected,
        };
        let launch = identity.map(launch);
        let (drivers, desk, name) = (Arc::clone(&self.drivers), self.desk.clone(), plugin.clone());
        let since_start = (self.clock)().duration_since(self.start);
        tracing::debug!(plugin_name = %plugin, since_start = %since_start, "launching");
        tasks.monitors.insert(
            plugin.clone(),
            tokio::spawn(async move {
                let work = async {
                    match (launch, drivers.get(&name)) {
                        (Ok(launch), Some(driver)) => match driver.run(&launch).await {
                            Ok(()) => {
                                watch_over(driver.as_ref(), &launch, &desk).await;
                                None
                            }
                            Err(failure) => Some(failure),
                        },
                        (Err(error), _) => Some(Failure::new(chain(&error))),
                        (_, None) => Some(Failure::new("the plugin is not known")),
                    }
                };
                // A driver that breaks must not leave its plugin waited for.
                let outcome = AssertUnwindSafe(work).catch_unwind().await;
                let failure =
                    outcome.unwrap_or_else(|_| Some(Failure::new("its driver broke: a defect of this program")));
                let Some(failure) = failure else { return };
                tracing::error!(plugin_name = %name, error = failure.message, "error running plugin");
                let failure = Failure {
                    message: format!("error running plugin {name}: {}", failure.message),
                    ..failure
                };
                // The run being over is the only reason for this to fail, and then nobody waits for the plugin.
                desk.tell(Event::LaunchFailed { plugin: name, failure }).await.ok();
            }),
        );
    }
}

async fn watch_over(driver: &dyn Driver, launch: &Launch, desk: &Desk) {
    let (reports, mut findings) = mpsc::channel::<FailureReport>(64);
    let pass_on = async {
        while let Some((key, failure)) = findings.recv().await {
            tracing::info!(plugin_name = %key.plugin, node = %key.target, error = failure.message, "received internal aggregator result");
            if desk.tell(Event::Failed { key, failure }).await.is_err() {
                return;
            }
        }
        std::future::pending::<()>().await;
    };
    tokio::join!(driver.monitor(launch, reports), pass_on);
}

/// Tasks of the engine; all end with it.
#[derive(Default)]
struct Tasks {
    monitors: BTreeMap<PluginName, JoinHandle<()>>,
    writes: JoinSet<Result<(), sono_bundle::StoreError>>,
    finish: Option<JoinHandle<finish::Ended>>,
}

impl Tasks {
    fn stop(&mut self, plugin: &PluginName) {
        if let Some(monitor) = self.monitors.remove(plugin) {
            monitor.abort();
        }
    }

    fn record(&mut self, directory: PathBuf, key: &ResultKey, failure: Failure) {
        tracing::warn!(plugin_name = %key.plugin, node = %key.target, error = failure.message, "recording an error in place of a result");
        let mut fields: Map<String, Value> = failure.details.into_iter().collect();
        fields.insert("error".to_owned(), failure.message.into());
        self.writes.spawn_blocking(move || {
            let bytes = Value::Object(fields).to_string();
            sono_bundle::write_durably(&directory.join(constants::ERROR_FILE), bytes.as_bytes())
        });
    }

    /// Waits until all errors are on disk.
    async fn written(&mut self) {
        while let Some(written) = self.writes.join_next().await {
            match written {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(error = chain(&error), "recording an error"),
                Err(error) => tracing::error!(%error, "recording an error"),
            }
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        for monitor in self.monitors.values() {
            monitor.abort();
        }
        if let Some(finish) = &self.finish {
            finish.abort();
        }
    }
}
