//! What goes wrong with the machine: a disk without room, a clock that is set.

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

/// Where Debian's package `libfaketime` puts its library.
const LIBRARIES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
];
/// What takes all the room.
const FILLER: &str = ".filler";
/// The smallest piece that is worth taking.
const BLOCK: u64 = 4096;

/// Whether workers may be told that there is no room.
pub(crate) fn fills_the_disk(faults: &[MachineFault]) -> bool {
    let full = |fault: &MachineFault| matches!(fault.what, MachineTrouble::DiskFull { .. });
    faults.iter().any(full)
}

/// The library that lets a program see another time, where it is installed.
fn faketime() -> Option<PathBuf> {
    LIBRARIES.iter().map(PathBuf::from).find(|path| path.exists())
}

/// Whether [`MachineTrouble::Clock`] can be simulated here.
pub fn can_set_clocks() -> bool {
    faketime().is_some()
}

/// Gets the world ready for these faults.
pub(crate) async fn prepare(faults: &[MachineFault], world: &World) -> anyhow::Result<()> {
    if fills_the_disk(faults) {
        world
            .use_small_volume()
            .await
            .context("making a small volume, which needs root or a user namespace (without it: --no-machine-faults)")?;
    }
    let clock = |fault: &MachineFault| matches!(fault.what, MachineTrouble::Clock { .. });
    if faults.iter().any(clock) {
        let library =
            faketime().context("clocks are set with Debian's package faketime (without it: --no-machine-faults)")?;
        world.set_clock(0)?;
        world.use_faketime(library);
    }
    Ok(())
}

/// Each when its time has come.
pub(crate) async fn troubles(
    faults: &[MachineFault],
    world: &World,
    mut answered: watch::Receiver<usize>,
) -> anyhow::Result<()> {
    for fault in faults {
        // The workers being gone means that the run is over.
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

/// Takes all the room that is left.
fn fill(path: &Path) -> anyhow::Result<()> {
    let file = fs_err::File::create(path)?;
    let room = statvfs(path)?;
    let mut piece = room.f_bfree.saturating_mul(room.f_frsize);
    let mut taken = 0;
    while piece >= BLOCK {
        match fallocate(&file, FallocateFlags::empty(), taken, piece) {
            Ok(()) => taken += piece,
            Err(rustix::io::Errno::NOSPC) => piece /= 2,
            Err(error) => return Err(error).context("filling the volume"),
        }
    }
    Ok(())
}

/// Gives it back. It may be gone: the power failed before it was synced.
fn empty(path: &Path) -> anyhow::Result<()> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
