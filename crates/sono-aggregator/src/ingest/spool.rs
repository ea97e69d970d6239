//! A body that is being received: in memory while it is small, then in a temporary file that is written in large chunks.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    sync::Arc,
};

use bytes::Bytes;
use sono_run::SmallBody;
use tempfile::{NamedTempFile, TempPath};
use tokio::sync::Semaphore;

use crate::ingest::staging::Content;

/// Bytes per write: each write changes threads. Also the maximum memory of one body that is being received.
const CHUNK_BYTES: usize = 64 << 10;
/// Maximum number of concurrent writes. A write copies to the page cache unless the disk is slow.
const MAX_CONCURRENT_WRITES: usize = 8;

/// State shared by all bodies.
#[derive(Debug, Clone)]
pub(crate) struct Writers(Arc<Semaphore>);

impl Default for Writers {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_CONCURRENT_WRITES)))
    }
}

/// A body that is not complete.
pub(crate) struct Spool {
    /// Directory of temporary files.
    directory: PathBuf,
    writers: Writers,
    file: Option<NamedTempFile>,
    /// Bytes that are not written yet.
    pending: Vec<u8>,
}

impl Spool {
    /// `length` is the size stated by the sender, which may be wrong.
    pub(crate) fn new(directory: PathBuf, writers: &Writers, length: Option<u64>) -> Self {
        // The announced length uses memory only as bytes arrive.
        let expected = length
            .and_then(|length| usize::try_from(length).ok())
            .unwrap_or(CHUNK_BYTES);
        Self {
            directory,
            writers: writers.clone(),
            file: None,
            pending: Vec::with_capacity(expected.min(CHUNK_BYTES)),
        }
    }

    /// A spool that appends to the file.
    pub(crate) fn append_to(file: TempPath, directory: PathBuf, writers: &Writers) -> io::Result<Self> {
        let opened = fs_err::OpenOptions::new().append(true).open(&file)?.into_file();
        Ok(Self {
            directory,
            writers: writers.clone(),
            file: Some(NamedTempFile::from_parts(opened, file)),
            pending: Vec::with_capacity(CHUNK_BYTES),
        })
    }

    /// The received bytes as a file.
    pub(crate) async fn into_file(mut self) -> io::Result<TempPath> {
        if !self.pending.is_empty() {
            self.flush().await?;
        }
        let file = self.file.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        Ok(file.into_temp_path())
    }

    pub(crate) async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK_BYTES - self.pending.len()));
            self.pending.extend_from_slice(now);
            if self.pending.len() == CHUNK_BYTES {
                self.flush().await?;
            }
            bytes = later;
        }
        Ok(())
    }

    /// The complete body.
    pub(crate) async fn finish(self) -> io::Result<Content> {
        if self.file.is_none() && self.pending.len() as u64 <= SmallBody::MAX_BYTES {
            return Ok(Content::Memory(Bytes::from(self.pending)));
        }
        self.into_file().await.map(Content::File)
    }

    async fn flush(&mut self) -> io::Result<()> {
        let (file, mut pending) = (self.file.take(), std::mem::take(&mut self.pending));
        let directory = self.directory.clone();
        let permit = Arc::clone(&self.writers.0).acquire_owned().await;
        let written = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let mut file = match file {
                Some(file) => file,
                None => NamedTempFile::new_in(directory)?,
            };
            file.write_all(&pending)?;
            pending.clear();
            Ok::<_, io::Error>((file, pending))
        });
        let (file, pending) = written.await.map_err(io::Error::other)??;
        (self.file, self.pending) = (Some(file), pending);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn spool_body_of_any_size_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let writers = Writers::default();
        let small = usize::try_from(SmallBody::MAX_BYTES).unwrap();
        for size in [
            0,
            1,
            small,
            small + 1,
            CHUNK_BYTES - 1,
            CHUNK_BYTES,
            CHUNK_BYTES + 1,
            3 * CHUNK_BYTES + 5,
        ] {
            let body: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect();
            // With the right, an unknown and a wrong length, in chunks of several sizes.
            for (length, chunk_size) in [(Some(size as u64), 16 << 10), (None, CHUNK_BYTES * 2), (Some(1), 1000)] {
                let mut spool = Spool::new(folder.path().to_path_buf(), &writers, length);
                for chunk in body.chunks(chunk_size) {
                    spool.write(chunk).await.unwrap();
                }
                let (in_memory, found) = match spool.finish().await.unwrap() {
                    Content::Memory(bytes) => (true, bytes.to_vec()),
                    Content::File(path) => (false, fs_err::read(&path).unwrap()),
                };
                assert_eq!(in_memory, size <= small);
                assert!(found == body, "{size} bytes");
            }
        }
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
    }

    #[tokio::test]
    async fn spool_resumed_body_is_appended() {
        let folder = tempfile::tempdir().unwrap();
        let writers = Writers::default();
        let body: Vec<u8> = (0..3 * CHUNK_BYTES).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let (first, second) = body.split_at(CHUNK_BYTES + 7);
        let mut spool = Spool::new(folder.path().to_path_buf(), &writers, None);
        spool.write(first).await.unwrap();
        let file = spool.into_file().await.unwrap();
        let mut spool = Spool::append_to(file, folder.path().to_path_buf(), &writers).unwrap();
        spool.write(second).await.unwrap();
        let Content::File(path) = spool.finish().await.unwrap() else {
            panic!("it is small");
        };
        assert!(fs_err::read(&path).unwrap() == body);
    }
}
