//! The aggregator's process, with the world's volume mounted as its directory.

use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use sono_types::constants;
use tokio::{
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::world::World;

/// Time limit for an exit after SIGTERM.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// Mounts a directory at the program's fixed path, in a private mount namespace.
const BIND_MOUNT: &str = r#"mount --bind "$1" "$2" && shift 2 && exec "$@""#;

/// A running aggregator process.
#[derive(Debug)]
pub(crate) struct Aggregator {
    child: Child,
    pub(crate) log: PathBuf,
    pub(crate) started: Instant,
    /// Peak memory in bytes, as far as sampled.
    pub(crate) memory: u64,
}

impl Aggregator {
    /// Starts `program` as the `number`th of this world.
    pub(crate) fn start(program: &Path, world: &World, number: usize) -> anyhow::Result<Self> {
        // The mount point must exist; the mount hides its contents on this machine.
        fs_err::create_dir_all(constants::AGGREGATOR_DIR)?;
        let log = world.path().join(format!("aggregator-{number}.log"));
        let mut command = Command::new("unshare");
        command.arg("--mount");
        if !rustix::process::getuid().is_root() {
            command.arg("--map-root-user");
        }
        command
            .args(["--", "sh", "-c", BIND_MOUNT, "sh"])
            .arg(world.volume())
            .arg(constants::AGGREGATOR_DIR)
            .arg(program)
            .args(["aggregator", "--no-exit", "--kubeconfig"])
            .arg(world.kubeconfig())
            .envs(world.variables())
            .env_remove("RUST_BACKTRACE")
            .current_dir(world.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs_err::File::create(&log)?.into_parts().0)
            .kill_on_drop(true);
        let child = command
            .spawn()
            .context("cannot start the aggregator with `unshare` (package util-linux)")?;
        Ok(Self {
            child,
            log,
            started: Instant::now(),
            memory: 0,
        })
    }

    /// Resolves when the process exits by itself.
    pub(crate) async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        Ok(self.child.wait().await?)
    }

    /// The process ID while the process runs.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Updates the peak memory.
    pub(crate) fn sample_memory(&mut self) {
        if let Some(bytes) = self.child.id().and_then(high_water) {
            self.memory = self.memory.max(bytes);
        }
    }

    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        self.sample_memory();
        self.child.start_kill()?;
        self.child.wait().await?;
        Ok(())
    }

    /// Sends SIGTERM and waits for the exit.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        self.sample_memory();
        if let Some(id) = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            kill_process(id, Signal::TERM)?;
        }
        if let Ok(status) = timeout(STOP_LIMIT, self.child.wait()).await {
            return Ok(status?);
        }
        self.child.start_kill()?;
        bail!("the aggregator did not exit within {STOP_LIMIT:?} after SIGTERM")
    }

    /// Waits for the log message of a finished run with `--no-exit`.
    pub(crate) async fn wait_for_no_exit(&mut self) -> anyhow::Result<()> {
        loop {
            if fs_err::read_to_string(&self.log)?.contains(constants::NO_EXIT_MESSAGE) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the aggregator exited ({status}) instead of waiting for the retrieval of its archive");
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Number of open connections to `address`. Connections to the API server do not count: the client pools them.
    pub(crate) fn connections(&self, address: Ipv4Addr) -> anyhow::Result<usize> {
        let Some(id) = self.child.id() else { return Ok(0) };
        let inodes: BTreeSet<String> = fs_err::read_dir(format!("/proc/{id}/fd"))?
            .flatten()
            .filter_map(|entry| fs_err::read_link(entry.path()).ok())
            .filter_map(|target| {
                let inode = target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
                Some(inode.to_owned())
            })
            .collect();
        let table = fs_err::read_to_string(format!("/proc/{id}/net/tcp"))?;
        Ok(connections(&table, address, &inodes))
    }
}

/// Counts the established connections of the process in the system's TCP table.
fn connections(table: &str, address: Ipv4Addr, inodes: &BTreeSet<String>) -> usize {
    const LISTENS: &str = "0A";
    let local = format!(
        "{:08X}:{:04X}",
        u32::from_le_bytes(address.octets()),
        constants::AGGREGATOR_PORT
    );
    let is_one = |row: &&str| {
        let fields: Vec<&str> = row.split_ascii_whitespace().collect();
        fields.get(1) == Some(&local.as_str())
            && fields.get(3) != Some(&LISTENS)
            && fields.get(9).is_some_and(|inode| inodes.contains(*inode))
    };
    table.lines().filter(is_one).count()
}

/// Peak memory (`VmHWM`) of a process, in bytes.
pub(crate) fn high_water(process: u32) -> Option<u64> {
    status_bytes(process, "VmHWM:")
}

/// Current memory (`VmRSS`) of a process, in bytes.
pub(crate) fn resident(process: u32) -> Option<u64> {
    status_bytes(process, "VmRSS:")
}

fn status_bytes(process: u32, field: &str) -> Option<u64> {
    let text = fs_err::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kilobytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_skip_listeners_and_other_processes() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
               0: 0901007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 0\n\
               1: 0901007F:1F90 0100007F:A1B2 01 00000000:00000000 00:00000000 00000000     0        0 12 1 0\n\
               2: 0901007F:1F90 0100007F:A1B3 06 00000000:00000000 00:00000000 00000000     0        0 0 1 0\n\
               3: 0901007F:1F91 0100007F:A1B4 01 00000000:00000000 00:00000000 00000000     0        0 13 1 0\n";
        let inodes = ["11", "12", "13"].map(str::to_owned).into();
        assert_eq!(connections(table, Ipv4Addr::new(127, 0, 1, 9), &inodes), 1);
    }
}
