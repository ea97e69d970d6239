//! Several files of an archive in an order that may not be the archive's.

use std::{
    collections::BTreeMap,
    io::{self, Read, Seek as _, SeekFrom},
    ops::ControlFlow,
};

use fs_err as fs;

use super::{Bundle, ReadError, ReadLimits, usable_space};
use crate::{codec::name::normalize, walk::resolve};

/// Takes a file by its number in the list that was asked for; there is no reader where there is no such file.
pub type FileTaker<'a> = dyn FnMut(usize, Option<&mut dyn Read>) -> io::Result<ControlFlow<()>> + 'a;

impl Bundle {
    /// Hands over these files in this order, each as a stream, in one pass over the archive: what comes before its turn
    /// waits in a temporary file, so that memory does not grow with the files. A name may be there more than once.
    pub fn read_in_order(&self, names: &[&str], take: &mut FileTaker<'_>) -> Result<(), ReadError> {
        if self.is_directory {
            return self.take_from_directory(names, take);
        }
        let mut queue = Queue::new(names, &self.limits);
        if !queue.is_done() {
            self.visit(&mut |name, content| {
                let places = queue.places.remove(name).unwrap_or_default();
                if !places.is_empty() {
                    queue.arrived(&places, content, take)?;
                }
                Ok(if queue.is_done() || queue.places.is_empty() {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                })
            })?;
        }
        // What did not come by now is not there, and nothing waits for it any longer.
        let mut current = queue.next;
        queue.rest(take, &mut current).map_err(|source| {
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

/// What has been handed over, and what waits for its turn.
struct Queue {
    length: usize,
    /// The number whose turn it is.
    next: usize,
    stopped: bool,
    /// Names that have not come yet, and their numbers in ascending order.
    places: BTreeMap<String, Vec<usize>>,
    /// Where those that came too early stand in the store: start and length.
    waiting: BTreeMap<usize, (u64, u64)>,
    store: Option<fs::File>,
    /// Bytes that may still be put into the store.
    usable: u64,
}

impl Queue {
    fn new(names: &[&str], limits: &ReadLimits) -> Self {
        let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (number, name) in names.iter().enumerate() {
            // A name that no archive can have is one that is not there.
            if let Ok(name) = normalize(name.as_bytes(), usize::MAX) {
                places.entry(name).or_default().push(number);
            }
        }
        Self {
            length: names.len(),
            next: 0,
            stopped: false,
            places,
            waiting: BTreeMap::new(),
            store: None,
            usable: limits.max_unpacked_bytes,
        }
    }

    fn is_done(&self) -> bool {
        self.stopped || self.next >= self.length
    }

    fn arrived(&mut self, places: &[usize], content: &mut dyn Read, take: &mut FileTaker<'_>) -> io::Result<()> {
        if places == [self.next] {
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
                    "files that wait for their turn fill the disk of temporary files",
                )
            })?;
            self.waiting
                .extend(places.iter().map(|place| (*place, (start, length))));
        }
        while !self.is_done() && self.waiting.contains_key(&self.next) {
            self.take_waiting(take)?;
        }
        Ok(())
    }

    fn rest(&mut self, take: &mut FileTaker<'_>, current: &mut usize) -> io::Result<()> {
        while !self.is_done() {
            *current = self.next;
            self.take_waiting(take)?;
        }
        Ok(())
    }

    /// Hands over what waits for this turn, or nothing.
    fn take_waiting(&mut self, take: &mut FileTaker<'_>) -> io::Result<()> {
        let Some((start, length)) = self.waiting.remove(&self.next) else {
            return self.hand_over(None, take);
        };
        let mut store = self.store.take().expect("what waits stands in the store");
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
