//! The program of the aggregator's image: arguments, log, signals.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::{Seek as _, SeekFrom, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use futures::FutureExt as _;
use sono_kube::{Cluster, Connection};
use sono_log::KlogFlags;
use sono_types::{Config, SessionId, constants, exit};
use tracing_subscriber::{filter::LevelFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::{
    clock::system_clock,
    cluster,
    cluster::ClusterBackend,
    connections::raise_descriptor_limit,
    coordinator::Setup,
    execute_run,
    observe::{
        loopback::{LoopbackView, serve_locally, serve_metrics},
        run_id::WithRun,
        run_log::RunLog,
    },
    settings::Settings,
};

mod canaries;
mod inside;

#[derive(Debug, Parser)]
#[command(
    name = "sonobuoy",
    version,
    about = "The aggregator of sono, and the other commands of its image"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start plugins, collect their results, pack the archive.
    Aggregator(Aggregator),
    /// Query the cluster and write the results to a directory.
    Query(Query),
    /// Write all archives of a directory to standard output, as one gzipped tar.
    Splat {
        /// The directory.
        directory: PathBuf,
        /// Write only this file of the directory, unchanged.
        #[arg(long)]
        file: Option<String>,
        /// Start at this byte of the file, to resume an interrupted download.
        #[arg(long, requires = "file", default_value_t = 0)]
        offset: u64,
    },
    /// Print the status of the run in this pod as JSON.
    Status {
        /// Print every row, not the short form for the annotation.
        #[arg(long)]
        full: bool,
    },
    /// Run the worker, the sidecar of a plugin.
    #[command(disable_help_flag = true)]
    Worker {
        /// Its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Write canaries to the log and the result of a pod, to test redaction.
    #[command(hide = true)]
    Canaries {
        /// Canaries in the arguments of the pod.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        planted: Vec<OsString>,
    },
    /// Run the built-in plugin host-check.
    #[command(disable_help_flag = true)]
    HostCheck {
        /// Its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

#[derive(Debug, Args)]
struct Aggregator {
    /// Continue to run after the run has ended, so that the archive can be fetched.
    #[arg(long)]
    no_exit: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Query {
    /// Output directory [default: `QueryDir` of the configuration].
    #[arg(short, long)]
    output: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// Path to a kubeconfig [default: KUBECONFIG, ~/.kube/config, or the pod's service account].
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    #[arg(long)]
    context: Option<String>,
    /// Log level.
    #[arg(long, default_value = "info", value_parser = sono_log::LEVELS)]
    level: String,
    /// Verbosity of klog, without an effect: manifests of Sonobuoy pass it.
    #[arg(short = 'v', long = "v", hide = true)]
    verbosity: Option<String>,
    #[command(flatten)]
    klog: KlogFlags,
}

/// Executes the command of the arguments.
pub fn program(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() {
                exit::FAILURE
            } else {
                exit::SUCCESS
            };
            // A failure to write the message cannot be reported.
            error.print().ok();
            return ExitCode::from(code);
        }
    };
    let outcome = match arguments.command {
        Command::Aggregator(aggregator) => in_runtime(&aggregator.common.level.clone(), |log| run(aggregator, log)),
        Command::Query(query) => in_runtime(&query.common.level.clone(), |_| query_once(query)),
        Command::Splat {
            directory, file: None, ..
        } => splat(&directory),
        Command::Splat {
            directory,
            file: Some(file),
            offset,
        } => copy(&directory, &file, offset),
        Command::Status { full } => inside::status(full),
        Command::Canaries { planted: _ } => canaries::plant(),
        Command::Worker { arguments } => worker(&arguments),
        Command::HostCheck { arguments } => return sono_host::command(arguments),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "failed");
            say(&format!("error: {error:#}"));
            ExitCode::from(exit::FAILURE)
        }
    }
}

/// Prints the error of a program that fails before its log is set up.
#[expect(
    clippy::print_stderr,
    reason = "splat and worker have no log, and a failed start must be seen"
)]
fn say(text: &str) {
    eprintln!("{text}");
}

fn in_runtime<F>(level: &str, work: impl FnOnce(RunLog) -> F) -> anyhow::Result<ExitCode>
where
    F: Future<Output = anyhow::Result<ExitCode>>,
{
    let log = RunLog::new(system_clock());
    let level = sono_log::filter(level);
    // sono's records at the given level; libraries only warnings and errors.
    let targets = tracing_subscriber::filter::Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("sono", level)
        .with_target("sono_aggregator", level)
        .with_target("sono_kube", level);
    tracing_subscriber::registry()
        .with(targets)
        .with(
            tracing_subscriber::fmt::layer()
                .event_format(WithRun::new(log.run_id()))
                .with_writer(std::io::stderr),
        )
        .with(log.clone())
        .try_init()
        .context("cannot start the log")?;
    sono_tls::install_provider();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let outcome = runtime.block_on(work(log));
    // A disk that does not respond must not hold up a process that was asked to stop.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn run(arguments: Aggregator, log: RunLog) -> anyhow::Result<ExitCode> {
    // Shared: several places wait for it, also after it resolved.
    let shutdown = terminated()?.shared();
    raise_descriptor_limit();
    let variables: BTreeMap<String, String> = std::env::vars().collect();
    let settings = Settings::load(&variables, Path::new("")).context("error loading sonobuoy configuration")?;
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let config = settings.config;
    let clock = system_clock();
    // First, because an address in use must be detected before any object is created (weakness W-23).
    let address = bind_address(&config, settings.advertise_ip.as_deref());
    let listener = TcpListener::bind(&address).with_context(|| format!("cannot listen on {address}"))?;
    let view = LoopbackView::default();
    // Best effort: without it the status is in the annotation, and the archive is fetched by exec.
    let _local = match TcpListener::bind(("127.0.0.1", constants::LOCAL_PORT))
        .and_then(|listener| serve_locally(listener, view.clone()))
    {
        Ok(task) => Some(task),
        Err(error) => {
            tracing::warn!(%error, port = constants::LOCAL_PORT, "cannot serve status and archive on the loopback address, continuing without it");
            None
        }
    };
    let _metrics = metrics_listener(&config.server.metrics_address, &view);
    let find = async {
        let cluster = connect(&arguments.common).await?;
        let found = ClusterBackend::find(cluster, &config, settings.advertise_ip.as_deref(), Arc::clone(&clock)).await;
        anyhow::Ok(found?)
    };
    let (backend, addresses) = tokio::select! {
        found = find => found?,
        () = shutdown.clone() => return Ok(ExitCode::from(exit::FAILURE)),
    };
    let limits = config.upload_limits.clone();
    let setup = Setup {
        config,
        definitions: settings.definitions,
        backend: Arc::new(backend),
        root: PathBuf::from(constants::AGGREGATOR_DIR),
        listener,
        addresses,
        limits,
        clock,
        new_session,
        log,
        reconcile: settings.reconcile,
        view,
    };
    let outcome = execute_run(setup, shutdown.clone()).await;
    let errors = match &outcome {
        Ok(finished) => finished.errors,
        Err(crate::error::RunError::Stopped) => {
            tracing::warn!("stopped before the run was complete");
            return Ok(ExitCode::from(exit::FAILURE));
        }
        // Not restarted: that would take the run from its owner.
        Err(error @ crate::error::RunError::Superseded(_)) => {
            tracing::error!("{error}");
            1
        }
        Err(error) => {
            tracing::error!(error = sono_types::error_chain(error), "the run failed");
            1
        }
    };
    if arguments.no_exit {
        tracing::info!("{}", constants::NO_EXIT_MESSAGE);
        shutdown.await;
        return Ok(ExitCode::from(exit::SUCCESS));
    }
    if errors > 0 {
        tracing::error!("{errors} errors encountered during execution");
        return Ok(ExitCode::from(exit::FAILURE));
    }
    Ok(ExitCode::from(exit::SUCCESS))
}

/// Serves metrics. Best effort: no result depends on them.
fn metrics_listener(address: &str, view: &LoopbackView) -> Option<tokio::task::JoinHandle<()>> {
    if address.is_empty() {
        return None;
    }
    match TcpListener::bind(address).and_then(|listener| serve_metrics(listener, view.clone())) {
        Ok(task) => Some(task),
        Err(error) => {
            tracing::warn!(%error, address, "cannot serve metrics at Server.metricsaddress, continuing without them");
            None
        }
    }
}

/// Where to listen. `0.0.0.0`, the default, would leave out pods whose only address is IPv6.
fn bind_address(config: &Config, pod_ip: Option<&str>) -> String {
    let (host, port) = (config.server.bind_address.as_str(), config.server.bind_port);
    let pod_is_v6 = pod_ip.is_some_and(|address| address.contains(':'));
    match host {
        "0.0.0.0" if pod_is_v6 => format!("[::]:{port}"),
        host if host.contains(':') => format!("[{host}]:{port}"),
        host => format!("{host}:{port}"),
    }
}

async fn query_once(arguments: Query) -> anyhow::Result<ExitCode> {
    let variables: BTreeMap<String, String> = std::env::vars().collect();
    let settings = Settings::load(&variables, Path::new("")).context("error loading sonobuoy configuration")?;
    let cluster = connect(&arguments.common).await?;
    let directory = arguments
        .output
        .unwrap_or_else(|| PathBuf::from(cluster::query::default_directory(&settings.config)));
    let secrets = cluster::query::SecretValues::NotRead("values of Secrets are read in runs only");
    let problems = cluster::query::query(&cluster, &settings.config, secrets, &directory, &system_clock()).await;
    for problem in &problems {
        tracing::error!("{problem}");
    }
    Ok(ExitCode::from(if problems.is_empty() {
        exit::SUCCESS
    } else {
        exit::FAILURE
    }))
}

async fn connect(common: &Common) -> anyhow::Result<Cluster> {
    let connection = Connection {
        kubeconfig: common.kubeconfig.clone(),
        context: common.context.clone(),
    };
    Cluster::connect(&connection)
        .await
        .context("cannot connect to the cluster")
}

fn new_session() -> SessionId {
    let (high, _) = uuid::Uuid::new_v4().as_u64_pair();
    SessionId::from_random(high.to_be_bytes())
}

/// Resolves at SIGTERM or SIGINT.
#[cfg(unix)]
fn terminated() -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Resolves at Ctrl-C.
#[cfg(not(unix))]
fn terminated() -> anyhow::Result<impl Future<Output = ()>> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}

fn splat(directory: &Path) -> anyhow::Result<ExitCode> {
    let stdout = std::io::stdout().lock();
    drop(
        sono_bundle::splat(directory, stdout)
            .with_context(|| format!("packing the archives of {}", directory.display()))?,
    );
    Ok(ExitCode::from(exit::SUCCESS))
}

/// Writes one file of the directory from `offset` on: the rest of an interrupted download.
fn copy(directory: &Path, file: &str, offset: u64) -> anyhow::Result<ExitCode> {
    let base = Path::new(file).file_name().filter(|name| *name == file);
    let path = directory.join(base.with_context(|| format!("{file:?} is not the name of a file"))?);
    let mut source = fs_err::File::open(&path)?;
    let size = source.metadata()?.len();
    anyhow::ensure!(offset <= size, "{} has only {size} bytes", path.display());
    source.seek(SeekFrom::Start(offset))?;
    let mut stdout = std::io::stdout().lock();
    std::io::copy(&mut source, &mut stdout).with_context(|| format!("copying {}", path.display()))?;
    stdout.flush().context("writing to standard output")?;
    Ok(ExitCode::from(exit::SUCCESS))
}

/// The worker is a program of its own, because it must stay small in every plugin's pod; this image holds both.
fn worker(arguments: &[OsString]) -> anyhow::Result<ExitCode> {
    let own = std::env::current_exe().context("finding the worker next to this program")?;
    let program = own.with_file_name("sono-worker");
    let mut command = std::process::Command::new(&program);
    command.arg("worker").args(arguments);
    start(command).with_context(|| format!("starting {}", program.display()))
}

#[cfg(unix)]
fn start(mut command: std::process::Command) -> std::io::Result<ExitCode> {
    use std::os::unix::process::CommandExt as _;
    // Replaces this process, so that signals reach the worker.
    Err(command.exec())
}

#[cfg(not(unix))]
fn start(mut command: std::process::Command) -> std::io::Result<ExitCode> {
    let status = command.status()?;
    Ok(ExitCode::from(
        status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(exit::FAILURE),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_with_ipv6_alone_are_served() {
        let config = |host: &str| {
            let mut config = Config::default();
            host.clone_into(&mut config.server.bind_address);
            config
        };
        assert_eq!(bind_address(&config("0.0.0.0"), Some("10.0.0.1")), "0.0.0.0:8080");
        assert_eq!(bind_address(&config("0.0.0.0"), Some("fd00::1")), "[::]:8080");
        assert_eq!(bind_address(&config("::1"), None), "[::1]:8080");
    }
}
