//! `systemd-logs`, the program: name, arguments, environment, exit code.

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
use crate::{command::failed, stay::stay};

/// Root of the machine; the plugin's definition sets it.
const CHROOT_DIR: &str = "CHROOT_DIR";
/// Where definitions mount it.
const USUAL_ROOT: &str = "/node";
/// What a shell answers to a command that it does not have (POSIX, "Exit Status for Commands").
const NOT_FOUND: u8 = 127;

/// Runs the plugin with these arguments, the program's name included. The path of the result goes to standard output.
///
/// Without a result the exit code tells, whatever the script says about waiting: the run then hears of it at once.
pub fn systemd_logs(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let stays = match invocation(arguments) {
        Ok(Invocation::Collect { stay }) => stay,
        Ok(Invocation::Below {
            root,
            program,
            arguments,
        }) => return failed(&journal::become_below(&root, &program, &arguments)),
        Err(misuse) => {
            // Nowhere to say that this could not be said.
            writeln!(stderr().lock(), "error: {misuse}").ok();
            return ExitCode::from(NOT_FOUND);
        }
    };
    match collect(&options(|name| std::env::var_os(name))) {
        // A reader that went away is no failure.
        Ok(result) => writeln!(stdout().lock(), "{}", result.display()).ok(),
        Err(error) => return failed(&error),
    };
    if stays && let Err(error) = stay() {
        return failed(&error);
    }
    ExitCode::from(exit::SUCCESS)
}

fn options(variable: impl Fn(&str) -> Option<OsString>) -> Options {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    Options {
        // The name that this plugin's definitions always had comes first.
        results_dir: set(env::RESULTS_DIR)
            .or_else(|| set(env::SONOBUOY_RESULTS_DIR))
            .map_or_else(|| constants::RESULTS_DIR.into(), PathBuf::from),
        root: set(CHROOT_DIR).map_or_else(|| USUAL_ROOT.into(), PathBuf::from),
        node: set(env::NODE_NAME)
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_where() {
        let given = |pairs: &'static [(&str, &str)]| {
            options(move |name| {
                pairs
                    .iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| value.into())
            })
        };
        let usual = Options {
            results_dir: "/tmp/sonobuoy/results".into(),
            root: "/node".into(),
            node: String::new(),
        };
        assert_eq!(given(&[("CHROOT_DIR", "")]), usual);
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
            ..usual
        };
        assert_eq!(given(&[("SONOBUOY_RESULTS_DIR", "/s")]), named);
    }
}
