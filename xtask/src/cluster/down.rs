//! `cluster down`: ends everything that `up` started and takes it off the machine, from whatever state it is in.

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
    // Without a readable state the processes and files go all the same; only the host's settings stay as they are.
    let state = State::load().unwrap_or_else(|error| {
        say::progress(format_args!("going on without the cluster's record: {error:#}"));
        None
    });
    step("removed the cluster", || remove(state.as_ref()))
}

pub(crate) fn remove(state: Option<&State>) -> anyhow::Result<()> {
    // All at once and without ceremony: nothing that they could save is kept.
    let ended = step("  ended every process", || cgroup::kill_processes(cgroup::ROOT))?;
    say::progress(format_args!("  {ended} processes"));
    mounts::unmount_below(Path::new(state::DIRECTORY))?;
    step("  removed networks and rules", network::remove)?;
    step("  removed control groups", || cgroup::remove(cgroup::ROOT))?;
    remove_links(Path::new("/var/log/containers"))?;
    remove_network_results()?;
    if let Some(state) = state {
        // `ip netns` mounts the directory on itself; with somebody else's namespaces in it, it stays.
        if state.host.made("/run/netns") && is_empty("/run/netns") {
            mounts::unmount_below(Path::new("/run/netns"))?;
        }
        state.host.put_back()?;
    }
    fs::remove_dir_all(state::DIRECTORY)?;
    Ok(())
}

fn is_empty(directory: &str) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
}

/// The kubelet links every log there, wherever its other directories are.
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

/// The network plugins note what they did by the network's name, which begins with ours.
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
