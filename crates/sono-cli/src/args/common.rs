//! Global flags.

use clap::{Args, ValueEnum};

/// Global flags.
#[derive(Debug, Args)]
pub struct Common {
    /// Log level of sono and of the aggregator that it starts; -v stands for debug
    #[arg(long, global = true, default_value = "info", value_name = "LEVEL",
        value_parser = ["panic", "fatal", "error", "warn", "warning", "info", "debug", "trace"], help_heading = "Global")]
    pub level: String,
    /// Print only data and errors
    #[arg(short, long, global = true, help_heading = "Global")]
    pub quiet: bool,
    /// Whether to print colours
    #[arg(long, value_enum, value_name = "WHEN", global = true, ignore_case = true, default_value_t = Colour::Auto, help_heading = "Global", hide_short_help = true)]
    pub color: Colour,
    /// Deprecated: prints a warning and has no other effect.
    #[arg(short, long, hide = true, global = true)]
    pub debug: bool,
    #[command(flatten)]
    klog: Klog,
}

impl Common {
    /// Log level: `-v` without a number stands for debug.
    pub fn level(&self) -> &str {
        match self.klog.verbosity.as_deref() {
            Some(DEBUG) => DEBUG,
            _ => &self.level,
        }
    }
}

/// Whether to print colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Also into files and pipes.
    Always,
    /// Not at all.
    Never,
}

const DEBUG: &str = "debug";

/// Flags of klog that scripts pass to Sonobuoy. They have no effect there or here, except for `-v` without a number.
#[derive(Debug, Args)]
struct Klog {
    #[arg(long = "v", short = 'v', hide = true, global = true, num_args = 0..=1, require_equals = true, default_missing_value = DEBUG)]
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
