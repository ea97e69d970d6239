//! Starting one program and ending it with everything it started.

use std::{path::Path, process::Stdio};

use tokio::process::{Child, Command};

use crate::translate::Program;

/// Starts a program in a process group of its own; both its outputs go to `log`.
pub(crate) fn start(program: &Program, log: &Path) -> std::io::Result<Child> {
    // A program that was started before may have put something else there.
    fs_err::remove_file(log).ok();
    let log = fs_err::OpenOptions::new().write(true).create_new(true).open(log)?;
    let file = log.into_parts().0;
    let mut words = program.command.iter();
    let name = words
        .next()
        .ok_or_else(|| std::io::Error::other("the command is empty"))?;
    let mut command = Command::new(name);
    command
        .args(words)
        .envs(&program.env)
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .kill_on_drop(true);
    if let Some(directory) = &program.directory {
        command.current_dir(directory);
    }
    #[cfg(unix)]
    command.process_group(0);
    command.spawn()
}

/// Ends the program and what it started; it may be gone already.
#[cfg(unix)]
pub(crate) fn end(id: u32) {
    let group = i32::try_from(id).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        // Best effort: an empty group is what is wanted.
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok();
    }
}

/// Ends the program; it may be gone already. What it started ends by itself on this platform.
#[cfg(not(unix))]
pub(crate) fn end(_: u32) {}
