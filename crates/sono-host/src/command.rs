//! The program `host-check`: arguments, environment, exit code.

use std::{
    error::Error,
    ffi::OsString,
    io::{Write as _, stderr, stdout},
    path::PathBuf,
    process::ExitCode,
};

use clap::Parser;
use jiff::Timestamp;
use sono_types::{constants, env, error_chain, exit};

use crate::{
    park::park,
    run::{Options, run},
};

/// Check this machine's kernel, memory, disks, time, limits and DNS
#[derive(Debug, Parser)]
#[command(name = "host-check", no_binary_name = true)]
struct Arguments {
    /// Root directory of the machine
    #[arg(long, value_name = "DIRECTORY", env = env::SONO_HOST_ROOT, default_value = "/")]
    root: PathBuf,
    /// Directory for the result and the done file [default: $RESULTS_DIR, or /tmp/sonobuoy/results]
    #[arg(long, value_name = "DIRECTORY", env = env::SONOBUOY_RESULTS_DIR)]
    results_dir: Option<PathBuf>,
    /// Name of the machine in the result [default: its host name]
    #[arg(long, value_name = "NAME", env = env::NODE_NAME, default_value = "", hide_default_value = true)]
    node: String,
    /// Stay running after the check until terminated
    #[arg(long)]
    stay: bool,
}

/// Runs the plugin with these arguments, without the program's name. Prints the path of the result to standard output.
pub fn command(arguments: Vec<OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // A failure to print cannot be reported.
            error.print().ok();
            let code = if error.use_stderr() {
                exit::FAILURE
            } else {
                exit::SUCCESS
            };
            return ExitCode::from(code);
        }
    };
    let stay = arguments.stay;
    match run(&options(arguments, std::env::var_os(env::RESULTS_DIR)), system_clock()) {
        // A closed pipe is not a failure of the check.
        Ok(result) => writeln!(stdout().lock(), "{}", result.display()).ok(),
        Err(error) => return failed(&error),
    };
    if stay && let Err(error) = park() {
        return failed(&error);
    }
    ExitCode::from(exit::SUCCESS)
}

pub(crate) fn failed(error: &dyn Error) -> ExitCode {
    // A failure to print cannot be reported.
    writeln!(stderr().lock(), "error: {}", error_chain(error)).ok();
    ExitCode::from(exit::FAILURE)
}

/// `older_results_dir` is the value of the older variable `RESULTS_DIR`.
fn options(arguments: Arguments, older_results_dir: Option<OsString>) -> Options {
    let Arguments {
        root,
        results_dir,
        node,
        stay: _,
    } = arguments;
    let older_results_dir = older_results_dir.filter(|path| !path.is_empty()).map(PathBuf::from);
    Options {
        results_dir: results_dir
            .or(older_results_dir)
            .unwrap_or_else(|| constants::RESULTS_DIR.into()),
        root,
        node,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the only place where the program reads the clock"
)]
fn system_clock() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flag_precedes_the_older_variable() {
        let taken = |flag: Option<&str>, older: Option<&str>| {
            let arguments = Arguments {
                root: "/".into(),
                results_dir: flag.map(PathBuf::from),
                node: String::new(),
                stay: false,
            };
            options(arguments, older.map(OsString::from)).results_dir
        };
        assert_eq!(taken(Some("a"), Some("b")), PathBuf::from("a"));
        assert_eq!(taken(None, Some("b")), PathBuf::from("b"));
        assert_eq!(taken(None, Some("")), PathBuf::from("/tmp/sonobuoy/results"));
        assert_eq!(taken(None, None), PathBuf::from("/tmp/sonobuoy/results"));
    }

    #[test]
    fn error_is_printed_with_its_cause() {
        let error = crate::HostError::Write(std::io::Error::other("no space left"));
        assert_eq!(error_chain(&error), "cannot write the result: no space left");
    }
}
