//! The journal's file: one thread appends and syncs, and one sync serves everybody who waits for it.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread::JoinHandle,
};

use super::codec::{self, Damage};
use crate::run::Record;

/// Records that are written before a sync, at most.
const BATCH: usize = 4096;

/// Why there is no journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be opened, locked or read.
    #[error("cannot {step} the journal {}", path.display())]
    File {
        /// What was tried.
        step: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another process is running this run.
    #[error("another aggregator holds the journal {}", .0.display())]
    Held(PathBuf),
    /// Its content is damaged beyond a torn end.
    #[error("the journal {} is damaged: {reason}; move it away to start the run anew", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where and how.
        reason: String,
    },
}

/// What is called when records are on disk, or could not be put there.
type Done = Box<dyn FnOnce(Result<(), String>) + Send>;

enum Order {
    Append {
        records: Vec<Record>,
        names: Option<PathBuf>,
        done: Option<Done>,
    },
    Close,
}

/// An open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    orders: mpsc::Sender<Order>,
    thread: Option<JoinHandle<()>>,
    syncs: Arc<AtomicU64>,
}

/// A journal and what was in it.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) journal: Journal,
    pub(crate) records: Vec<Record>,
}

impl Journal {
    /// Opens the file at `path`, or makes it. It holds a key: only its owner may read it. Blocking.
    pub(crate) fn open(path: &Path) -> Result<Opened, JournalError> {
        let failed = |step| {
            move |source| JournalError::File {
                step,
                path: path.to_path_buf(),
                source,
            }
        };
        let mut options = fs_err::OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        fs_err::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(failed("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(error) => {
                return match io::Error::from(error) {
                    error if error.kind() == io::ErrorKind::WouldBlock => Err(JournalError::Held(path.to_path_buf())),
                    // File systems without locks: then the Lease of the run is what keeps two apart.
                    error if error.kind() == io::ErrorKind::Unsupported => Self::take(file, path),
                    error => Err(failed("lock")(error)),
                };
            }
        }
        Self::take(file, path)
    }

    fn take(file: fs_err::File, path: &Path) -> Result<Opened, JournalError> {
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
        file.set_len(decoded.length).map_err(failed("cut the torn end of"))?;
        file.sync_all().map_err(failed("sync"))?;
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            sync_directory(directory).map_err(failed("sync the directory of"))?;
        }
        let (orders, received) = mpsc::channel();
        let syncs = Arc::<AtomicU64>::default();
        let mut file = JournalFile {
            file,
            length: decoded.length,
            synced: decoded.length,
            broken: false,
            syncs: Arc::clone(&syncs),
        };
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || file.serve(&received))
            .map_err(failed("start the writer of"))?;
        Ok(Opened {
            journal: Self {
                orders,
                thread: Some(thread),
                syncs,
            },
            records: decoded.records,
        })
    }

    /// Appends records; `done` is called on the journal's thread once they, and everything that was appended before, are
    /// synced. Without `done` they are synced with the next that has one.
    pub(crate) fn append(&self, records: Vec<Record>, done: Option<Done>) {
        self.order(Order::Append {
            records,
            names: None,
            done,
        });
    }

    /// As [`Journal::append`], once the names in the directory are synced: what the records say is there has one that may
    /// not be. One sync of a directory serves everybody who waits for it, too. Should it fail, `done` learns so and the
    /// records are written all the same: the run has gone on.
    pub(crate) fn append_after_names(&self, names: PathBuf, records: Vec<Record>, done: Done) {
        self.order(Order::Append {
            records,
            names: Some(names),
            done: Some(done),
        });
    }

    fn order(&self, order: Order) {
        if let Err(mpsc::SendError(Order::Append { done: Some(done), .. })) = self.orders.send(order) {
            done(Err("the journal's thread has ended".to_owned()));
        }
    }

    /// How often it was synced, counted while it lives.
    pub(crate) fn syncs(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.syncs)
    }

    /// Appends records and waits until they are synced.
    pub(crate) async fn commit(&self, records: Vec<Record>) -> Result<(), String> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        let done = Box::new(move |outcome| {
            // Who asked may have gone.
            reply.send(outcome).ok();
        });
        self.append(records, Some(done));
        answer.await.unwrap_or_else(|error| Err(error.to_string()))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // Fails only when the thread has ended already.
        self.orders.send(Order::Close).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

struct JournalFile {
    file: fs_err::File,
    length: u64,
    synced: u64,
    /// Something that must not stand there stands at the end: nothing may follow it.
    broken: bool,
    syncs: Arc<AtomicU64>,
}

impl JournalFile {
    fn serve(&mut self, orders: &mpsc::Receiver<Order>) {
        let mut open = true;
        while open {
            let Ok(first) = orders.recv() else { return };
            let (mut batch, mut count) = (Vec::new(), 0);
            let mut next = Some(first);
            while let Some(order) = next {
                match order {
                    Order::Append { records, names, done } => {
                        count += records.len();
                        batch.push((records, names, done));
                    }
                    Order::Close => open = false,
                }
                next = (open && count < BATCH).then(|| orders.try_recv().ok()).flatten();
            }
            self.take_in(batch, !open);
        }
    }

    /// Writes what was ordered, and tells those who wait for it.
    fn take_in(&mut self, batch: Vec<(Vec<Record>, Option<PathBuf>, Option<Done>)>, last: bool) {
        // Only now: a name that was given while a directory was being synced may have been too late for that.
        let mut directories: BTreeMap<PathBuf, Result<(), String>> = BTreeMap::new();
        for directory in batch.iter().filter_map(|(_, names, _)| names.as_ref()) {
            if !directories.contains_key(directory) {
                let synced = sync_directory(directory).map_err(|error| error.to_string());
                directories.insert(directory.clone(), synced);
            }
        }
        let (mut bytes, mut waiting) = (Vec::new(), Vec::new());
        for (records, names, done) in batch {
            let named = names
                .and_then(|names| directories.get(&names).cloned())
                .unwrap_or(Ok(()));
            for record in &records {
                codec::encode(record, self.synced, &mut bytes);
            }
            waiting.extend(done.map(|done| (done, named)));
        }
        let outcome = self.write(&bytes, !waiting.is_empty() || last);
        if let Err(error) = &outcome {
            tracing::error!(error, "writing the journal");
        }
        for (done, named) in waiting {
            done(named.and_then(|()| outcome.clone()));
        }
    }

    fn write(&mut self, bytes: &[u8], sync: bool) -> Result<(), String> {
        if self.broken {
            return Err("an earlier write could not be taken back".to_owned());
        }
        if let Err(error) = self.file.write_all(bytes) {
            // What was written of it would make the journal look damaged once more follows.
            self.broken = self.file.set_len(self.length).is_err();
            return Err(error.to_string());
        }
        self.length += bytes.len() as u64;
        if sync && self.synced < self.length {
            self.syncs.fetch_add(1, Ordering::Relaxed);
            self.file.sync_data().map_err(|error| error.to_string())?;
            self.synced = self.length;
        }
        Ok(())
    }
}

#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    fs_err::File::open(directory)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    // Directories cannot be opened there.
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_committed_is_there_again_and_a_torn_end_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let opened = Journal::open(&path).unwrap();
        assert_eq!(opened.records, []);
        assert!(matches!(Journal::open(&path), Err(JournalError::Held(held)) if held == path));
        opened.journal.append(vec![Record::Finishing], None);
        opened.journal.commit(vec![Record::Finishing]).await.unwrap();
        let length = fs_err::metadata(&path).unwrap().len();
        drop(opened);
        let mut file = fs_err::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"torn").unwrap();
        let again = Journal::open(&path).unwrap();
        assert_eq!(again.records, [Record::Finishing, Record::Finishing]);
        assert_eq!(fs_err::metadata(&path).unwrap().len(), length);
        again.journal.commit(vec![Record::Finishing]).await.unwrap();
        drop(again);
        assert_eq!(Journal::open(&path).unwrap().records.len(), 3);
    }

    #[tokio::test]
    async fn many_wait_for_few_syncs() {
        let folder = tempfile::tempdir().unwrap();
        let opened = Journal::open(&folder.path().join("journal")).unwrap();
        let commits = (0..500).map(|_| opened.journal.commit(vec![Record::Finishing]));
        let outcomes = futures::future::join_all(commits).await;
        assert!(outcomes.iter().all(Result::is_ok));
    }

    /// Whoever waits for a name to be on disk learns when it is not; others do not.
    #[tokio::test]
    async fn a_name_that_is_not_synced_is_told_to_whom_it_concerns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let opened = Journal::open(&path).unwrap();
        let told = |names: PathBuf| {
            let (reply, answer) = tokio::sync::oneshot::channel();
            let done = Box::new(move |outcome| drop(reply.send(outcome)));
            opened.journal.append_after_names(names, vec![Record::Finishing], done);
            answer
        };
        let (missing, there) = (told(folder.path().join("missing")), told(folder.path().to_path_buf()));
        assert!(missing.await.unwrap().is_err());
        assert_eq!(there.await.unwrap(), Ok(()));
        drop(opened);
        assert_eq!(Journal::open(&path).unwrap().records.len(), 2);
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
        let error = Journal::open(&path).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "the journal {} is damaged: record 1 at byte 0 is damaged, and later ones are not; move it away to start the run anew",
                path.display()
            )
        );
    }
}
