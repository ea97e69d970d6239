//! Log levels, and the flags of klog, Kubernetes' logging library: one definition for all programs.

use clap::Args;
use tracing::level_filters::LevelFilter;

/// Names of the log levels, as Sonobuoy accepts them.
pub const LEVELS: [&str; 8] = ["panic", "fatal", "error", "warn", "warning", "info", "debug", "trace"];

/// The filter of a level by its name, in lower or upper case. An unknown name means `info`.
pub fn filter(level: &str) -> LevelFilter {
    match level.to_ascii_lowercase().as_str() {
        "panic" | "fatal" | "error" => LevelFilter::ERROR,
        "warn" | "warning" => LevelFilter::WARN,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        _ => LevelFilter::INFO,
    }
}

/// Flags of klog without an effect: scripts, manifests of Sonobuoy and pods pass them, and logs are always written to standard
/// error. `-v` is not among them: each program reads it in its own way.
#[derive(Debug, Args)]
pub struct KlogFlags {
    #[arg(long, global = true, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    logtostderr: Option<String>,
    #[arg(long, global = true, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    alsologtostderr: Option<String>,
    #[arg(long = "add_dir_header", global = true, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    add_dir_header: Option<String>,
    #[arg(long = "skip_headers", global = true, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    skip_headers: Option<String>,
    #[arg(long = "skip_log_headers", global = true, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    skip_log_headers: Option<String>,
    #[arg(long = "one_output", global = true, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    one_output: Option<String>,
    #[arg(long, global = true, hide = true)]
    stderrthreshold: Option<String>,
    #[arg(long, global = true, hide = true)]
    vmodule: Option<String>,
    #[arg(long = "log_dir", global = true, hide = true)]
    log_dir: Option<String>,
    #[arg(long = "log_file", global = true, hide = true)]
    log_file: Option<String>,
    #[arg(long = "log_file_max_size", global = true, hide = true)]
    log_file_max_size: Option<String>,
    #[arg(long = "log_backtrace_at", global = true, hide = true)]
    log_backtrace_at: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        _klog: KlogFlags,
        rest: Vec<String>,
    }

    #[test]
    fn level_has_a_filter_by_its_name_in_any_case() {
        let filters = LEVELS.map(filter);
        let expected = [
            LevelFilter::ERROR,
            LevelFilter::ERROR,
            LevelFilter::ERROR,
            LevelFilter::WARN,
            LevelFilter::WARN,
            LevelFilter::INFO,
            LevelFilter::DEBUG,
            LevelFilter::TRACE,
        ];
        assert_eq!(filters, expected);
        assert_eq!(filter("Debug"), LevelFilter::DEBUG);
        assert_eq!(filter("verbose"), LevelFilter::INFO);
    }

    #[test]
    fn klog_flags_are_accepted_and_ignored() {
        let arguments = [
            "program",
            "--logtostderr",
            "--alsologtostderr=false",
            "--add_dir_header",
            "--skip_headers",
            "--skip_log_headers=true",
            "--one_output",
            "--stderrthreshold=INFO",
            "--vmodule",
            "a=1",
            "--log_dir=/tmp",
            "--log_file",
            "/tmp/log",
            "--log_file_max_size=1",
            "--log_backtrace_at=a.go:1",
            "rest",
        ];
        let program = Program::try_parse_from(arguments).unwrap();
        assert_eq!(program.rest, ["rest"]);
        Program::try_parse_from(["program", "--klog"]).unwrap_err();
    }
}
