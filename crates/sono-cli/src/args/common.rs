//! Global flags.

use clap::{Args, ValueEnum};
use sono_log::KlogFlags;

/// Global flags.
#[derive(Debug, Args)]
pub struct Common {
    /// Log level of sono and of the aggregator that it starts; -v stands for debug
    #[arg(long, global = true, default_value = "info", value_name = "LEVEL",
        value_parser = sono_log::LEVELS, help_heading = "Global")]
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
    /// Verbosity of klog. Only the flag without a number has an effect.
    #[arg(long = "v", short = 'v', hide = true, global = true, num_args = 0..=1, require_equals = true, default_missing_value = DEBUG)]
    verbosity: Option<String>,
    #[command(flatten)]
    klog: KlogFlags,
}

impl Common {
    /// Log level: `-v` without a number stands for debug.
    pub fn level(&self) -> &str {
        match self.verbosity.as_deref() {
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
