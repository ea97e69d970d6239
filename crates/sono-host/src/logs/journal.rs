//! The machine's own `journalctl`, run below the machine's root.

use std::{
    ffi::OsString,
    io::{self, Read as _},
    path::Path,
    process::{Command, Stdio},
};

use crate::{below::below, logs::invocation::BELOW};

/// Where machines keep it; the last is NixOS'.
const PROGRAMS: [&str; 4] = [
    "/usr/bin/journalctl",
    "/bin/journalctl",
    "/usr/local/bin/journalctl",
    "/run/current-system/sw/bin/journalctl",
];
/// One JSON object a line, with all fields whole.
const ARGUMENTS: [&str; 4] = ["--output=json", "--all", "--no-pager", "--quiet"];
/// Of what it complains, this much is kept, in bytes.
const COMPLAINT: u64 = 8 * 1024;

/// How `journalctl` ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Well,
    /// Why not, for people.
    Badly(String),
}

/// The path of `journalctl` as a process below `root` sees it.
pub(super) fn find(root: &Path) -> Option<&'static str> {
    PROGRAMS.into_iter().find(|program| below(root, program).is_file())
}

/// Writes the journal to `into`. An error means that it could not be started at all.
pub(super) fn write(root: &Path, program: &str, into: fs_err::File) -> io::Result<Ended> {
    let mut journal = command(root, program)?;
    journal
        .args(ARGUMENTS)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(into.into_file())
        .stderr(Stdio::piped());
    let mut child = journal.spawn()?;
    let mut complaint = Vec::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.by_ref().take(COMPLAINT).read_to_end(&mut complaint)?;
        // Read on, so that it does not wait for a reader.
        io::copy(&mut stderr, &mut io::sink())?;
    }
    let status = child.wait()?;
    if status.success() {
        return Ok(Ended::Well);
    }
    let complaint = String::from_utf8_lossy(&complaint);
    Ok(Ended::Badly(format!("{program}: {status}: {}", complaint.trim())))
}

/// A machine's program needs the machine's libraries, so another root is really changed to, by another process of this program.
fn command(root: &Path, program: &str) -> io::Result<Command> {
    if root == Path::new("/") {
        return Ok(Command::new(program));
    }
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(BELOW).arg(root).arg(program);
    Ok(command)
}

/// Turns this process into another program whose root is `root`; returns only if that fails.
#[cfg(unix)]
pub(super) fn become_below(root: &Path, program: &OsString, arguments: &[OsString]) -> io::Error {
    use std::os::unix::process::CommandExt as _;

    if let Err(error) = rustix::process::chroot(root).and_then(|()| rustix::process::chdir("/")) {
        return error.into();
    }
    Command::new(program).args(arguments).exec()
}

#[cfg(not(unix))]
pub(super) fn become_below(_root: &Path, _program: &OsString, _arguments: &[OsString]) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "this system has no other roots")
}
