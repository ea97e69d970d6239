//! Mounts of this machine, and unmounting.

use std::path::{Path, PathBuf};

use anyhow::bail;
use fs_err as fs;

use crate::command;

/// Unmounts everything at or below the directory. Fails if a mount remains: the directory is deleted afterwards, which
/// would delete mounted files, such as those of a local volume.
pub(crate) fn unmount_below(directory: &Path) -> anyhow::Result<()> {
    for path in below(directory)?.iter().rev() {
        let umount = |options: &[&str]| command::succeeds(command::new("umount", options).arg(path));
        if !umount(&[]) {
            umount(&["--lazy"]);
        }
    }
    match below(directory)?.first() {
        Some(remaining) => bail!("cannot unmount {}", remaining.display()),
        None => Ok(()),
    }
}

pub(crate) fn below(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let text = fs::read_to_string("/proc/self/mountinfo")?;
    let paths = text
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|path| PathBuf::from(unescape(path)));
    Ok(paths.filter(|path| path.starts_with(directory)).collect())
}

/// Decodes the kernel's escapes: whitespace and backslashes in paths are three octal digits.
fn unescape(path: &str) -> String {
    path.replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\012", "\n")
        .replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_paths_are_unescaped() {
        assert_eq!(unescape(r"/a\040b\134040"), r"/a b\040");
    }
}
