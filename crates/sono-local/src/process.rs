//! Starts and kills programs together with their child processes.

use std::{path::Path, process::Stdio};

use tokio::process::{Child, Command};

use crate::translate::Program;

/// Starts a program in its own process group, with both outputs written to `log`.
pub(crate) fn start(program: &Program, log: &Path) -> std::io::Result<Child> {
    // An earlier program may have created something else at this path.
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

/// Kills the program and its children; they may have ended already.
#[cfg(unix)]
pub(crate) fn end(id: u32) {
    let group = i32::try_from(id).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        // Best effort: the group may be empty.
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok();
    }
}

/// Kills the program, which may have ended already. Its children end by themselves on this platform.
#[cfg(not(unix))]
pub(crate) fn end(_: u32) {}
