//! Archives and files: packing and unpacking with limits, durable storage, and one reader for directories and tarballs.
//!
//! It knows only bytes, names and paths, not results or permissions; which files to redact and how is decided by the caller. All functions are synchronous; async callers use a
//! blocking task.

mod codec;
mod files;
mod limits;
mod read;
mod redact;
mod regular;
mod splat;
mod store;
mod walk;

pub use codec::{
    gzip::{ArchiveError, gunzip},
    pack::{PackError, Packed, pack_directory},
    private::create_private_directories,
    rewrite::{Rewrite, RewriteError, Spooled, rewrite_tar_gz, spooled},
    unpack::{UnpackError, Unpacked, unpack_private, unpack_tar_gz},
};
pub use files::DirectoryFiles;
pub use limits::{ReadLimits, usable_space};
pub use read::{Bundle, FileTaker, FileVisitor, MemoryBudget, ReadError};
pub use redact::FileSearch;
pub use regular::{Links, open_regular};
pub use splat::splat;
pub use store::{
    FileNameError, PlaceError, SealError, Sealed, Staged, StagedFile, StoreError, create_directories,
    remove_unfinished, remove_unfinished_below, safe_file_name, seal, stage_archive, stage_bytes, stage_file,
    sync_directory, write_durably,
};
