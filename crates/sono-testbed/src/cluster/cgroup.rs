//! The control groups of the cluster, in version 1 and version 2 hierarchies.
//!
//! All daemons and pods are below one group, so that `down` finds all processes.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use fs_err as fs;

use crate::{command, wait};

pub(crate) const ROOT: &str = "sono-testbed";
/// Group of the daemons. In version 2 only leaf groups may have processes, so the root group has none.
pub(crate) const DAEMONS: &str = "sono-testbed/daemons";

/// The mount point of every hierarchy.
fn hierarchies() -> anyhow::Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let paths = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (path, kind) = (fields.next()?, fields.next()?);
        matches!(kind, "cgroup" | "cgroup2").then(|| PathBuf::from(path))
    });
    Ok(paths.collect())
}

fn is_version_2(hierarchy: &Path) -> bool {
    hierarchy.join("cgroup.controllers").exists()
}

/// The hierarchy for listing processes; every hierarchy has all of them.
fn tracking() -> anyhow::Result<PathBuf> {
    let all = hierarchies()?;
    let pids = all.iter().find(|path| path.ends_with("pids"));
    pids.or_else(|| all.first())
        .cloned()
        .context("no control group hierarchy is mounted")
}

/// Creates the group and its parents, ready for the kubelet and for processes.
pub(crate) fn create(group: &str) -> anyhow::Result<()> {
    for hierarchy in hierarchies()? {
        let mut parent = hierarchy.clone();
        for part in Path::new(group) {
            if is_version_2(&parent) {
                delegate_controllers(&parent)?;
            }
            let directory = parent.join(part);
            fs::create_dir_all(&directory)?;
            // A new version 1 cpuset is empty, and nothing may run in it.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                let (from, to) = (parent.join(file), directory.join(file));
                if !is_version_2(&hierarchy) && from.exists() {
                    fs::write(to, fs::read(from)?)?;
                }
            }
            parent = directory;
        }
    }
    Ok(())
}

fn delegate_controllers(group: &Path) -> anyhow::Result<()> {
    for controller in fs::read_to_string(group.join("cgroup.controllers"))?.split_whitespace() {
        // Some machines cannot delegate all controllers; the kubelet reports the ones it misses.
        fs::write(group.join("cgroup.subtree_control"), format!("+{controller}")).ok();
    }
    Ok(())
}

pub(crate) fn add_process(group: &str, pid: u32) -> anyhow::Result<()> {
    fs::write(tracking()?.join(group).join("cgroup.procs"), pid.to_string())?;
    Ok(())
}

pub(crate) fn processes(group: &str) -> anyhow::Result<Vec<u32>> {
    let mut found = Vec::new();
    for directory in below(&tracking()?.join(group)) {
        // The group may be deleted between listing and reading.
        let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
        found.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
    }
    Ok(found)
}

/// Kills every process in the group and waits until all have ended. Returns their number.
pub(crate) fn kill_processes(group: &str) -> anyhow::Result<usize> {
    let mut seen = BTreeSet::<u32>::new();
    wait::until("every process of the cluster ends", Duration::from_secs(30), || {
        let pids = processes(group)?;
        if pids.is_empty() {
            return Ok(Some(()));
        }
        seen.extend(pids.iter().copied());
        let pids = pids.iter().map(u32::to_string);
        // Processes that have already ended make `kill` fail; the next iteration checks again.
        command::succeeds(&mut command::new(
            "busybox",
            ["kill".to_owned(), "-KILL".to_owned()].into_iter().chain(pids),
        ));
        Ok(None)
    })?;
    Ok(seen.len())
}

/// Removes the group from every hierarchy, with retries: the kernel needs a moment after the last process.
pub(crate) fn remove(group: &str) -> anyhow::Result<()> {
    for hierarchy in hierarchies()? {
        let top = hierarchy.join(group);
        wait::until(
            &format!("control group {} can be removed", top.display()),
            Duration::from_secs(10),
            || {
                for directory in below(&top).iter().rev() {
                    fs::remove_dir(directory).ok();
                }
                Ok((!top.exists()).then_some(()))
            },
        )?;
    }
    Ok(())
}

/// The directory and all below it, parents first.
fn below(top: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![top.to_path_buf()];
    while let Some(directory) = pending.pop() {
        if let Ok(entries) = fs::read_dir(&directory) {
            pending.extend(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()));
            found.push(directory);
        }
    }
    found
}
