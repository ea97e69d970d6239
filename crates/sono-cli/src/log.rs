//! Logging: records on standard error (`--level`), and in the archive of a local run.

use sono_local::RunLog;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer as _, filter::Targets, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::output::{Printer, Records};

/// Crates of a local run.
const RUN_CRATES: [&str; 3] = ["sono_local", "sono_aggregator", "sono_worker"];

/// Starts the log on standard error, and returns the log of a run in this process.
///
/// Records of this crate are shown from `level` on. Records of a run in this process and of libraries are shown only at
/// debug level and below.
pub(crate) fn start(level: &str, printer: &Printer) -> RunLog {
    let level = sono_log::filter(level);
    let (libraries, run) = match level {
        LevelFilter::TRACE => (LevelFilter::DEBUG, LevelFilter::TRACE),
        LevelFilter::DEBUG => (LevelFilter::OFF, LevelFilter::DEBUG),
        // The progress output, the results and the archive's log contain these records.
        _ => (LevelFilter::OFF, LevelFilter::OFF),
    };
    let shown = Targets::new()
        .with_default(libraries)
        .with_targets([("sono_cli", level), ("sono_kube", level)])
        .with_targets(RUN_CRATES.map(|name| (name, run)));
    let colours = printer.has_colours();
    let lines = fmt::layer()
        .with_writer(Records { colours })
        .with_ansi(colours)
        .with_target(false)
        .with_timer(fmt::time::uptime())
        .with_filter(shown);
    let log = RunLog::new(sono_local::system_clock());
    let archived = Targets::new().with_targets(RUN_CRATES.map(|name| (name, level.max(LevelFilter::INFO))));
    // Fails only if a log was started before in this process.
    drop(
        tracing_subscriber::registry()
            .with(lines)
            .with(log.clone().with_filter(archived))
            .try_init(),
    );
    log
}
