//! The directory with the cards.

use std::{
    io::{self, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use flate2::{Compression, bufread::GzDecoder, write::GzEncoder};
use jiff::Timestamp;
use sono_analysis::{Card, CardError};
use sono_bundle::create_private_directories;

use crate::{
    entry::Entry,
    index,
    key::{self, Key},
    retention::Retention,
};

/// File that is locked while the index is written and runs are removed.
const LOCK: &str = "lock";
/// Prefix of unfinished files.
const UNFINISHED: &str = ".unfinished-";
/// Age from which an unfinished file is one of a killed process.
const UNFINISHED_AGE: Duration = Duration::from_hours(1);
/// Outdated runs are removed when the number of runs is a multiple of this.
const PRUNE_EVERY: usize = 16;
/// Maximum size of a card's file in bytes.
const MAX_FILE_BYTES: u64 = 4 << 20;
/// Maximum size of a card in bytes.
const MAX_CARD_BYTES: u64 = 64 << 20;
/// Maximum number of files that are listed.
const MAX_FILES: usize = 100_000;
/// Maximum number of threads that read cards.
const MAX_THREADS: usize = 8;

/// The history of runs in a directory, which need not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    directory: PathBuf,
}

/// Whether a run has just ended, or its archive is of any age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It has just ended: it is the newest run.
    JustEnded,
    /// It is sorted by its start.
    FromArchive,
}

/// What happened to a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// It was stored.
    New(Entry),
    /// The history had a card of this run.
    Known(String),
}

/// Why the history cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// A step failed.
    #[error("cannot {step} the history `{}`", directory.display())]
    Io {
        /// What was attempted.
        step: &'static str,
        /// The directory.
        directory: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A card cannot be used.
    #[error("cannot read the card `{file}`")]
    Card {
        /// Name of its file.
        file: String,
        /// The cause.
        source: CardProblem,
    },
}

/// Why a card cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CardProblem {
    /// Its file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is larger than any card of this program.
    #[error("it exceeds {0} bytes")]
    TooLarge(u64),
    /// Its content is damaged, or of a later version.
    #[error(transparent)]
    Card(#[from] CardError),
}

/// Runs in the history.
#[derive(Debug, Default)]
pub struct Listing {
    /// Runs, the oldest first.
    pub entries: Vec<Entry>,
    /// Cards that cannot be used.
    pub problems: Vec<HistoryError>,
}

impl History {
    /// The history in a directory.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Stores a card. With every 16th run, outdated runs are removed.
    ///
    /// # Errors
    /// Fails if the directory cannot be read or written.
    pub fn record(&self, card: &Card, added: Added, now: Timestamp) -> Result<Recorded, HistoryError> {
        let failed = |error: io::Error| self.error("write to", error);
        let text = card.to_json().map_err(|error| failed(error.into()))?;
        let id = key::id(&card.run.id, text.as_bytes());
        create_private_directories(&self.directory).map_err(failed)?;
        let keys = self.keys()?;
        if keys.iter().any(|key| key.id == id) {
            return Ok(Recorded::Known(id));
        }
        let newest = keys.iter().map(|key| key.time).max();
        let time = key::order_time(card.run.start, now, newest, added == Added::JustEnded);
        let time = Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time);
        let key = Key { time, id };
        let file = key.file_name();
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(text.as_bytes()).map_err(failed)?;
        let packed = packed.finish().map_err(failed)?;
        let write = || -> io::Result<()> {
            let mut unfinished = temporary(&self.directory)?;
            unfinished.write_all(&packed)?;
            unfinished.as_file().sync_data()?;
            unfinished.persist(self.directory.join(&file))?;
            Ok(())
        };
        write().map_err(failed)?;
        let entry = Entry::of(card, key.time, key.id, file, packed.len() as u64);
        // Reading the index of a long history takes longer than storing a card.
        if (keys.len() + 1).is_multiple_of(PRUNE_EVERY) {
            self.tidy(&Retention::DEFAULT, now);
        }
        Ok(Recorded::New(entry))
    }

    /// All runs. Cards that the index lacks are read, and the index is written again.
    ///
    /// # Errors
    /// Fails if the directory cannot be listed. A directory that does not exist has no runs.
    pub fn list(&self) -> Result<Listing, HistoryError> {
        let listed = self.files()?;
        let mut index = index::read(&self.directory);
        let known_before = index.len();
        let mut listing = Listing::default();
        let mut unknown = Vec::new();
        for (key, bytes) in listed {
            match index.remove(&key.file_name()).filter(|entry| entry.bytes == bytes) {
                Some(entry) => listing.entries.push(entry),
                None => unknown.push((key, bytes)),
            }
        }
        let is_current = unknown.is_empty() && known_before == listing.entries.len();
        let files: Vec<String> = unknown.iter().map(|(key, _)| key.file_name()).collect();
        for ((key, bytes), read) in unknown.into_iter().zip(self.read_all(&files)) {
            let file = key.file_name();
            match read {
                Ok(card) => listing.entries.push(Entry::of(&card, key.time, key.id, file, bytes)),
                Err(source) => listing.problems.push(HistoryError::Card { file, source }),
            }
        }
        listing
            .entries
            .sort_by(|one, other| (one.time, &one.run).cmp(&(other.time, &other.run)));
        if !is_current && let Some(_lock) = self.lock() {
            self.write_index(&listing.entries);
        }
        Ok(listing)
    }

    /// The card of a run.
    ///
    /// # Errors
    /// Fails if the card is damaged, or of a later version.
    pub fn card(&self, entry: &Entry) -> Result<Card, HistoryError> {
        let card = self.read(&entry.file).map_err(|source| HistoryError::Card {
            file: entry.file.clone(),
            source,
        })?;
        Ok(with_id(card, entry))
    }

    /// The cards of several runs, in their order, without those that cannot be read.
    pub fn cards<'a>(&self, entries: impl IntoIterator<Item = &'a Entry>) -> Vec<Card> {
        let entries: Vec<&Entry> = entries.into_iter().collect();
        let files: Vec<String> = entries.iter().map(|entry| entry.file.clone()).collect();
        let cards = self.read_all(&files).into_iter().zip(entries);
        cards
            .filter_map(|(card, entry)| Some(with_id(card.ok()?, entry)))
            .collect()
    }

    /// Removes runs beyond the limits, and returns them.
    ///
    /// # Errors
    /// Fails if the directory cannot be read, or if another process writes to the history.
    pub fn prune(&self, retention: &Retention, now: Timestamp) -> Result<Vec<Entry>, HistoryError> {
        let Listing { entries, problems: _ } = self.list()?;
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let Some(_lock) = self.lock() else {
            let busy = io::Error::new(io::ErrorKind::WouldBlock, "another process writes to it");
            return Err(self.error("prune", busy));
        };
        let outdated: Vec<Entry> = retention.outdated(&entries, now).into_iter().cloned().collect();
        for entry in &outdated {
            match fs_err::remove_file(self.directory.join(&entry.file)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(self.error("prune", error)),
                _ => {}
            }
        }
        if !outdated.is_empty() {
            let kept: Vec<Entry> = entries.into_iter().filter(|entry| !outdated.contains(entry)).collect();
            self.write_index(&kept);
        }
        self.remove_unfinished();
        Ok(outdated)
    }

    /// Best effort: what is left is removed when the next run is recorded.
    fn tidy(&self, retention: &Retention, now: Timestamp) {
        if let Err(error) = self.prune(retention, now) {
            tracing::debug!(%error, "the history was not pruned");
        }
    }

    /// The lock; `None` if another process has it, or if the directory is read-only.
    fn lock(&self) -> Option<fs_err::File> {
        let mut options = fs_err::OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        fs_err::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(self.directory.join(LOCK)).ok()?;
        file.file().try_lock().ok()?;
        Some(file)
    }

    fn write_index(&self, entries: &[Entry]) {
        if let Err(error) = index::write(&self.directory, entries) {
            tracing::debug!(%error, "the index of the history was not written");
        }
    }

    fn remove_unfinished(&self) {
        for file in fs_err::read_dir(&self.directory).into_iter().flatten().flatten() {
            let is_unfinished = file.file_name().to_string_lossy().starts_with(UNFINISHED);
            let age = file
                .metadata()
                .and_then(|data| data.modified())
                .ok()
                .and_then(|time| time.elapsed().ok());
            if is_unfinished && age.is_some_and(|age| age > UNFINISHED_AGE) {
                fs_err::remove_file(file.path()).ok();
            }
        }
    }

    fn keys(&self) -> Result<Vec<Key>, HistoryError> {
        Ok(self.files()?.into_iter().map(|(key, _)| key).collect())
    }

    /// Keys and sizes of the cards, sorted.
    fn files(&self) -> Result<Vec<(Key, u64)>, HistoryError> {
        let failed = |error: io::Error| self.error("list", error);
        let entries = match fs_err::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut files = Vec::new();
        for entry in entries.take(MAX_FILES) {
            let entry = entry.map_err(failed)?;
            let Some(key) = entry.file_name().to_str().and_then(Key::parse) else {
                continue;
            };
            // Another process may have removed it.
            if let Ok(data) = entry.metadata()
                && data.is_file()
            {
                files.push((key, data.len()));
            }
        }
        files.sort();
        Ok(files)
    }

    fn read(&self, file: &str) -> Result<Card, CardProblem> {
        let content = fs_err::File::open(self.directory.join(file))?;
        if content.metadata()?.len() > MAX_FILE_BYTES {
            return Err(CardProblem::TooLarge(MAX_FILE_BYTES));
        }
        let mut text = Vec::new();
        let unpacked = GzDecoder::new(BufReader::new(content));
        unpacked.take(MAX_CARD_BYTES + 1).read_to_end(&mut text)?;
        if text.len() as u64 > MAX_CARD_BYTES {
            return Err(CardProblem::TooLarge(MAX_CARD_BYTES));
        }
        Ok(Card::parse(&text)?)
    }

    /// Reads cards on several threads.
    fn read_all(&self, files: &[String]) -> Vec<Result<Card, CardProblem>> {
        let threads = thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
        let size = files.len().div_ceil(threads).max(1);
        thread::scope(|scope| {
            let parts: Vec<_> = files
                .chunks(size)
                .map(|part| scope.spawn(move || part.iter().map(|file| self.read(file)).collect::<Vec<_>>()))
                .collect();
            parts
                .into_iter()
                .flat_map(|part| part.join().unwrap_or_default())
                .collect()
        })
    }

    fn error(&self, step: &'static str, source: io::Error) -> HistoryError {
        HistoryError::Io {
            step,
            directory: self.directory.clone(),
            source,
        }
    }
}

/// The id of a run in the history: that of its card, or digits of a hash of the card.
///
/// # Errors
/// Never fails for a card of this program; the error is that of the JSON library.
pub fn run_id(card: &Card) -> Result<String, serde_json::Error> {
    card.to_json().map(|text| key::id(&card.run.id, text.as_bytes()))
}

/// A card without an id has the one of its file.
fn with_id(mut card: Card, entry: &Entry) -> Card {
    card.run.id.clone_from(&entry.run);
    card
}

/// An unfinished file that only the user can read.
pub(crate) fn temporary(directory: &Path) -> io::Result<tempfile::NamedTempFile> {
    tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(directory)
}

#[cfg(test)]
mod tests;
