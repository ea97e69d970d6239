//! A disk that can lose what was not synced: a killed process leaves its page cache behind, a machine that stops does not.
//!
//! The volume is an ext4 file system in a file, mounted over a loop device. What the file system has not been asked to
//! write out is in no block of that file. So a copy of the file, taken at the moment of the kill, mounted in the file's
//! place, is what a machine finds that lost its power then (blocks that a real disk would still reorder in its own cache
//! are not modelled). Needs root and loop devices.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use tokio::process::Command;

/// Size of the file system; its file takes only what is written.
const SIZE: u64 = 1 << 30;
/// Nothing is written out because time passes: only what is synced counts.
const OPTIONS: &str = "loop,commit=600";

/// Options of a volume that is soon full: room for some hundred results.
const SMALL: &str = "size=256m,mode=755";

/// A mounted disk.
#[derive(Debug)]
pub(crate) struct Disk {
    directory: PathBuf,
    volume: PathBuf,
    /// How many power losses it has seen.
    number: usize,
}

impl Disk {
    /// Makes one with its file in `directory` and mounts it on `volume`.
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
        // The empty file system itself is there before anything happens.
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

    /// The power fails and comes back: whatever was not synced is gone. Nobody may be using the volume.
    pub(crate) async fn lose_what_is_not_synced(&mut self) -> anyhow::Result<()> {
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
        // A mount that stays is seen by whoever removes the directory.
        std::process::Command::new("umount")
            .arg("--lazy")
            .arg(&self.volume)
            .status()
            .ok();
    }
}

/// Whether power can fail here: it takes root and loop devices.
pub async fn can_lose_power() -> bool {
    let mounted = async {
        let folder = tempfile::tempdir()?;
        let volume = folder.path().join("volume");
        fs_err::create_dir(&volume)?;
        Disk::new(folder.path(), &volume).await.map(drop)
    };
    mounted.await.is_ok()
}

/// A volume in memory that is soon full.
#[derive(Debug)]
pub(crate) struct SmallVolume {
    volume: PathBuf,
}

impl SmallVolume {
    /// Mounts it on `volume`.
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
        // A mount that stays is seen by whoever removes the directory.
        std::process::Command::new("umount")
            .arg("--lazy")
            .arg(&self.volume)
            .status()
            .ok();
    }
}

async fn run(program: &str, arguments: &[&Path]) -> anyhow::Result<()> {
    let output = Command::new(program).args(arguments).output().await;
    let output = output.with_context(|| format!("starting {program}"))?;
    ensure!(
        output.status.success(),
        "{program}: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// The simulation's own check: without this, surviving a power loss would mean nothing.
    #[tokio::test]
    async fn what_was_not_synced_is_gone_and_the_rest_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let volume = folder.path().join("volume");
        fs_err::create_dir(&volume).unwrap();
        let mut disk = match Disk::new(folder.path(), &volume).await {
            Ok(disk) => disk,
            Err(error) => {
                eprintln!("not run: no file system can be mounted here: {error:#}");
                return;
            }
        };
        let mut synced = fs_err::File::create(volume.join("synced")).unwrap();
        synced.write_all(b"synced").unwrap();
        synced.sync_all().unwrap();
        fs_err::File::open(&volume).unwrap().sync_all().unwrap();
        drop(synced);
        fs_err::write(
            volume.join("written"),
            "written, and read back as long as the power lasts",
        )
        .unwrap();
        disk.lose_what_is_not_synced().await.unwrap();
        assert_eq!(fs_err::read_to_string(volume.join("synced")).unwrap(), "synced");
        assert_ne!(
            fs_err::read_to_string(volume.join("written")).unwrap_or_default(),
            "written, and read back as long as the power lasts"
        );
    }
}
