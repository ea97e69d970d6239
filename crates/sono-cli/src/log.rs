//! Records for whoever asks for them with `--level`, and for the archive of a local run.

use sono_local::RunLog;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer as _, filter::Targets, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::output::Records;

/// The parts of a local run.
const RUN: [&str; 3] = ["sono_local", "sono_aggregator", "sono_worker"];

/// Starts the log on standard error, and returns the one of a run in this process.
///
/// Of our own records those from `level` on are shown; those of a run in this process, and of libraries, only when more
/// than the usual is asked for.
pub(crate) fn start(level: &str, is_terminal: bool) -> RunLog {
    let level = match level {
        "panic" | "fatal" | "error" => LevelFilter::ERROR,
        "warn" | "warning" => LevelFilter::WARN,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        _ => LevelFilter::INFO,
    };
    let (libraries, run) = match level {
        LevelFilter::TRACE => (LevelFilter::DEBUG, LevelFilter::TRACE),
        LevelFilter::DEBUG => (LevelFilter::OFF, LevelFilter::DEBUG),
        // What it has to say stands in the run's story, in its results, and in the archive's log.
        _ => (LevelFilter::OFF, LevelFilter::OFF),
    };
    let shown = Targets::new()
        .with_default(libraries)
        .with_targets([("sono_cli", level), ("sono_kube", level)])
        .with_targets(RUN.map(|part| (part, run)));
    let colours = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = fmt::layer()
        .with_writer(Records { colours })
        .with_ansi(colours)
        .with_target(false)
        .with_timer(fmt::time::uptime())
        .with_filter(shown);
    let log = RunLog::new(sono_local::system_clock());
    let kept = Targets::new().with_targets(RUN.map(|part| (part, level.max(LevelFilter::INFO))));
    // Only whoever runs this twice in one process has a log already.
    drop(
        tracing_subscriber::registry()
            .with(lines)
            .with(log.clone().with_filter(kept))
            .try_init(),
    );
    log
}
