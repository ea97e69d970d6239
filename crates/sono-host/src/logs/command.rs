//! The program `systemd-logs`: name, arguments, environment, exit code.

use std::{
    ffi::OsString,
    io::{Write as _, stderr, stdout},
    path::PathBuf,
    process::ExitCode,
};

use sono_types::{constants, env, exit};

use super::{
    collect::{Options, collect},
    invocation::{Invocation, invocation},
    journal,
};
use crate::{command::failed, park::park};

/// The variable with the machine's root, set by the plugin's definition.
const CHROOT_DIR: &str = "CHROOT_DIR";
/// The mount point of the machine's root in definitions.
const DEFAULT_ROOT: &str = "/node";
/// A shell's exit code for an unknown command (POSIX, "Exit Status for Commands").
const NOT_FOUND: u8 = 127;

/// Runs the plugin with these arguments, including the program's name. Prints the path of the result to standard
/// output.
///
/// Without a result, it exits with a failure even if the script would wait, so the run notices at once.
pub fn systemd_logs(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let stay_running = match invocation(arguments) {
        Ok(Invocation::Collect { stay }) => stay,
        Ok(Invocation::Chroot {
            root,
            program,
            arguments,
        }) => return failed(&journal::chroot_and_exec(&root, &program, &arguments)),
        Err(misuse) => {
            // A failure to print cannot be reported.
            writeln!(stderr().lock(), "error: {misuse}").ok();
            return ExitCode::from(NOT_FOUND);
        }
    };
    match collect(&options(|name| std::env::var_os(name))) {
        // A closed pipe is not a failure.
        Ok(result) => writeln!(stdout().lock(), "{}", result.display()).ok(),
        Err(error) => return failed(&error),
    };
    if stay_running && let Err(error) = park() {
        return failed(&error);
    }
    ExitCode::from(exit::SUCCESS)
}

fn options(variable: impl Fn(&str) -> Option<OsString>) -> Options {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    Options {
        // The older variable of this plugin's definitions takes precedence.
        results_dir: set(env::RESULTS_DIR)
            .or_else(|| set(env::SONOBUOY_RESULTS_DIR))
            .map_or_else(|| constants::RESULTS_DIR.into(), PathBuf::from),
        root: set(CHROOT_DIR).map_or_else(|| DEFAULT_ROOT.into(), PathBuf::from),
        node: set(env::NODE_NAME)
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_read_from_the_environment() {
        let given = |pairs: &'static [(&str, &str)]| {
            options(move |name| {
                pairs
                    .iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| value.into())
            })
        };
        let default = Options {
            results_dir: "/tmp/sonobuoy/results".into(),
            root: "/node".into(),
            node: String::new(),
        };
        assert_eq!(given(&[("CHROOT_DIR", "")]), default);
        let all = [
            ("CHROOT_DIR", "/host"),
            ("RESULTS_DIR", "/r"),
            ("SONOBUOY_RESULTS_DIR", "/s"),
            ("NODE_NAME", "n1"),
        ];
        let expected = Options {
            results_dir: "/r".into(),
            root: "/host".into(),
            node: "n1".to_owned(),
        };
        assert_eq!(given(Box::leak(Box::new(all))), expected);
        let named = Options {
            results_dir: "/s".into(),
            ..default
        };
        assert_eq!(given(&[("SONOBUOY_RESULTS_DIR", "/s")]), named);
    }
}
