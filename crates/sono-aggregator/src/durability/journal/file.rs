//! The journal's file: its thread appends and syncs, and one sync serves all waiting callers.
//!
//! An appended record is never lost: after a failed write or sync it stays in memory and is written with the next record, or half a
//! second later. A failure is reported to a waiting caller at once, unless the caller waits for free space.

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

/// Maximum number of records per sync.
const MAX_BATCH: usize = 4096;
/// Capacity of the buffer that is retained between batches, in bytes.
const RETAINED_CAPACITY: usize = 64 << 10;
/// Delay of the next attempt after a failed write, unless more records are appended before.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Called once records are on disk, or could not be written.
pub(super) type Done = Box<dyn FnOnce(Result<(), NotRecorded>) + Send>;

/// A callback that waits for records to be on disk.
pub(super) enum Callback {
    /// Called at once after a failure.
    FailFast(Done),
    /// Waits while the disk is full.
    WaitForSpace(Done),
    /// Waits while the disk is full, and replaces the previous callback of this kind.
    Latest(Done),
}

/// Records, the directory to sync before them, and the callback that waits for both.
#[derive(Default)]
pub(super) struct Append {
    pub(super) records: Vec<Record>,
    pub(super) names: Option<PathBuf>,
    pub(super) wait: Option<Callback>,
}

pub(super) enum JournalCommand {
    Append(Append),
    Close,
}

impl Callback {
    pub(super) fn done(self) -> Done {
        match self {
            Self::FailFast(done) | Self::WaitForSpace(done) | Self::Latest(done) => done,
        }
    }
}

/// The file of a journal, or a simulated disk in tests.
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

/// Why records are not on disk.
#[derive(Clone)]
struct WriteFailure {
    source: SharedError,
    full: bool,
}

impl WriteFailure {
    fn new(error: io::Error) -> Self {
        Self {
            full: error.is_full(),
            source: SharedError::new(error),
        }
    }
}

pub(super) struct JournalFile<S> {
    file: S,
    /// Length of the part that is on disk.
    synced: u64,
    /// The bytes after the synced part, whether written or not.
    unsynced: Vec<u8>,
    /// Number of these bytes that are written.
    written: usize,
    /// Callbacks that wait while the disk is full.
    patient: Vec<Done>,
    newest: Option<Done>,
    disk_full: DiskFull,
    waits: Option<DiskFullGuard>,
    /// The last write or sync failed: the next attempt needs no new record.
    is_retry_pending: bool,
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
            is_retry_pending: false,
            syncs: Arc::clone(syncs),
        }
    }

    pub(super) fn serve(&mut self, orders: &mpsc::Receiver<JournalCommand>) {
        let mut open = true;
        while open {
            let first = if self.is_retry_pending {
                orders.recv_timeout(RETRY_PAUSE)
            } else {
                orders.recv().map_err(mpsc::RecvTimeoutError::from)
            };
            let mut next = match first {
                Ok(first) => Some(first),
                Err(mpsc::RecvTimeoutError::Timeout) => Some(JournalCommand::Append(Append::default())),
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            };
            let (mut batch, mut count) = (Vec::new(), 0);
            while let Some(order) = next {
                match order {
                    JournalCommand::Append(append) => {
                        count += append.records.len();
                        batch.push(append);
                    }
                    JournalCommand::Close => open = false,
                }
                next = (open && count < MAX_BATCH).then(|| orders.try_recv().ok()).flatten();
            }
            self.write_batch(batch, !open);
        }
        // Callbacks that still wait are answered when this is dropped: their records will not be written.
    }

    /// Writes a batch, and calls its callbacks.
    fn write_batch(&mut self, batch: Vec<Append>, last: bool) {
        // Directories are synced per batch: a name added during an earlier sync may not be part of that sync.
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
                Some(Callback::FailFast(done)) => now.push((done, named)),
                Some(Callback::WaitForSpace(done)) => self.patient.push(done),
                Some(Callback::Latest(done)) => self.newest = Some(done),
            }
        }
        let is_sync_requested =
            !now.is_empty() || !self.patient.is_empty() || self.newest.is_some() || self.is_retry_pending;
        let outcome = self.write(is_sync_requested || last);
        self.report(outcome.as_ref().err());
        self.is_retry_pending = outcome.is_err();
        let reported = outcome.clone().map_err(|error| NotRecorded::Write(error.source));
        for (done, named) in now {
            done(named.and_then(|()| reported.clone()));
        }
        if outcome.is_err_and(|error| error.full) {
            return;
        }
        // The status precedes other callbacks, which may report the end of the run.
        for done in self.newest.take().into_iter().chain(self.patient.drain(..)) {
            done(reported.clone());
        }
    }

    /// Reports a failure when it begins or changes its kind.
    fn report(&mut self, error: Option<&WriteFailure>) {
        const SUBJECT: &str = "the journal";
        match error {
            Some(error) if error.full => {
                let disk_full = &self.disk_full;
                self.waits
                    .get_or_insert_with(|| disk_full.wait(SUBJECT, &error_chain(&error.source)));
            }
            Some(error) => {
                if self.waits.take().is_some() || !self.is_retry_pending {
                    tracing::error!(error = error_chain(&error.source), "cannot write the journal, retrying");
                }
            }
            None => {
                if let Some(waits) = self.waits.take() {
                    DiskFullGuard::end(waits, SUBJECT);
                }
            }
        }
    }

    fn write(&mut self, sync: bool) -> Result<(), WriteFailure> {
        let rest = &self.unsynced[self.written..];
        if !rest.is_empty() {
            // The next attempt overwrites the remains of this one.
            let offset = self.synced + self.written as u64;
            self.file.write_at(offset, rest).map_err(WriteFailure::new)?;
            self.written = self.unsynced.len();
        }
        if sync && self.written > 0 {
            self.syncs.fetch_add(1, Ordering::Relaxed);
            if let Err(error) = self.file.sync() {
                // After a failed sync the system may have dropped the data, and the next sync may succeed without it.
                self.written = 0;
                return Err(WriteFailure::new(error));
            }
            self.synced += self.written as u64;
            self.written = 0;
            self.unsynced.clear();
            // A batch of thousands may have been large.
            self.unsynced.shrink_to(RETAINED_CAPACITY);
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
    use crate::durability::disk_full::tests::{disk_full_error, listening};

    /// A disk with a limited size.
    #[derive(Clone, Default)]
    struct Small(Arc<Mutex<Disk>>);

    #[derive(Default)]
    struct Disk {
        size: usize,
        bytes: Vec<u8>,
        /// The next sync fails and loses the bytes written since the previous one.
        loses: bool,
        synced: usize,
        /// Receives the number of synced bytes after each sync.
        syncs: Option<mpsc::Sender<usize>>,
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
            let fits = bytes.len().min(disk.size.saturating_sub(offset));
            disk.bytes.extend_from_slice(&bytes[..fits]);
            if fits < bytes.len() {
                return Err(disk_full_error());
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
            if let Some(syncs) = &disk.syncs {
                syncs.send(disk.synced).map_err(io::Error::other)?;
            }
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
        fn new(size: usize) -> Self {
            let disk = Small::default();
            disk.disk().size = size;
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

        fn write_batch(&mut self, records: usize, wait: Option<Callback>) {
            let records = vec![Record::Finishing; records];
            let append = Append {
                records,
                wait,
                ..Append::default()
            };
            self.file.write_batch(vec![append], false);
        }

        fn reported(&self) -> Vec<(&'static str, Result<(), NotRecorded>)> {
            std::mem::take(&mut self.reported.lock().unwrap())
        }
    }

    fn full() -> Result<(), NotRecorded> {
        Err(NotRecorded::Write(SharedError::new(disk_full_error())))
    }

    /// Records appended while the volume was full are written afterwards, with or without a waiting callback. Patient callbacks
    /// are called then, and only the newest status callback.
    #[test]
    fn records_on_full_disk_are_written_once_space_is_free() {
        let mut case = Case::new(60);
        let done = case.done("first");
        case.write_batch(1, Some(Callback::FailFast(done)));
        assert_eq!(case.reported(), [("first", Ok(()))]);

        case.write_batch(3, None);
        let (now, patient) = (case.done("now"), case.done("patient"));
        case.write_batch(1, Some(Callback::WaitForSpace(patient)));
        for name in ["status 1", "status 2"] {
            let done = case.done(name);
            case.write_batch(0, Some(Callback::Latest(done)));
        }
        case.write_batch(1, Some(Callback::FailFast(now)));
        assert_eq!(case.reported(), [("now", full())]);
        assert_eq!(case.disk.records().len(), 1);
        assert_eq!(case.shortages.lock().unwrap().len(), 1, "reported once");

        case.disk.disk().size = 1 << 20;
        case.write_batch(0, None);
        assert_eq!(case.reported(), [("status 2", Ok(())), ("patient", Ok(()))]);
        assert_eq!(case.disk.records(), vec![Record::Finishing; 6]);
        assert!(case.file.waits.is_none() && !case.file.is_retry_pending);
    }

    /// Bytes that the system dropped after a failed sync are written again, because the next sync would succeed without them.
    #[test]
    fn records_lost_by_a_failed_sync_are_written_again() {
        let mut case = Case::new(1 << 20);
        case.disk.disk().loses = true;
        let done = case.done("now");
        case.write_batch(2, Some(Callback::FailFast(done)));
        let patient = case.done("patient");
        case.write_batch(1, Some(Callback::WaitForSpace(patient)));
        let lost = || Err(NotRecorded::Write(SharedError::new("lost")));
        assert_eq!(case.reported(), [("now", lost()), ("patient", lost())]);
        case.disk.disk().loses = false;
        let again = case.done("again");
        case.write_batch(0, Some(Callback::FailFast(again)));
        assert_eq!(case.reported(), [("again", Ok(()))]);
        assert_eq!(case.disk.records(), vec![Record::Finishing; 3]);
    }

    /// Records without a callback are written too, although nothing is appended after them.
    #[test]
    fn journal_after_failed_sync_retries_without_new_records() {
        let Case { disk, mut file, .. } = Case::new(1 << 20);
        let (synced, syncs) = mpsc::channel();
        (disk.disk().loses, disk.disk().syncs) = (true, Some(synced));
        let (orders, received) = mpsc::channel();
        let thread = std::thread::spawn(move || file.serve(&received));
        let (reply, answer) = mpsc::channel();
        let done: Done = Box::new(move |outcome| reply.send(outcome).unwrap());
        let append = Append {
            records: vec![Record::Finishing],
            wait: Some(Callback::FailFast(done)),
            ..Append::default()
        };
        orders.send(JournalCommand::Append(append)).unwrap();
        assert_eq!(
            answer.recv().unwrap(),
            Err(NotRecorded::Write(SharedError::new("lost")))
        );
        disk.disk().loses = false;
        syncs.recv_timeout(Duration::from_mins(1)).expect("a retry");
        assert_eq!(disk.records(), [Record::Finishing]);
        orders.send(JournalCommand::Close).unwrap();
        thread.join().unwrap();
    }

    /// Free space is detected without a new record.
    #[test]
    fn journal_on_full_disk_retries_without_new_records() {
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
            JournalCommand::Append(Append {
                records: vec![Record::Finishing],
                wait: Some(wait),
                ..Append::default()
            })
        };
        let done = Callback::FailFast(Box::new(move |outcome| at_once.send(outcome).unwrap()));
        orders.send(append(done)).unwrap();
        assert_eq!(answer.recv().unwrap(), full());
        let done = Callback::WaitForSpace(Box::new(move |outcome| reply.send(outcome).unwrap()));
        orders.send(append(done)).unwrap();
        disk.disk().size = 1 << 20;
        assert_eq!(answer.recv().unwrap(), Ok(()));
        assert_eq!(disk.records(), vec![Record::Finishing; 2]);
        orders.send(JournalCommand::Close).unwrap();
        thread.join().unwrap();
        drop(reported);
    }
}
