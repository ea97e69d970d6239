//! Flags of all commands.

use clap::Args;

/// Flags of all commands.
#[derive(Debug, Args)]
pub struct Common {
    /// How much is logged, here and by the aggregator
    #[arg(long, global = true, default_value = "info", value_name = "LEVEL",
        value_parser = ["panic", "fatal", "error", "warn", "warning", "info", "debug", "trace"])]
    pub level: String,
    /// Deprecated, and does no more than it says.
    #[arg(short, long, hide = true, global = true)]
    pub debug: bool,
    #[command(flatten)]
    klog: Klog,
}

/// Flags of Kubernetes' logging library, which scripts pass to Sonobuoy; they have no effect there either.
#[derive(Debug, Args)]
struct Klog {
    #[arg(long = "v", short = 'v', hide = true, global = true)]
    verbosity: Option<String>,
    #[arg(long, hide = true, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    logtostderr: Option<String>,
    #[arg(long, hide = true, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    alsologtostderr: Option<String>,
    #[arg(long = "add_dir_header", hide = true, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    add_dir_header: Option<String>,
    #[arg(long = "skip_headers", hide = true, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    skip_headers: Option<String>,
    #[arg(long = "skip_log_headers", hide = true, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    skip_log_headers: Option<String>,
    #[arg(long, hide = true, global = true)]
    stderrthreshold: Option<String>,
    #[arg(long, hide = true, global = true)]
    vmodule: Option<String>,
    #[arg(long = "log_dir", hide = true, global = true)]
    log_dir: Option<String>,
    #[arg(long = "log_file", hide = true, global = true)]
    log_file: Option<String>,
    #[arg(long = "log_file_max_size", hide = true, global = true)]
    log_file_max_size: Option<String>,
    #[arg(long = "log_backtrace_at", hide = true, global = true)]
    log_backtrace_at: Option<String>,
}
