//! Daemons that outlive this process: started in their own session, with a log file and a recorded PID.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, bail};
use fs_err as fs;

use super::{cgroup, state};

pub(crate) struct Daemon {
    name: String,
    child: Child,
    log: PathBuf,
}

/// Starts a daemon. `command` is the program with its arguments, or `nsenter` with them; both run under the recorded PID.
pub(crate) fn start(name: &str, command: &Command) -> anyhow::Result<Daemon> {
    let log = state::log_directory()?.join(format!("{name}.log"));
    let output = fs::File::create(&log)?.into_parts().0;
    // In this session it would end with the terminal.
    let mut session = Command::new("setsid");
    session.arg(command.get_program()).args(command.get_args());
    session.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    session
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .current_dir("/");
    let child = session.spawn().with_context(|| format!("cannot start {name}"))?;
    cgroup::add_process(cgroup::DAEMONS, child.id())?;
    fs::create_dir_all(directory())?;
    fs::write(directory().join(name), child.id().to_string())?;
    Ok(Daemon {
        name: name.to_owned(),
        child,
        log,
    })
}

impl Daemon {
    /// Fails with the end of the log if the daemon has ended.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!(
                "{} exited early, {status}; the end of {}:\n{}",
                self.name,
                self.log.display(),
                last_lines(&self.log)
            );
        }
        Ok(())
    }
}

fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

fn directory() -> PathBuf {
    state::path("daemons")
}

pub(crate) struct Recorded {
    pub(crate) name: String,
    pub(crate) pid: u32,
    pub(crate) running: bool,
}

/// All recorded daemons, by name.
pub(crate) fn recorded() -> anyhow::Result<Vec<Recorded>> {
    if !directory().exists() {
        return Ok(Vec::new());
    }
    // The system may have reused a PID; only processes in our control group are daemons.
    let ours = cgroup::processes(cgroup::DAEMONS)?;
    let mut found = Vec::new();
    for entry in fs::read_dir(directory())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let pid = fs::read_to_string(&path)?
            .parse()
            .with_context(|| format!("cannot read {}", path.display()))?;
        found.push(Recorded {
            name,
            pid,
            running: ours.contains(&pid),
        });
    }
    found.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(found)
}
