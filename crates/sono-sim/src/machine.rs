//! Faults of the machine: a full disk and clock changes.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use tokio::{sync::watch, time::sleep};

use crate::{
    schedule::{MachineFault, MachineTrouble},
    world::World,
};

/// Paths of the library in Debian's package `libfaketime`.
const LIBRARIES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
];
/// Name of the file that fills the volume.
const FILLER: &str = ".filler";
/// Minimum size of an allocation, in bytes.
const BLOCK: u64 = 4096;

/// Whether the faults include a full disk, so that workers may get 507.
pub(crate) fn fills_the_disk(faults: &[MachineFault]) -> bool {
    let full = |fault: &MachineFault| matches!(fault.what, MachineTrouble::DiskFull { .. });
    faults.iter().any(full)
}

/// Path of the faketime library, if installed.
fn faketime() -> Option<PathBuf> {
    LIBRARIES.iter().map(PathBuf::from).find(|path| path.exists())
}

/// Prepares the world for these faults.
pub(crate) async fn prepare(faults: &[MachineFault], world: &World) -> anyhow::Result<()> {
    if fills_the_disk(faults) {
        world
            .use_small_volume()
            .await
            .context("cannot create a small volume: requires root or a user namespace (or use --no-machine-faults)")?;
    }
    let clock = |fault: &MachineFault| matches!(fault.what, MachineTrouble::Clock { .. });
    if faults.iter().any(clock) {
        let library =
            faketime().context("clock faults require Debian's package faketime (or use --no-machine-faults)")?;
        world.set_clock(0)?;
        world.use_faketime(library);
    }
    Ok(())
}

/// Applies each fault at its scheduled time.
pub(crate) async fn troubles(
    faults: &[MachineFault],
    world: &World,
    mut answered: watch::Receiver<usize>,
) -> anyhow::Result<()> {
    for fault in faults {
        // The workers have ended, and with them the run.
        if answered.wait_for(|answered| *answered >= fault.answered).await.is_err() {
            break;
        }
        match fault.what {
            MachineTrouble::DiskFull { ms } => {
                let filler = world.volume().join(FILLER);
                fill(&filler)?;
                sleep(Duration::from_millis(ms)).await;
                empty(&filler)?;
            }
            MachineTrouble::Clock { seconds } => world.set_clock(seconds)?,
        }
    }
    Ok(())
}

/// Allocates all free space of the volume.
fn fill(path: &Path) -> anyhow::Result<()> {
    let file = fs_err::File::create(path)?;
    let space = statvfs(path)?;
    let mut size = space.f_bfree.saturating_mul(space.f_frsize);
    let mut allocated = 0;
    while size >= BLOCK {
        match fallocate(&file, FallocateFlags::empty(), allocated, size) {
            Ok(()) => allocated += size,
            Err(rustix::io::Errno::NOSPC) => size /= 2,
            Err(error) => return Err(error).context("cannot fill the volume"),
        }
    }
    Ok(())
}

/// Frees the space. The file may be missing after a power loss.
fn empty(path: &Path) -> anyhow::Result<()> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
