//! The journal's file: its thread appends and syncs, and one sync serves everybody who waits for it.
//!
//! An appended record is never lost: while the disk is full, or after a failed sync, it stays in memory and is written with the next,
//! and a moment later at the latest. A failure is reported to a waiting caller at once, unless the caller waits for free space.

use std::{
    collections::BTreeMap,
    io::{self, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};

use sono_run::{NotRecorded, Record};
use sono_types::{SharedError, error_chain};

use super::codec;
use crate::durability::disk_full::{DiskFull, DiskFullGuard, IsDiskFull as _};

/// Records that are written before a sync, at most.
const BATCH: usize = 4096;
/// Capacity of the buffer that is retained between batches, in bytes.
const USUAL: usize = 64 << 10;
/// Delay of the next attempt after a failed write, unless more records are appended before.
const RETRY: Duration = Duration::from_millis(500);

/// Called once records are on disk, or could not be written.
pub(super) type Done = Box<dyn FnOnce(Result<(), NotRecorded>) + Send>;

/// A callback that waits for records to be on disk.
pub(super) enum Wait {
    /// Called at once after a failure.
    Now(Done),
    /// Waits while the disk is full.
    Patiently(Done),
    /// Waits as well, and replaces the one before: only the newest is needed.
    Newest(Done),
}

/// Records, the directory to sync before them, and the callback that waits for both.
#[derive(Default)]
pub(super) struct Append {
    pub(super) records: Vec<Record>,
    pub(super) names: Option<PathBuf>,
    pub(super) wait: Option<Wait>,
}

pub(super) enum Order {
    Append(Append),
    Close,
}

impl Wait {
    pub(super) fn done(self) -> Done {
        match self {
            Self::Now(done) | Self::Patiently(done) | Self::Newest(done) => done,
        }
    }
}

/// The file of a journal; tests have one that is full.
pub(super) trait Storage {
    /// Writes all bytes at this offset, over any earlier ones.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
}

impl Storage for fs_err::File {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.seek(SeekFrom::Start(offset))?;
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Why it is not written.
#[derive(Clone)]
struct Unwritten {
    source: SharedError,
    full: bool,
}

impl Unwritten {
    fn new(error: io::Error) -> Self {
        Self {
            full: error.is_full(),
            source: SharedError::new(error),
        }
    }
}

pub(super) struct JournalFile<S> {
    file: S,
    /// Up to there it is on disk.
    synced: u64,
    /// What follows: written or not.
    unsynced: Vec<u8>,
    /// How much of that is written.
    written: usize,
    /// Callbacks that wait while the disk is full.
    patient: Vec<Done>,
    newest: Option<Done>,
    disk_full: DiskFull,
    waits: Option<DiskFullGuard>,
    syncs: Arc<AtomicU64>,
}

impl<S: Storage> JournalFile<S> {
    pub(super) fn new(file: S, length: u64, syncs: &Arc<AtomicU64>, disk_full: &DiskFull) -> Self {
        Self {
            file,
            synced: length,
            unsynced: Vec::new(),
            written: 0,
            patient: Vec::new(),
            newest: None,
            disk_full: disk_full.clone(),
            waits: None,
            syncs: Arc::clone(syncs),
        }
    }

    pub(super) fn serve(&mut self, orders: &mpsc::Receiver<Order>) {
        let mut open = true;
        while open {
            let first = if self.waits.is_some() {
                orders.recv_timeout(RETRY)
            } else {
                orders.recv().map_err(mpsc::RecvTimeoutError::from)
            };
            let mut next = match first {
                Ok(first) => Some(first),
                Err(mpsc::RecvTimeoutError::Timeout) => Some(Order::Append(Append::default())),
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            };
            let (mut batch, mut count) = (Vec::new(), 0);
            while let Some(order) = next {
                match order {
                    Order::Append(append) => {
                        count += append.records.len();
                        batch.push(append);
                    }
                    Order::Close => open = false,
                }
                next = (open && count < BATCH).then(|| orders.try_recv().ok()).flatten();
            }
            self.take_in(batch, !open);
        }
        // Callbacks that still wait are answered when this is dropped: their records will not be written.
    }

    /// Writes a batch, and calls its callbacks.
    fn take_in(&mut self, batch: Vec<Append>, last: bool) {
        // Only now: a name that was given while a directory was being synced may have been too late for that.
        let mut directories: BTreeMap<PathBuf, Result<(), NotRecorded>> = BTreeMap::new();
        for directory in batch.iter().filter_map(|append| append.names.as_ref()) {
            if !directories.contains_key(directory) {
                let synced = sync_directory(directory).map_err(|error| NotRecorded::Write(SharedError::new(error)));
                directories.insert(directory.clone(), synced);
            }
        }
        let mut now = Vec::new();
        for Append { records, names, wait } in batch {
            let named = names
                .and_then(|names| directories.get(&names).cloned())
                .unwrap_or(Ok(()));
            for record in &records {
                codec::encode(record, self.synced, &mut self.unsynced);
            }
            match wait {
                None => {}
                Some(Wait::Now(done)) => now.push((done, named)),
                Some(Wait::Patiently(done)) => self.patient.push(done),
                Some(Wait::Newest(done)) => self.newest = Some(done),
            }
        }
        let somebody = !now.is_empty() || !self.patient.is_empty() || self.newest.is_some() || self.waits.is_some();
        let outcome = self.write(somebody || last);
        self.remember(outcome.as_ref().err());
        let reported = outcome.clone().map_err(|error| NotRecorded::Write(error.source));
        for (done, named) in now {
            done(named.and_then(|()| reported.clone()));
        }
        if outcome.is_err_and(|error| error.full) {
            return;
        }
        // A status is older than the end of the run that another callback may report.
        for done in self.newest.take().into_iter().chain(self.patient.drain(..)) {
            done(reported.clone());
        }
    }

    /// Reports a full disk when that changes, and any other failure each time.
    fn remember(&mut self, error: Option<&Unwritten>) {
        const WHAT: &str = "the journal";
        match error {
            Some(error) if error.full => {
                let disk_full = &self.disk_full;
                self.waits
                    .get_or_insert_with(|| disk_full.wait(WHAT, &error_chain(&error.source)));
            }
            Some(error) => {
                tracing::error!(error = error_chain(&error.source), "cannot write the journal");
                self.waits = None;
            }
            None => {
                if let Some(waits) = self.waits.take() {
                    DiskFullGuard::end(waits, WHAT);
                }
            }
        }
    }

    fn write(&mut self, sync: bool) -> Result<(), Unwritten> {
        let rest = &self.unsynced[self.written..];
        if !rest.is_empty() {
            // The next attempt overwrites the remains of this one.
            let offset = self.synced + self.written as u64;
            self.file.write_at(offset, rest).map_err(Unwritten::new)?;
            self.written = self.unsynced.len();
        }
        if sync && self.written > 0 {
            self.syncs.fetch_add(1, Ordering::Relaxed);
            if let Err(error) = self.file.sync() {
                // After a failed sync the system may have dropped the data, and the next sync may succeed without it.
                self.written = 0;
                return Err(Unwritten::new(error));
            }
            self.synced += self.written as u64;
            self.written = 0;
            self.unsynced.clear();
            // A batch of thousands may have been large.
            self.unsynced.shrink_to(USUAL);
        }
        Ok(())
    }
}

#[cfg(unix)]
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    fs_err::File::open(directory)?.sync_all()
}

#[cfg(not(unix))]
pub(super) fn sync_directory(_: &Path) -> io::Result<()> {
    // Directories cannot be opened there.
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use super::*;
    use crate::durability::disk_full::tests::{listening, no_room};

    /// A disk of that much room.
    #[derive(Clone, Default)]
    struct Small(Arc<Mutex<Disk>>);

    #[derive(Default)]
    struct Disk {
        room: usize,
        bytes: Vec<u8>,
        /// A sync fails, and what was written since the last one is gone.
        loses: bool,
        synced: usize,
    }

    impl Small {
        fn disk(&self) -> std::sync::MutexGuard<'_, Disk> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }

        fn records(&self) -> Vec<Record> {
            let disk = self.disk();
            codec::decode(&disk.bytes[..disk.synced]).unwrap().records
        }
    }

    impl Storage for Small {
        fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
            let mut disk = self.disk();
            let offset = usize::try_from(offset).map_err(io::Error::other)?;
            disk.bytes.truncate(offset);
            assert_eq!(disk.bytes.len(), offset, "no hole");
            let fits = bytes.len().min(disk.room.saturating_sub(offset));
            disk.bytes.extend_from_slice(&bytes[..fits]);
            if fits < bytes.len() {
                return Err(no_room());
            }
            Ok(())
        }

        fn sync(&mut self) -> io::Result<()> {
            let mut disk = self.disk();
            if disk.loses {
                let synced = disk.synced;
                disk.bytes[synced..].fill(0);
                return Err(io::Error::other("lost"));
            }
            disk.synced = disk.bytes.len();
            Ok(())
        }
    }

    type Reported = Arc<Mutex<Vec<(&'static str, Result<(), NotRecorded>)>>>;

    struct Case {
        disk: Small,
        file: JournalFile<Small>,
        reported: Reported,
        shortages: Arc<Mutex<Vec<String>>>,
    }

    impl Case {
        fn new(room: usize) -> Self {
            let disk = Small::default();
            disk.disk().room = room;
            let (shortages, disk_full) = listening();
            Self {
                file: JournalFile::new(disk.clone(), 0, &Arc::default(), &disk_full),
                disk,
                reported: Reported::default(),
                shortages,
            }
        }

        fn done(&self, who: &'static str) -> Done {
            let reported = Arc::clone(&self.reported);
            Box::new(move |outcome| reported.lock().unwrap().push((who, outcome)))
        }

        fn take_in(&mut self, records: usize, wait: Option<Wait>) {
            let records = vec![Record::Finishing; records];
            let append = Append {
                records,
                wait,
                ..Append::default()
            };
            self.file.take_in(vec![append], false);
        }

        fn reported(&self) -> Vec<(&'static str, Result<(), NotRecorded>)> {
            std::mem::take(&mut self.reported.lock().unwrap())
        }
    }

    fn full() -> Result<(), NotRecorded> {
        Err(NotRecorded::Write(SharedError::new(no_room())))
    }

    /// Nothing that was appended while the volume was full is missing afterwards, whoever waited for it or did not; those who
    /// have patience are reported then, and of the newest status only the last.
    #[test]
    fn records_that_found_no_room_are_written_once_there_is_some() {
        let mut case = Case::new(60);
        let done = case.done("first");
        case.take_in(1, Some(Wait::Now(done)));
        assert_eq!(case.reported(), [("first", Ok(()))]);

        case.take_in(3, None);
        let (now, patient) = (case.done("now"), case.done("patient"));
        case.take_in(1, Some(Wait::Patiently(patient)));
        for name in ["status 1", "status 2"] {
            let done = case.done(name);
            case.take_in(0, Some(Wait::Newest(done)));
        }
        case.take_in(1, Some(Wait::Now(now)));
        assert_eq!(case.reported(), [("now", full())]);
        assert_eq!(case.disk.records().len(), 1);
        assert_eq!(case.shortages.lock().unwrap().len(), 1, "reported once");

        case.disk.disk().room = 1 << 20;
        case.take_in(0, None);
        assert_eq!(case.reported(), [("status 2", Ok(())), ("patient", Ok(()))]);
        assert_eq!(case.disk.records(), vec![Record::Finishing; 6]);
        assert!(case.file.waits.is_none());
    }

    /// What the system gave up after a sync that failed is written again: the next sync would say that all is well.
    #[test]
    fn what_a_failed_sync_lost_is_written_again() {
        let mut case = Case::new(1 << 20);
        case.disk.disk().loses = true;
        let done = case.done("now");
        case.take_in(2, Some(Wait::Now(done)));
        let patient = case.done("patient");
        case.take_in(1, Some(Wait::Patiently(patient)));
        let lost = || Err(NotRecorded::Write(SharedError::new("lost")));
        assert_eq!(case.reported(), [("now", lost()), ("patient", lost())]);
        case.disk.disk().loses = false;
        let again = case.done("again");
        case.take_in(0, Some(Wait::Now(again)));
        assert_eq!(case.reported(), [("again", Ok(()))]);
        assert_eq!(case.disk.records(), vec![Record::Finishing; 3]);
    }

    /// Room that comes back is noticed without anything new to write.
    #[test]
    fn a_journal_tries_again_by_itself() {
        let Case {
            disk,
            mut file,
            reported,
            ..
        } = Case::new(0);
        let (orders, received) = mpsc::channel();
        let thread = std::thread::spawn(move || file.serve(&received));
        let (reply, answer) = mpsc::channel();
        let at_once = reply.clone();
        let append = |wait| {
            Order::Append(Append {
                records: vec![Record::Finishing],
                wait: Some(wait),
                ..Append::default()
            })
        };
        let done = Wait::Now(Box::new(move |outcome| at_once.send(outcome).unwrap()));
        orders.send(append(done)).unwrap();
        assert_eq!(answer.recv().unwrap(), full());
        let done = Wait::Patiently(Box::new(move |outcome| reply.send(outcome).unwrap()));
        orders.send(append(done)).unwrap();
        disk.disk().room = 1 << 20;
        assert_eq!(answer.recv().unwrap(), Ok(()));
        assert_eq!(disk.records(), vec![Record::Finishing; 2]);
        orders.send(Order::Close).unwrap();
        thread.join().unwrap();
        drop(reported);
    }
}
