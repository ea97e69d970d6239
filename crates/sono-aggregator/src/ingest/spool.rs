//! A body that is being received: in memory while it is small, then in a temporary file that is written in large pieces.

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

/// Bytes per write, since each write changes threads. Also the memory of one body that is being received.
const PIECE: usize = 64 << 10;
/// How many pieces are written at the same time: that is copying, but for a disk that does not keep up.
const WRITERS: usize = 8;

/// State shared by all bodies.
#[derive(Debug, Clone)]
pub(crate) struct Writers(Arc<Semaphore>);

impl Default for Writers {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(WRITERS)))
    }
}

/// A body that is not complete.
pub(crate) struct Spool {
    /// Where temporary files are made.
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
        let expected = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(PIECE);
        Self {
            directory,
            writers: writers.clone(),
            file: None,
            pending: Vec::with_capacity(expected.min(PIECE)),
        }
    }

    /// A spool that appends to the file.
    pub(crate) fn behind(file: TempPath, directory: PathBuf, writers: &Writers) -> io::Result<Self> {
        let opened = fs_err::OpenOptions::new().append(true).open(&file)?.into_file();
        Ok(Self {
            directory,
            writers: writers.clone(),
            file: Some(NamedTempFile::from_parts(opened, file)),
            pending: Vec::with_capacity(PIECE),
        })
    }

    /// The received bytes as a file.
    pub(crate) async fn so_far(mut self) -> io::Result<TempPath> {
        if !self.pending.is_empty() {
            self.flush().await?;
        }
        let file = self.file.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        Ok(file.into_temp_path())
    }

    pub(crate) async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PIECE - self.pending.len()));
            self.pending.extend_from_slice(now);
            if self.pending.len() == PIECE {
                self.flush().await?;
            }
            bytes = later;
        }
        Ok(())
    }

    /// The complete body.
    pub(crate) async fn finish(self) -> io::Result<Content> {
        if self.file.is_none() && self.pending.len() as u64 <= SmallBody::MOST_BYTES {
            return Ok(Content::Memory(Bytes::from(self.pending)));
        }
        self.so_far().await.map(Content::File)
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
    async fn every_byte_of_a_body_of_any_size_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let writers = Writers::default();
        let small = usize::try_from(SmallBody::MOST_BYTES).unwrap();
        for size in [0, 1, small, small + 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 5] {
            let body: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect();
            // As it is told, and not; in pieces of any size.
            for (length, piece) in [(Some(size as u64), 16 << 10), (None, PIECE * 2), (Some(1), 1000)] {
                let mut spool = Spool::new(folder.path().to_path_buf(), &writers, length);
                for chunk in body.chunks(piece) {
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
    async fn a_body_goes_on_behind_what_came_before() {
        let folder = tempfile::tempdir().unwrap();
        let writers = Writers::default();
        let body: Vec<u8> = (0..3 * PIECE).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let (first, second) = body.split_at(PIECE + 7);
        let mut spool = Spool::new(folder.path().to_path_buf(), &writers, None);
        spool.write(first).await.unwrap();
        let file = spool.so_far().await.unwrap();
        let mut spool = Spool::behind(file, folder.path().to_path_buf(), &writers).unwrap();
        spool.write(second).await.unwrap();
        let Content::File(path) = spool.finish().await.unwrap() else {
            panic!("it is small");
        };
        assert!(fs_err::read(&path).unwrap() == body);
    }
}
