//! The aggregator's process: started with the world's volume as its directory, looked at, killed.

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

/// How long a process may take to end that is asked to.
const END: Duration = Duration::from_secs(30);

/// Puts a directory where the program has its own: a mount that nobody else sees.
const IN_PLACE: &str = r#"mount --bind "$1" "$2" && shift 2 && exec "$@""#;

/// A process that runs.
#[derive(Debug)]
pub(crate) struct Aggregator {
    child: Child,
    pub(crate) log: PathBuf,
    pub(crate) started: Instant,
    /// The most memory that it was seen to hold, in bytes.
    pub(crate) memory: u64,
}

impl Aggregator {
    /// Starts `program` as the `number`th of this world.
    pub(crate) fn start(program: &Path, world: &World, number: usize) -> anyhow::Result<Self> {
        // The place must be there to be mounted on; what it holds on this machine stays hidden.
        fs_err::create_dir_all(constants::AGGREGATOR_DIR)?;
        let log = world.path().join(format!("aggregator-{number}.log"));
        let mut command = Command::new("unshare");
        command.arg("--mount");
        if !rustix::process::getuid().is_root() {
            command.arg("--map-root-user");
        }
        command
            .args(["--", "sh", "-c", IN_PLACE, "sh"])
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
            .context("starting the aggregator with unshare, of util-linux")?;
        Ok(Self {
            child,
            log,
            started: Instant::now(),
            memory: 0,
        })
    }

    /// Resolves when it ends by itself.
    pub(crate) async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        Ok(self.child.wait().await?)
    }

    /// The process' number while it runs.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Takes note of its memory.
    pub(crate) fn look(&mut self) {
        if let Some(bytes) = self.child.id().and_then(high_water) {
            self.memory = self.memory.max(bytes);
        }
    }

    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        self.look();
        self.child.start_kill()?;
        self.child.wait().await?;
        Ok(())
    }

    /// SIGTERM, and waits for the end.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        self.look();
        if let Some(id) = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            kill_process(id, Signal::TERM)?;
        }
        if let Ok(status) = timeout(END, self.child.wait()).await {
            return Ok(status?);
        }
        self.child.start_kill()?;
        bail!("it did not end within {END:?} after SIGTERM")
    }

    /// Waits until it says that the run is over.
    pub(crate) async fn is_blocking(&mut self) -> anyhow::Result<()> {
        loop {
            if fs_err::read_to_string(&self.log)?.contains(constants::NO_EXIT_MESSAGE) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended ({status}) instead of waiting for its archive to be fetched");
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Connections that it holds of those who came to `address`. Those to the API server are the client's affair: it keeps as
    /// many for a while as it needed at a time.
    pub(crate) fn connections(&self, address: Ipv4Addr) -> anyhow::Result<usize> {
        let Some(id) = self.child.id() else { return Ok(0) };
        let held: BTreeSet<String> = fs_err::read_dir(format!("/proc/{id}/fd"))?
            .flatten()
            .filter_map(|entry| fs_err::read_link(entry.path()).ok())
            .filter_map(|target| {
                let inode = target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
                Some(inode.to_owned())
            })
            .collect();
        let table = fs_err::read_to_string(format!("/proc/{id}/net/tcp"))?;
        Ok(connections(&table, address, &held))
    }
}

/// The rows of the system's table that are neither listening nor another process'.
fn connections(table: &str, address: Ipv4Addr, held: &BTreeSet<String>) -> usize {
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
            && fields.get(9).is_some_and(|inode| held.contains(*inode))
    };
    table.lines().filter(is_one).count()
}

/// `VmHWM` of a process, in bytes.
pub(crate) fn high_water(process: u32) -> Option<u64> {
    status_bytes(process, "VmHWM:")
}

/// What a process holds now, in bytes.
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
    fn connections_are_told_from_listeners_and_from_those_of_others() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
               0: 0901007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 0\n\
               1: 0901007F:1F90 0100007F:A1B2 01 00000000:00000000 00:00000000 00000000     0        0 12 1 0\n\
               2: 0901007F:1F90 0100007F:A1B3 06 00000000:00000000 00:00000000 00000000     0        0 0 1 0\n\
               3: 0901007F:1F91 0100007F:A1B4 01 00000000:00000000 00:00000000 00000000     0        0 13 1 0\n";
        let held = ["11", "12", "13"].map(str::to_owned).into();
        assert_eq!(connections(table, Ipv4Addr::new(127, 0, 1, 9), &held), 1);
    }
}
