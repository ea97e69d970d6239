//! A disk that loses unsynced writes, as in a power loss. Killing only the process would not drop the page cache.
//!
//! The volume is an ext4 file system in an image file, mounted through a loop device. Unsynced writes are not yet in the
//! image. A power loss copies the image at the moment of the kill and mounts the copy instead. The write cache of a real
//! disk is not modelled. Requires root and loop devices.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use tokio::process::Command;

/// Size of the file system in bytes; the image file is sparse.
const SIZE: u64 = 1 << 30;
/// Mount options with a long commit interval: only explicit syncs reach the image.
const OPTIONS: &str = "loop,commit=600";

/// Mount options of a small volume, for some hundred results.
const SMALL: &str = "size=256m,mode=755";

/// A mounted disk.
#[derive(Debug)]
pub(crate) struct Disk {
    directory: PathBuf,
    volume: PathBuf,
    /// Number of power losses so far.
    number: usize,
}

impl Disk {
    /// Creates a disk with its image in `directory` and mounts it on `volume`.
    pub(crate) async fn new(directory: &Path, volume: &Path) -> anyhow::Result<Self> {
        let disk = Self {
            directory: directory.to_path_buf(),
            volume: volume.to_path_buf(),
            number: 0,
        };
        fs_err::File::create(disk.image())?.set_len(SIZE)?;
        run("mkfs.ext4", &[Path::new("-q"), Path::new("-F"), &disk.image()]).await?;
        disk.mount().await?;
        fs_err::remove_dir(volume.join("lost+found"))?;
        // The empty file system must survive the first power loss.
        run("sync", &[Path::new("-f"), volume]).await?;
        Ok(disk)
    }

    fn image(&self) -> PathBuf {
        self.directory.join(format!("disk-{}.img", self.number))
    }

    async fn mount(&self) -> anyhow::Result<()> {
        run(
            "mount",
            &[Path::new("-o"), Path::new(OPTIONS), &self.image(), &self.volume],
        )
        .await
    }

    /// Simulates a power loss: drops all unsynced writes. The volume must not be in use.
    pub(crate) async fn lose_unsynced_writes(&mut self) -> anyhow::Result<()> {
        let before = self.image();
        self.number += 1;
        let after = self.image();
        run("cp", &[Path::new("--sparse=always"), &before, &after]).await?;
        run("umount", &[&self.volume]).await?;
        fs_err::remove_file(before)?;
        self.mount().await
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // If this fails, removing the directory reports the remaining mount.
        std::process::Command::new("umount")
            .arg("--lazy")
            .arg(&self.volume)
            .status()
            .ok();
    }
}

/// A small volume in memory.
#[derive(Debug)]
pub(crate) struct SmallVolume {
    volume: PathBuf,
}

impl SmallVolume {
    /// Mounts a volume on `volume`.
    pub(crate) async fn new(volume: &Path) -> anyhow::Result<Self> {
        let source = ["-t", "tmpfs", "-o", SMALL, "none"].map(Path::new);
        let arguments: Vec<&Path> = source.into_iter().chain([volume]).collect();
        run("mount", &arguments).await?;
        Ok(Self {
            volume: volume.to_path_buf(),
        })
    }
}

impl Drop for SmallVolume {
    fn drop(&mut self) {
        // If this fails, removing the directory reports the remaining mount.
        std::process::Command::new("umount")
            .arg("--lazy")
            .arg(&self.volume)
            .status()
            .ok();
    }
}

async fn run(program: &str, arguments: &[&Path]) -> anyhow::Result<()> {
    let output = Command::new(program).args(arguments).output().await;
    let output = output.with_context(|| format!("cannot start `{program}`"))?;
    ensure!(
        output.status.success(),
        "{program}: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

#[cfg(test)]
mod loop_devices {
    use std::io::Write as _;

    use super::*;

    /// Checks the simulation itself: without lost writes, surviving a power loss would prove nothing.
    #[tokio::test]
    #[ignore = "requires root and loop devices: cargo xtask test"]
    async fn power_loss_drops_only_unsynced_writes() {
        let folder = tempfile::tempdir().unwrap();
        let volume = folder.path().join("volume");
        fs_err::create_dir(&volume).unwrap();
        let mut disk = Disk::new(folder.path(), &volume).await.unwrap();
        let mut synced = fs_err::File::create(volume.join("synced")).unwrap();
        synced.write_all(b"synced").unwrap();
        synced.sync_all().unwrap();
        fs_err::File::open(&volume).unwrap().sync_all().unwrap();
        drop(synced);
        fs_err::write(volume.join("written"), "readable until the power loss").unwrap();
        disk.lose_unsynced_writes().await.unwrap();
        assert_eq!(fs_err::read_to_string(volume.join("synced")).unwrap(), "synced");
        assert_ne!(
            fs_err::read_to_string(volume.join("written")).unwrap_or_default(),
            "readable until the power loss"
        );
    }
}
