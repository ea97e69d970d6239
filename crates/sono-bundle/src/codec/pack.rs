//! Packs a directory (core §5.1, §5.2; fixes weakness W-27).

use std::{
    io::{self, Read, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use fs_err as fs;
use tar::{Builder, EntryType, Header};

use crate::{
    regular::{self, Links, open_regular},
    walk::{is_missing, walk},
};

/// Size from which sparse files are skipped, in bytes: a disk image would be packed at its full size, which takes
/// hours.
const SPARSE_BYTES: u64 = 1 << 30;
/// A file is sparse if its size exceeds its disk usage by this factor, which compressing file systems do not reach.
const SPARSE_RATIO: u64 = 128;

/// Statistics of an archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packed {
    /// Entries, including directories.
    pub entries: u64,
    /// Bytes of content before compression.
    pub bytes: u64,
    /// Files that changed their size while they were packed. Their content is cut or padded with zeros to the original
    /// size.
    pub changed: Vec<String>,
    /// Unreadable or special files, with the reason. They are not in the archive.
    pub skipped: Vec<(String, String)>,
}

/// Why packing failed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The directory does not exist.
    #[error("directory {} not found", .0.display())]
    NoDirectory(PathBuf),
    /// The directory cannot be listed.
    #[error("cannot list the files to pack")]
    List(#[source] io::Error),
    /// The archive cannot be written.
    #[error("cannot write the archive")]
    Write(#[source] io::Error),
}

impl From<io::Error> for PackError {
    fn from(error: io::Error) -> Self {
        Self::List(error)
    }
}

/// Packs all regular files and directories below `directory` as `.tar.gz` into `writer`, with relative names in lexical
/// order. Links and special files are skipped and reported. Paths in `exclude`, compared as found below `directory`,
/// are skipped. Files may change meanwhile; the result says which did. `compression` is gzip's level, 0 to 9.
pub fn pack_directory<W: Write>(
    directory: &Path,
    writer: W,
    exclude: &[PathBuf],
    compression: u32,
) -> Result<(W, Packed), PackError> {
    if !directory.is_dir() {
        return Err(PackError::NoDirectory(directory.to_path_buf()));
    }
    let encoder = GzEncoder::new(writer, Compression::new(compression.min(9)));
    let mut builder = Builder::new(encoder);
    builder.sparse(false);
    let mut packed = Packed::default();
    walk(directory, &mut |found| {
        if exclude.contains(&found.path) {
            return Ok(ControlFlow::Continue(()));
        }
        if found.kind.is_dir() {
            let metadata = match fs::symlink_metadata(&found.path) {
                Ok(metadata) => metadata,
                Err(error) if is_missing(&error) => return Ok(ControlFlow::Continue(())),
                Err(error) => return Err(PackError::List(error)),
            };
            let mut header = Header::new_gnu();
            header.set_metadata(&metadata);
            header.set_entry_type(EntryType::Directory);
            header.set_size(0);
            builder
                .append_data(&mut header, relative(directory, &found.path), io::empty())
                .map_err(PackError::Write)?;
            packed.entries += 1;
        } else if found.kind.is_file() {
            let opened = open_regular(&found.path, Links::Refused)
                .and_then(|file| file.metadata().map(|metadata| (file, metadata)));
            let (file, metadata) = match opened {
                Ok((_, metadata)) if is_sparse(&metadata) => {
                    let reason = format!("it is a sparse file of {} bytes", metadata.len());
                    packed.skipped.push((found.name.clone(), reason));
                    return Ok(ControlFlow::Continue(()));
                }
                Ok(opened) => opened,
                Err(error) if is_missing(&error) => return Ok(ControlFlow::Continue(())),
                Err(error) => {
                    packed.skipped.push((found.name.clone(), error.to_string()));
                    return Ok(ControlFlow::Continue(()));
                }
            };
            let size = metadata.len();
            let mut header = Header::new_gnu();
            header.set_metadata(&metadata);
            header.set_entry_type(EntryType::Regular);
            header.set_size(size);
            let mut content = Exactly::new(file, size);
            builder
                .append_data(&mut header, relative(directory, &found.path), &mut content)
                .map_err(PackError::Write)?;
            packed.entries += 1;
            packed.bytes += size;
            if content.short || grown(content.inner) {
                packed.changed.push(found.name.clone());
            }
        } else {
            let reason = format!("it is {}, not a file", regular::name(found.kind));
            packed.skipped.push((found.name.clone(), reason));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let writer = builder
        .into_inner()
        .and_then(GzEncoder::finish)
        .map_err(PackError::Write)?;
    Ok((writer, packed))
}

#[cfg(unix)]
fn is_sparse(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    // `blocks` counts 512 bytes, whatever the file system's block size.
    metadata.len() > SPARSE_BYTES && metadata.blocks().saturating_mul(512) < metadata.len() / SPARSE_RATIO
}

#[cfg(not(unix))]
fn is_sparse(_metadata: &std::fs::Metadata) -> bool {
    false
}

fn relative<'a>(directory: &Path, path: &'a Path) -> &'a Path {
    path.strip_prefix(directory)
        .expect("the walk yields only paths below its root")
}

/// Whether `reader` has more data.
fn grown(mut reader: impl Read) -> bool {
    matches!(reader.read(&mut [0]), Ok(1))
}

/// Yields exactly `size` bytes, padded with zeros if the content is shorter or unreadable.
struct Exactly<R> {
    inner: R,
    left: u64,
    short: bool,
}

impl<R> Exactly<R> {
    fn new(inner: R, size: u64) -> Self {
        Self {
            inner,
            left: size,
            short: false,
        }
    }
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = &mut buffer[..length];
        if buffer.is_empty() {
            return Ok(0);
        }
        let mut count = 0;
        if !self.short {
            match self.inner.read(buffer) {
                Ok(read) => count = read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
                // The header with the size is already written; without padding the whole archive would be invalid.
                Err(_) => {}
            }
        }
        if count == 0 {
            self.short = true;
            buffer.fill(0);
            count = buffer.len();
        }
        self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_has_the_size_of_its_header() {
        let read = |content: &[u8], size| {
            let mut reader = Exactly::new(content, size);
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).unwrap();
            (bytes, reader.short, grown(reader.inner))
        };
        assert_eq!(read(b"abc", 3), (b"abc".to_vec(), false, false));
        assert_eq!(read(b"ab", 4), (b"ab\0\0".to_vec(), true, false));
        assert_eq!(read(b"abcd", 2), (b"ab".to_vec(), false, true));
        assert_eq!(read(b"", 0), (vec![], false, false));
    }
}
