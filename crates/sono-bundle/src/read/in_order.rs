//! Reads files of an archive in an order of the caller's choice.

use std::{
    collections::BTreeMap,
    io::{self, Read, Seek as _, SeekFrom},
    ops::ControlFlow,
};

use fs_err as fs;

use super::{Bundle, ReadError};
use crate::{
    codec::name::normalize,
    limits::{ReadLimits, usable_space},
    walk::resolve,
};

/// Receives a file by its index in the list, with `None` for a missing file.
pub type FileTaker<'a> = dyn FnMut(usize, Option<&mut dyn Read>) -> io::Result<ControlFlow<()>> + 'a;

impl Bundle {
    /// Passes these files in this order to `take`, as streams, in one pass over the archive. Files that arrive early
    /// are buffered in a temporary file, so memory use is constant. A name may occur several times.
    pub fn read_in_order(&self, names: &[&str], take: &mut FileTaker<'_>) -> Result<(), ReadError> {
        if self.is_directory {
            return self.take_from_directory(names, take);
        }
        let mut queue = Queue::new(names, &self.limits);
        if !queue.is_done() {
            self.visit(&mut |name, content| {
                let indexes = queue.pending.remove(name).unwrap_or_default();
                if !indexes.is_empty() {
                    queue.receive(&indexes, content, take)?;
                }
                Ok(if queue.is_done() || queue.pending.is_empty() {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                })
            })?;
        }
        // Files still pending do not exist in the archive.
        let mut current = queue.next;
        queue.finish(take, &mut current).map_err(|source| {
            let name = names.get(current).copied().unwrap_or_default();
            self.file_error(name, source)
        })
    }

    fn take_from_directory(&self, names: &[&str], take: &mut FileTaker<'_>) -> Result<(), ReadError> {
        for (number, name) in names.iter().enumerate() {
            let taken = match resolve(&self.path, name) {
                Ok(Some(path)) if path.is_file() => {
                    fs::File::open(path).and_then(|mut file| take(number, Some(&mut file)))
                }
                Ok(_) => take(number, None),
                Err(error) => Err(error),
            };
            if taken.map_err(|source| self.file_error(name, source))?.is_break() {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// The files passed on so far, and those buffered.
struct Queue {
    length: usize,
    /// The index of the next file.
    next: usize,
    stopped: bool,
    /// Names that were not found yet, with their indexes in ascending order.
    pending: BTreeMap<String, Vec<usize>>,
    /// Position and length of buffered files in the store.
    buffered: BTreeMap<usize, (u64, u64)>,
    store: Option<fs::File>,
    /// Bytes that may still be written to the store.
    usable: u64,
}

impl Queue {
    fn new(names: &[&str], limits: &ReadLimits) -> Self {
        let mut pending: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (number, name) in names.iter().enumerate() {
            // An invalid name cannot exist in the archive.
            if let Ok(name) = normalize(name.as_bytes(), usize::MAX) {
                pending.entry(name).or_default().push(number);
            }
        }
        Self {
            length: names.len(),
            next: 0,
            stopped: false,
            pending,
            buffered: BTreeMap::new(),
            store: None,
            usable: limits.max_unpacked_bytes,
        }
    }

    fn is_done(&self) -> bool {
        self.stopped || self.next >= self.length
    }

    fn receive(&mut self, indexes: &[usize], content: &mut dyn Read, take: &mut FileTaker<'_>) -> io::Result<()> {
        if indexes == [self.next] {
            self.hand_over(Some(content), take)?;
        } else {
            let store = if let Some(store) = &mut self.store {
                store
            } else {
                self.usable = self.usable.min(usable_space(&std::env::temp_dir()).unwrap_or(u64::MAX));
                let file = fs::File::from_parts(tempfile::tempfile()?, "a temporary file");
                self.store.insert(file)
            };
            let start = store.seek(SeekFrom::End(0))?;
            let length = io::copy(&mut content.take(self.usable.saturating_add(1)), store)?;
            self.usable = self.usable.checked_sub(length).ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::FileTooLarge,
                    "buffered files exceed the free space of the temporary directory",
                )
            })?;
            self.buffered
                .extend(indexes.iter().map(|index| (*index, (start, length))));
        }
        while !self.is_done() && self.buffered.contains_key(&self.next) {
            self.take_buffered(take)?;
        }
        Ok(())
    }

    fn finish(&mut self, take: &mut FileTaker<'_>, current: &mut usize) -> io::Result<()> {
        while !self.is_done() {
            *current = self.next;
            self.take_buffered(take)?;
        }
        Ok(())
    }

    /// Passes on the buffered file with the next index, or `None`.
    fn take_buffered(&mut self, take: &mut FileTaker<'_>) -> io::Result<()> {
        let Some((start, length)) = self.buffered.remove(&self.next) else {
            return self.hand_over(None, take);
        };
        let mut store = self.store.take().expect("buffered files are in the store");
        store.seek(SeekFrom::Start(start))?;
        let handed = self.hand_over(Some(&mut (&mut store).take(length)), take);
        self.store = Some(store);
        handed
    }

    fn hand_over(&mut self, content: Option<&mut dyn Read>, take: &mut FileTaker<'_>) -> io::Result<()> {
        self.stopped = take(self.next, content)?.is_break();
        self.next += 1;
        Ok(())
    }
}
