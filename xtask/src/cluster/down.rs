//! `cluster down`: ends everything that `up` started and takes it off the machine, from whatever state it is in.

use std::path::{Path, PathBuf};

use anyhow::bail;
use fs_err as fs;

use super::{cgroup, network, state, state::State, up};
use crate::{command, say, step::step};

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
    unmount_below(Path::new(state::DIRECTORY))?;
    step("  removed networks and rules", network::remove)?;
    step("  removed control groups", || cgroup::remove(cgroup::ROOT))?;
    remove_links(Path::new("/var/log/containers"))?;
    remove_network_results()?;
    if let Some(state) = state {
        if state.host.made("/run/netns") {
            unmount_below(Path::new("/run/netns"))?;
        }
        state.host.put_back()?;
    }
    fs::remove_dir_all(state::DIRECTORY)?;
    Ok(())
}

/// Unmounts what is at or below the directory. Fails rather than leave a mount: the directory is deleted afterwards,
/// and with it would go what is mounted there, such as the files of a local volume.
fn unmount_below(directory: &Path) -> anyhow::Result<()> {
    for path in mounts_below(directory)?.iter().rev() {
        let umount = |options: &[&str]| command::succeeds(command::new("umount", options).arg(path));
        if !umount(&[]) {
            umount(&["--lazy"]);
        }
    }
    match mounts_below(directory)?.first() {
        Some(left) => bail!("{} cannot be unmounted", left.display()),
        None => Ok(()),
    }
}

fn mounts_below(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let text = fs::read_to_string("/proc/self/mountinfo")?;
    let paths = text
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|path| PathBuf::from(unescape(path)));
    Ok(paths.filter(|path| path.starts_with(directory)).collect())
}

/// The kernel writes blanks in paths as three octal digits.
fn unescape(path: &str) -> String {
    path.replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\012", "\n")
        .replace("\\134", "\\")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_paths_are_unescaped() {
        assert_eq!(unescape(r"/a\040b\134040"), r"/a b\040");
    }
}
