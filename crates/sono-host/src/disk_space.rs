//! The space of a file system.

use std::path::Path;

use crate::facts::Space;

/// The device of a directory and the space of its file system; `None` if the directory does not exist or the space is
/// unknown.
#[cfg(unix)]
pub(crate) fn disk_space(directory: &Path) -> Option<(u64, Space)> {
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

/// Not supported on this platform.
#[cfg(not(unix))]
pub(crate) fn disk_space(_: &Path) -> Option<(u64, Space)> {
    None
}
