//! Runs the machine's own `journalctl` with the machine's root.

use std::{
    ffi::OsString,
    io::{self, Read as _},
    path::Path,
    process::{Command, Stdio},
};

use crate::{logs::invocation::CHROOT_FLAG, rooted_path::rooted_path};

/// Paths of journalctl; the last is that of NixOS.
const PROGRAMS: [&str; 4] = [
    "/usr/bin/journalctl",
    "/bin/journalctl",
    "/usr/local/bin/journalctl",
    "/run/current-system/sw/bin/journalctl",
];
/// One JSON object per line, with complete fields.
const ARGUMENTS: [&str; 4] = ["--output=json", "--all", "--no-pager", "--quiet"];
/// Bytes of error output that are reported.
const MAX_ERROR_BYTES: u64 = 8 * 1024;

/// The result of `journalctl`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Success,
    /// The error message.
    Failure(String),
}

/// The path of `journalctl`, relative to `root`.
pub(super) fn find(root: &Path) -> Option<&'static str> {
    PROGRAMS
        .into_iter()
        .find(|program| rooted_path(root, program).is_file())
}

/// Writes the journal to `into`. Returns an error only if journalctl could not be started.
pub(super) fn write(root: &Path, program: &str, into: fs_err::File) -> io::Result<Outcome> {
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
    let mut errors = Vec::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.by_ref().take(MAX_ERROR_BYTES).read_to_end(&mut errors)?;
        // Drains the pipe, so that journalctl does not block.
        io::copy(&mut stderr, &mut io::sink())?;
    }
    let status = child.wait()?;
    if status.success() {
        return Ok(Outcome::Success);
    }
    let errors = String::from_utf8_lossy(&errors);
    Ok(Outcome::Failure(format!("{program}: {status}: {}", errors.trim())))
}

/// A command of the machine. It needs the machine's libraries, so this program runs itself to change its root and
/// becomes the command.
fn command(root: &Path, program: &str) -> io::Result<Command> {
    if root == Path::new("/") {
        return Ok(Command::new(program));
    }
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(CHROOT_FLAG).arg(root).arg(program);
    Ok(command)
}

/// Changes the root of this process to `root` and replaces it by another program. Returns only on failure.
#[cfg(unix)]
pub(super) fn chroot_and_exec(root: &Path, program: &OsString, arguments: &[OsString]) -> io::Error {
    use std::os::unix::process::CommandExt as _;

    if let Err(error) = rustix::process::chroot(root).and_then(|()| rustix::process::chdir("/")) {
        return error.into();
    }
    Command::new(program).args(arguments).exec()
}

#[cfg(not(unix))]
pub(super) fn chroot_and_exec(_root: &Path, _program: &OsString, _arguments: &[OsString]) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "chroot is not supported on this system")
}
