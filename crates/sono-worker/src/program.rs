//! The worker's program: command line, logs, signals.

use std::{collections::BTreeMap, env, ffi::OsString, io, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use sono_log::KlogFlags;
use sono_types::{WorkerConfig, env as env_names, error_chain, exit};
use tokio::sync::watch;
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt as _,
};

use crate::{ContainersState, Options, Sleep, WorkerError, WorkerOutcome, run, watch_containers};

#[derive(Debug, Parser)]
#[command(
    name = "sono-worker",
    version,
    about = "Waits for a plugin's results and uploads them to the aggregator"
)]
struct Cli {
    #[command(flatten)]
    logs: Logs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Gathers and uploads results; configured by environment variables
    Worker {
        #[command(subcommand)]
        role: Role,
    },
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Uploads one result for the whole cluster
    Global,
    /// Uploads the result of the node it runs on
    SingleNode {
        /// Seconds to sleep after the upload; a negative number means forever
        #[arg(long, value_name = "SECONDS", default_value_t = 0, allow_negative_numbers = true)]
        sleep: i64,
    },
}

/// `--level` and `-v` set the log level.
#[derive(Debug, Args)]
struct Logs {
    /// Log level: error, warn, info, debug or trace
    #[arg(long, global = true, value_name = "LEVEL", default_value = "info")]
    level: String,
    /// Verbosity as in Kubernetes: debug from 4, trace from 8
    #[arg(
        short = 'v',
        long = "v",
        global = true,
        value_name = "N",
        default_value_t = 0,
        hide = true
    )]
    verbosity: u8,
    #[command(flatten)]
    klog: KlogFlags,
}

impl Logs {
    /// The more verbose of both levels; an unknown level means `info`.
    fn filter(&self) -> LevelFilter {
        let level = sono_log::filter(&self.level);
        let verbosity = match self.verbosity {
            0..4 => LevelFilter::OFF,
            4..8 => LevelFilter::DEBUG,
            8.. => LevelFilter::TRACE,
        };
        level.max(verbosity)
    }
}

/// Runs the worker as a program: `<name> worker global` or `<name> worker single-node [--sleep N]`. It is configured by
/// environment variables and logs to standard error.
pub fn main_with_args(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let is_help = !error.use_stderr();
            // Nothing can be done if even this cannot be written.
            drop(error.print());
            return ExitCode::from(if is_help { exit::SUCCESS } else { exit::FAILURE });
        }
    };
    // The worker's own records at the requested level, which is always the most verbose; libraries only log warnings.
    let level = cli.logs.filter();
    let targets = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("sono_worker", level);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(false);
    let subscriber = tracing_subscriber::registry().with(targets).with(lines);
    // Fails if the caller has installed a subscriber.
    drop(tracing::subscriber::set_global_default(subscriber));
    sono_tls::install_provider();
    let Command::Worker { role } = cli.command;
    let variables = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    match work(&role, &variables) {
        Ok(_) => ExitCode::from(exit::SUCCESS),
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::from(exit::FAILURE)
        }
    }
}

fn work(role: &Role, variables: &BTreeMap<String, String>) -> Result<WorkerOutcome, String> {
    let single_node = matches!(role, Role::SingleNode { .. });
    let (config, warnings) = WorkerConfig::from_env(variables, single_node).map_err(|error| error.to_string())?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let sleep = match role {
        Role::Global => Sleep::from_seconds(0),
        Role::SingleNode { sleep } => Sleep::from_seconds(*sleep),
    };
    // A single thread suffices for a sidecar on every node, and lets the span apply to every task, so each log line
    // names the run, the plugin and the node.
    let run = variables.get(env_names::SONO_RUN_ID).map(tracing::field::display);
    let span = tracing::error_span!("worker", run, plugin_name = %config.plugin, node = %config.target);
    let _entered = span.enter();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))?;
    let outcome = runtime.block_on(supervise(&config, sleep));
    // A thread blocked on a volume must not delay the exit.
    runtime.shutdown_background();
    outcome.map_err(|error| error_chain(&error))
}

async fn supervise(config: &WorkerConfig, sleep: Sleep) -> Result<WorkerOutcome, WorkerError> {
    let (state, others) = watch::channel(ContainersState::Unknown);
    let options = Options {
        sleep,
        others,
        ..Options::new()
    };
    let worker = run(config, options, termination_signal());
    let Some(pod) = config.pod.clone() else {
        tracing::info!("the pod's name is unknown; results are collected only when the done file names them");
        return worker.await;
    };
    let watching = async {
        watch_containers(config, pod, state).await;
        std::future::pending().await
    };
    tokio::select! {
        outcome = worker => outcome,
        never = watching => never,
    }
}

/// Resolves at SIGTERM. The handler is installed by this call, not by the first poll, so an early SIGTERM is not fatal.
#[cfg(unix)]
fn termination_signal() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = signal(SignalKind::terminate());
    async {
        match signals {
            Ok(mut signals) => drop(signals.recv().await),
            Err(error) => {
                tracing::error!(%error, "cannot listen for SIGTERM");
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(not(unix))]
async fn termination_signal() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        tracing::error!(%error, "cannot listen for Ctrl-C");
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &str) -> Cli {
        Cli::try_parse_from(args.split(' ')).unwrap()
    }

    #[test]
    fn arguments_of_pods_are_accepted() {
        let cli = parse("/sonobuoy worker single-node --level=trace -v=6 --logtostderr --sleep=-1");
        let Command::Worker { role } = &cli.command;
        assert!(matches!(role, Role::SingleNode { sleep: -1 }), "{role:?}");
        assert_eq!(cli.logs.filter(), LevelFilter::TRACE);

        let cli = parse("/sonobuoy worker global --v 4 --logtostderr=true --alsologtostderr --stderrthreshold=INFO");
        let Command::Worker { role } = &cli.command;
        assert!(matches!(role, Role::Global), "{role:?}");
        assert_eq!(cli.logs.filter(), LevelFilter::DEBUG);

        let cli = parse("sono-worker --level error worker single-node --sleep -1");
        assert!(matches!(
            cli.command,
            Command::Worker {
                role: Role::SingleNode { sleep: -1 }
            }
        ));
        assert_eq!(cli.logs.filter(), LevelFilter::ERROR);
    }

    #[test]
    fn missing_variables_are_named() {
        assert_eq!(
            work(&Role::Global, &BTreeMap::new()).unwrap_err(),
            "loading config: invalid agent configuration: (AggregatorURL not set, ResultsType not set, Couldn't parse CaCert PEM, Couldn't parse ClientCert PEM, Couldn't parse ClientKey PEM)"
        );
    }

    #[test]
    fn sleep_is_in_seconds() {
        assert_eq!(Sleep::from_seconds(-7), Sleep::Forever);
        assert_eq!(Sleep::from_seconds(0), Sleep::For(std::time::Duration::ZERO));
        assert_eq!(
            Sleep::from_seconds(90),
            Sleep::For(std::time::Duration::from_mins(1) + std::time::Duration::from_secs(30))
        );
    }
}
