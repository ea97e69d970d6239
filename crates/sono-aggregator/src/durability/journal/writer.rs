//! An open journal: sends records to the one thread that writes them.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64, mpsc},
    time::Duration,
};

use sono_run::{NotRecorded, Record};
use tokio::{sync::watch, time::timeout};

use super::{
    codec::{self, Damage},
    file::{Append, Callback, Done, JournalCommand, JournalFile, Storage, sync_directory},
};
use crate::{durability::disk_full::DiskFull, error::JournalError};

/// An open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    orders: mpsc::Sender<JournalCommand>,
    /// Closed once the thread has ended.
    alive: watch::Receiver<()>,
    syncs: Arc<AtomicU64>,
}

/// A journal and its records.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) journal: Journal,
    pub(crate) records: Vec<Record>,
}

impl Journal {
    /// Opens or creates the file at `path`. It contains a private key, so only its owner may read it. Blocking.
    pub(crate) fn open(path: &Path, disk_full: &DiskFull) -> Result<Opened, JournalError> {
        let failed = |step| {
            move |source| JournalError::File {
                step,
                path: path.to_path_buf(),
                source,
            }
        };
        let mut options = fs_err::OpenOptions::new();
        options.read(true).write(true).create(true);
        #[cfg(unix)]
        fs_err::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(failed("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(error) => {
                return match io::Error::from(error) {
                    error if error.kind() == io::ErrorKind::WouldBlock => Err(JournalError::Held(path.to_path_buf())),
                    // On file systems without locks only the checkpoint's ownership prevents two owners.
                    error if error.kind() == io::ErrorKind::Unsupported => Self::take(file, path, disk_full),
                    error => Err(failed("lock")(error)),
                };
            }
        }
        Self::take(file, path, disk_full)
    }

    fn take(file: fs_err::File, path: &Path, disk_full: &DiskFull) -> Result<Opened, JournalError> {
        let failed = |step| {
            move |source| JournalError::File {
                step,
                path: path.to_path_buf(),
                source,
            }
        };
        let bytes = fs_err::read(path).map_err(failed("read"))?;
        let damaged = |damage: Damage| JournalError::Damaged {
            path: path.to_path_buf(),
            reason: damage.to_string(),
        };
        let decoded = codec::decode(&bytes).map_err(damaged)?;
        file.set_len(decoded.length)
            .map_err(failed("truncate the incomplete last record of"))?;
        file.sync_all().map_err(failed("sync"))?;
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            sync_directory(directory).map_err(failed("sync the directory of"))?;
        }
        Ok(Opened {
            journal: Self::start(file, decoded.length, disk_full).map_err(failed("start the writer of"))?,
            records: decoded.records,
        })
    }

    /// Starts the thread that writes behind the first `length` bytes.
    fn start<S: Storage + Send + 'static>(file: S, length: u64, disk_full: &DiskFull) -> io::Result<Self> {
        let (orders, received) = mpsc::channel();
        let (lives, alive) = watch::channel(());
        let syncs = Arc::<AtomicU64>::default();
        let file = JournalFile::new(file, length, &syncs, disk_full);
        std::thread::Builder::new().name("journal".to_owned()).spawn(move || {
            // Dropped after the file, so the lock is released first.
            let _lives = lives;
            let mut file = file;
            file.serve(&received);
        })?;
        Ok(Self { orders, alive, syncs })
    }

    /// Cancel safe. Resolves when the thread has ended, which without [`Journal::close`] is a defect.
    pub(crate) async fn ended(&self) {
        let mut alive = self.alive.clone();
        while alive.changed().await.is_ok() {}
    }

    /// Ends the thread after its pending records are written, or after `limit`: a hanging disk must not delay the end of the
    /// process.
    pub(crate) async fn close(self, limit: Duration) {
        self.orders.send(JournalCommand::Close).ok();
        if timeout(limit, self.ended()).await.is_err() {
            tracing::warn!(?limit, "the disk does not respond: no longer waiting for the journal");
        }
    }

    /// Appends records; `done` is called on the journal's thread once they, and everything that was appended before, are
    /// synced, or could not be. Without `done` they are synced with the next records that have a callback.
    pub(crate) fn append(&self, records: Vec<Record>, done: Option<Done>) {
        self.order(Append {
            records,
            wait: done.map(Callback::FailFast),
            ..Append::default()
        });
    }

    /// As [`Journal::append`], after syncing the directory, because the names of the recorded files may not be on disk. One
    /// sync of a directory serves all waiting callers. If it fails, `done` gets the error and the records are written
    /// anyway: the run has continued.
    pub(crate) fn append_after_names(&self, names: PathBuf, records: Vec<Record>, done: Done) {
        self.order(Append {
            records,
            names: Some(names),
            wait: Some(Callback::FailFast(done)),
        });
    }

    /// Calls `done` once everything that was appended is synced, which on a full volume may be long from now, or when
    /// any error but a full disk occurs. It replaces a callback that still waits, which is then never called.
    pub(crate) fn when_synced(&self, done: Done) {
        self.order(Append {
            wait: Some(Callback::Latest(done)),
            ..Append::default()
        });
    }

    fn order(&self, append: Append) {
        if let Err(mpsc::SendError(JournalCommand::Append(Append { wait: Some(wait), .. }))) =
            self.orders.send(JournalCommand::Append(append))
        {
            wait.done()(Err(NotRecorded::Ended));
        }
    }

    /// The number of syncs so far; the counter is live.
    pub(crate) fn syncs(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.syncs)
    }

    /// Appends records and waits until they are synced, also while the disk is full.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the wait only: the records are written all the same.
    pub(crate) async fn append_and_sync(&self, records: Vec<Record>) -> Result<(), NotRecorded> {
        self.commit(records, Callback::WaitForSpace).await
    }

    async fn commit(&self, records: Vec<Record>, wait: impl FnOnce(Done) -> Callback) -> Result<(), NotRecorded> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        let done = Box::new(move |outcome| {
            // The receiver may have been dropped.
            reply.send(outcome).ok();
        });
        self.order(Append {
            records,
            wait: Some(wait(done)),
            ..Append::default()
        });
        answer.await.unwrap_or(Err(NotRecorded::Ended))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // Fails only if the thread has ended. Drop does not wait for the thread: see `close`.
        self.orders.send(JournalCommand::Close).ok();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    /// A disk that hangs until the test releases it.
    struct Hanging(mpsc::Receiver<()>);

    impl Storage for Hanging {
        fn write_at(&mut self, _: u64, _: &[u8]) -> io::Result<()> {
            Ok(())
        }

        fn sync(&mut self) -> io::Result<()> {
            // Released at the latest when the sender is dropped.
            self.0.recv().ok();
            Ok(())
        }
    }

    /// The process ends within its grace time if it gets SIGTERM while the disk hangs.
    #[tokio::test]
    async fn journal_on_a_hanging_disk_is_dropped_and_closed_without_waiting_for_it() {
        let begun = || {
            let (answer, answers) = mpsc::channel();
            let journal = Journal::start(Hanging(answers), 0, &DiskFull::default()).unwrap();
            journal.append(vec![Record::Finishing], Some(Box::new(|_| {})));
            (answer, journal)
        };
        let (_answer, journal) = begun();
        let (dropped, is_dropped) = mpsc::channel();
        std::thread::spawn(move || {
            drop(journal);
            dropped.send(()).unwrap();
        });
        assert_eq!(is_dropped.recv_timeout(LIMIT), Ok(()));

        let (_answer, journal) = begun();
        timeout(LIMIT, journal.close(Duration::from_millis(50))).await.unwrap();

        let (answer, journal) = begun();
        answer.send(()).unwrap();
        let alive = journal.alive.clone();
        journal.close(LIMIT).await;
        assert!(alive.has_changed().is_err(), "closed before it ended");
    }

    /// The end of the thread by a defect is an event, also while no request waits for a record.
    #[tokio::test]
    async fn end_of_the_journal_thread_resolves_ended() {
        struct Broken;
        impl Storage for Broken {
            fn write_at(&mut self, _: u64, _: &[u8]) -> io::Result<()> {
                panic!("a defect")
            }

            fn sync(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let journal = Journal::start(Broken, 0, &DiskFull::default()).unwrap();
        assert!(journal.append_and_sync(vec![Record::Finishing]).await.is_err());
        timeout(LIMIT, journal.ended()).await.unwrap();
    }

    #[tokio::test]
    async fn committed_records_are_read_again_and_a_torn_end_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let opened = Journal::open(&path, &DiskFull::default()).unwrap();
        assert_eq!(opened.records, []);
        assert!(matches!(Journal::open(&path, &DiskFull::default()), Err(JournalError::Held(held)) if held == path));
        opened.journal.append(vec![Record::Finishing], None);
        opened.journal.append_and_sync(vec![Record::Finishing]).await.unwrap();
        let length = fs_err::metadata(&path).unwrap().len();
        opened.journal.close(LIMIT).await;
        let mut file = fs_err::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"torn").unwrap();
        let again = Journal::open(&path, &DiskFull::default()).unwrap();
        assert_eq!(again.records, [Record::Finishing, Record::Finishing]);
        assert_eq!(fs_err::metadata(&path).unwrap().len(), length);
        again.journal.append_and_sync(vec![Record::Finishing]).await.unwrap();
        again.journal.close(LIMIT).await;
        assert_eq!(Journal::open(&path, &DiskFull::default()).unwrap().records.len(), 3);
    }

    #[tokio::test]
    async fn one_sync_serves_many_callers() {
        let folder = tempfile::tempdir().unwrap();
        let opened = Journal::open(&folder.path().join("journal"), &DiskFull::default()).unwrap();
        let commits = (0..500).map(|_| opened.journal.append_and_sync(vec![Record::Finishing]));
        let outcomes = futures::future::join_all(commits).await;
        assert!(outcomes.iter().all(Result::is_ok));
    }

    /// A caller that waits for a directory entry gets the error of its sync; other callers do not.
    #[tokio::test]
    async fn failed_directory_sync_is_reported_to_its_caller_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let opened = Journal::open(&path, &DiskFull::default()).unwrap();
        let outcome = |names: PathBuf| {
            let (reply, answer) = tokio::sync::oneshot::channel();
            let done = Box::new(move |outcome| drop(reply.send(outcome)));
            opened.journal.append_after_names(names, vec![Record::Finishing], done);
            answer
        };
        let (missing, there) = (
            outcome(folder.path().join("missing")),
            outcome(folder.path().to_path_buf()),
        );
        assert!(missing.await.unwrap().is_err());
        assert_eq!(there.await.unwrap(), Ok(()));
        opened.journal.close(LIMIT).await;
        assert_eq!(Journal::open(&path, &DiskFull::default()).unwrap().records.len(), 2);
    }

    #[test]
    fn damage_stops_the_start_and_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut bytes = Vec::new();
        codec::encode(&Record::Finishing, 0, &mut bytes);
        let first = bytes.len();
        codec::encode(&Record::Finishing, first as u64, &mut bytes);
        bytes[3] = b'x';
        fs_err::write(&path, &bytes).unwrap();
        let error = Journal::open(&path, &DiskFull::default()).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "the journal {} is damaged: record 1 at byte 0 is damaged, although later records are intact; move it away to start the run from the beginning",
                path.display()
            )
        );
    }
}
