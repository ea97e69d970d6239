//! Interprets the program's name and arguments. Pure.
//!
//! Plugin definitions run `/bin/sh -c '/get_systemd_logs.sh; while true; do …'` (cli §6.4). The image has no
//! shell, so the program has both names and recognises this script. The definition then works with sono's image and
//! with others.

use std::{ffi::OsString, path::PathBuf};

/// The collector's name in definitions.
const COLLECTOR: &str = "/get_systemd_logs.sh";
/// The start of a waiting loop in the script.
const WAIT_LOOP: &str = "while true; do ";

/// First argument of the process that changes its root and becomes another program.
pub(super) const CHROOT_FLAG: &str = "--below";

/// The requested action.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Invocation {
    /// Collect the logs; with `stay`, run until terminated.
    Collect { stay: bool },
    /// Become a program of the machine, with the root `root`.
    Chroot {
        root: PathBuf,
        program: OsString,
        arguments: Vec<OsString>,
    },
}

/// Invalid arguments.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Misuse {
    #[error("this image has no shell: `sh` runs only `{COLLECTOR}`, optionally followed by a waiting loop")]
    NoShell,
    #[error("usage: sono-systemd-logs [--stay]; environment: CHROOT_DIR, RESULTS_DIR, NODE_NAME")]
    Usage,
}

/// Interprets `arguments`, which include the program's name.
pub(super) fn invocation(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, Misuse> {
    let mut arguments = arguments.into_iter();
    let name = PathBuf::from(arguments.next().unwrap_or_default());
    let arguments: Vec<OsString> = arguments.collect();
    if name.file_name().is_some_and(|name| name == "sh") {
        return script(&arguments).ok_or(Misuse::NoShell);
    }
    match arguments.as_slice() {
        [] => Ok(Invocation::Collect { stay: false }),
        [flag] if flag == "--stay" => Ok(Invocation::Collect { stay: true }),
        [flag, root, program, rest @ ..] if flag == CHROOT_FLAG => Ok(Invocation::Chroot {
            root: root.into(),
            program: program.clone(),
            arguments: rest.to_vec(),
        }),
        _ => Err(Misuse::Usage),
    }
}

fn script(arguments: &[OsString]) -> Option<Invocation> {
    let [flag, script] = arguments else { return None };
    let script = script.to_str().filter(|_| flag == "-c")?;
    let rest = script.trim().strip_prefix(COLLECTOR)?;
    match rest.trim_start_matches([';', ' ']) {
        "" => Some(Invocation::Collect { stay: false }),
        rest if rest.starts_with(WAIT_LOOP) && rest.ends_with("done") => Some(Invocation::Collect { stay: true }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(words: &[&str]) -> Result<Invocation, Misuse> {
        invocation(words.iter().map(OsString::from))
    }

    #[test]
    fn only_the_script_of_definitions_is_accepted() {
        let script = "/get_systemd_logs.sh; while true; do echo \"Plugin is complete.\"; sleep 3600; done";
        let stays = Ok(Invocation::Collect { stay: true });
        let ends = Ok(Invocation::Collect { stay: false });
        assert_eq!(asked(&["/bin/sh", "-c", script]), stays);
        assert_eq!(asked(&["/bin/sh", "-c", "/get_systemd_logs.sh"]), ends);
        assert_eq!(asked(&["/get_systemd_logs.sh"]), ends);
        assert_eq!(asked(&["/sono-systemd-logs", "--stay"]), stays);
        for other in ["", "ls", "/get_systemd_logs.sh; reboot", "/get_systemd_logs.shx"] {
            assert_eq!(asked(&["/bin/sh", "-c", other]), Err(Misuse::NoShell), "{other}");
        }
        assert_eq!(asked(&["sh"]), Err(Misuse::NoShell));
        assert_eq!(asked(&["/sono-systemd-logs", "--what"]), Err(Misuse::Usage));
    }
}
