//! `cluster down`: stops and removes everything that `up` created, from any state.

use std::path::Path;

use fs_err as fs;

use super::{cgroup, mounts, network, state, state::State, up};
use crate::{say, step::step};

pub(crate) fn run() -> anyhow::Result<()> {
    let _lock = up::lock()?;
    if !Path::new(state::DIRECTORY).exists() {
        say::progress("no cluster is up");
        return Ok(());
    }
    // Without a readable state processes and files are removed as well; only the host's settings are not restored.
    let state = State::load().unwrap_or_else(|error| {
        say::progress(format_args!(
            "continuing without the cluster's recorded state: {error:#}"
        ));
        None
    });
    step("removed the cluster", || remove(state.as_ref()))
}

pub(crate) fn remove(state: Option<&State>) -> anyhow::Result<()> {
    // Kill all processes at once: they have no state to save.
    let ended = step("  stopped every process", || cgroup::kill_processes(cgroup::ROOT))?;
    say::progress(format_args!("  {ended} processes"));
    mounts::unmount_below(Path::new(state::DIRECTORY))?;
    step("  removed networks and rules", network::remove)?;
    step("  removed control groups", || cgroup::remove(cgroup::ROOT))?;
    remove_links(Path::new("/var/log/containers"))?;
    remove_network_results()?;
    if let Some(state) = state {
        // `ip netns` mounts the directory on itself. Leave it if it has namespaces of other programs.
        if state.host.created_directory("/run/netns") && is_empty("/run/netns") {
            mounts::unmount_below(Path::new("/run/netns"))?;
        }
        state.host.restore()?;
    }
    fs::remove_dir_all(state::DIRECTORY)?;
    Ok(())
}

fn is_empty(directory: &str) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
}

/// Removes the kubelet's log links, which are always in this directory.
fn remove_links(directory: &Path) -> anyhow::Result<()> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Ok(());
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if fs::read_link(&path).is_ok_and(|target| target.starts_with(state::DIRECTORY)) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Removes the results that network plugins store under the network's name.
fn remove_network_results() -> anyhow::Result<()> {
    let Ok(entries) = fs::read_dir("/var/lib/cni/results") else {
        return Ok(());
    };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with("sono-node") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
