//! Asking a file system for its space.

use std::path::Path;

use crate::facts::Space;

/// The device a directory is on, and what is left there; none where there is no such directory or nobody tells.
#[cfg(unix)]
pub(crate) fn space(directory: &Path) -> Option<(u64, Space)> {
    use std::os::unix::fs::MetadataExt as _;

    let metadata = fs_err::metadata(directory).ok().filter(std::fs::Metadata::is_dir)?;
    let found = rustix::fs::statvfs(directory).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    let space = Space {
        total: bytes(found.f_blocks),
        available: bytes(found.f_bavail),
        inodes: found.f_files,
        inodes_available: found.f_favail,
    };
    Some((metadata.dev(), space))
}

/// Not asked on this platform.
#[cfg(not(unix))]
pub(crate) fn space(_: &Path) -> Option<(u64, Space)> {
    None
}
