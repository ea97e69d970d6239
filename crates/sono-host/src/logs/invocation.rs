//! What the program is asked for, by its name and its arguments. Pure.
//!
//! Definitions of this plugin start it as `/bin/sh -c '/get_systemd_logs.sh; while true; do …'` (cli spec §6.4). The image has no
//! shell: the program answers to both names and knows that one script, so that the definition runs with our image and with
//! those of others.

use std::{ffi::OsString, path::PathBuf};

/// The name by which definitions call the collector.
const COLLECTOR: &str = "/get_systemd_logs.sh";
/// How the script goes on that stays afterwards.
const STAYS: &str = "while true; do ";

/// Says in the first argument that the program is to become another one below another root.
pub(super) const BELOW: &str = "--below";

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Invocation {
    /// Collect, and with `stay` remain until asked to end.
    Collect { stay: bool },
    /// Become a program of the machine whose root is `root`.
    Below {
        root: PathBuf,
        program: OsString,
        arguments: Vec<OsString>,
    },
}

/// Words that mean nothing here.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Misuse {
    #[error("this image has no shell: `sh` runs `{COLLECTOR}` alone, and a loop that waits behind it")]
    NoShell,
    #[error("usage: sono-systemd-logs [--stay]; CHROOT_DIR, RESULTS_DIR and NODE_NAME say where")]
    Usage,
}

/// `arguments` with the program's name.
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
        [flag, root, program, rest @ ..] if flag == BELOW => Ok(Invocation::Below {
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
        rest if rest.starts_with(STAYS) && rest.ends_with("done") => Some(Invocation::Collect { stay: true }),
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
    fn the_script_of_the_definitions_is_understood_and_no_other() {
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
