//! The progress of plugins, in a file of its own next to the journal, which is replaced as a whole every few seconds. A killed
//! process loses a few seconds of it, until the next update.

use std::{
    fmt,
    io::{self, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use sono_bundle::{StagedFile, StoreError};
use sono_run::{Progress, Run};
use sono_types::{ProgressUpdate, ResultKey, error_chain};
use tokio::{task::JoinHandle, time::Instant};

/// Pause between two writes.
const PAUSE: Duration = Duration::from_secs(10);
/// Maximum size of a file in bytes. A run has at most some 10 MB of progress, earlier versions 40 MB; a control character takes six
/// bytes.
const MAX_BYTES: u64 = 256 << 20;

/// The file, and the time of the next write.
#[derive(Debug)]
pub(crate) struct ProgressFile {
    path: PathBuf,
    changed: bool,
    next: Instant,
    writing: Option<JoinHandle<()>>,
}

/// Passes on the updates in the file, one at a time. Updates before an unreadable part are passed on: only the status
/// shows it.
pub(crate) fn read(path: &Path, take: &mut dyn FnMut(ResultKey, ProgressUpdate)) {
    let Ok(file) = fs_err::File::open(path) else { return };
    let mut json = serde_json::Deserializer::from_reader(BufReader::new(file.take(MAX_BYTES)));
    if let Err(error) = Updates(take).deserialize(&mut json) {
        tracing::warn!(%error, path = %path.display(), "cannot read the saved progress of plugins");
    }
}

/// Passes the entries of a map on.
struct Updates<'a>(&'a mut dyn FnMut(ResultKey, ProgressUpdate));

impl<'de> DeserializeSeed<'de> for Updates<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Updates<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("updates by result")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, update)) = map.next_entry()? {
            (self.0)(key, update);
        }
        Ok(())
    }
}

impl ProgressFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            changed: false,
            next: Instant::now(),
            writing: None,
        }
    }

    /// Marks the progress as changed.
    pub(crate) fn mark(&mut self) {
        self.changed = true;
    }

    /// Resolves when a write is due; see [`ProgressFile::write_if_due`]. Cancel safe.
    pub(crate) async fn due(&self) {
        if self.changed {
            tokio::time::sleep_until(self.next).await;
        } else {
            std::future::pending::<()>().await;
        }
    }

    /// Writes changed progress, unless a write is in progress or the pause since the last one is not over.
    pub(crate) fn write_if_due(&mut self, run: &Run) {
        let now = Instant::now();
        if !self.changed || now < self.next {
            return;
        }
        self.next = now + PAUSE;
        if self.writing.as_ref().is_none_or(JoinHandle::is_finished) {
            self.changed = false;
            self.writing = Some(write(&self.path, run));
        }
    }

    /// Writes changed progress at once.
    pub(crate) async fn close(&mut self, run: &Run) {
        if let Some(writing) = self.writing.take() {
            // The task logs its errors.
            writing.await.ok();
        }
        if std::mem::take(&mut self.changed) {
            write(&self.path, run).await.ok();
        }
    }
}

/// A snapshot of the progress. Updates are shared with the run, not copied; they are serialized by the writing task.
fn write(path: &Path, run: &Run) -> JoinHandle<()> {
    let (path, progress) = (path.to_path_buf(), run.progress().clone());
    tokio::task::spawn_blocking(move || {
        if let Err(error) = write_updates(&path, &progress) {
            tracing::warn!(error = error_chain(&error), "cannot save the progress of plugins");
        }
    })
}

#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot write the updates")]
    Write(#[from] io::Error),
}

fn write_updates(path: &Path, progress: &Progress) -> Result<(), WriteError> {
    let mut file = StagedFile::create(path)?;
    let mut next = b'{';
    for (key, update) in progress.updates() {
        file.write_all(&[next])?;
        serde_json::to_writer(&mut file, key).map_err(io::Error::from)?;
        file.write_all(b":")?;
        serde_json::to_writer(&mut file, update.as_ref()).map_err(io::Error::from)?;
        next = b',';
    }
    file.write_all(if next == b'{' { b"{}" } else { b"}" })?;
    Ok(file.commit()?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sono_run::Event;

    use super::*;
    use crate::test_run::run_of_one_result;

    /// The updates in the file and those in the run.
    fn both(path: &Path, run: &Run) -> [BTreeMap<ResultKey, ProgressUpdate>; 2] {
        let mut found = BTreeMap::new();
        read(path, &mut |key, update| {
            found.insert(key, update);
        });
        let updates = run.progress().updates().iter();
        let said = updates.map(|(key, update)| (key.clone(), ProgressUpdate::clone(update)));
        [found, said.collect()]
    }

    #[tokio::test(start_paused = true)]
    async fn progress_file_is_read_again_and_written_at_intervals() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("progress");
        let (mut run, key) = run_of_one_result(false);
        let say = |run: &mut Run, completed| {
            let update = ProgressUpdate {
                completed,
                ..ProgressUpdate::default()
            };
            run.handle(
                jiff::Timestamp::UNIX_EPOCH,
                Event::Progress {
                    key: key.clone(),
                    update,
                },
            );
        };
        let mut file = ProgressFile::new(path.clone());
        for completed in 0..25 {
            say(&mut run, completed);
            file.mark();
            file.write_if_due(&run);
            if let Some(writing) = file.writing.as_mut().filter(|writing| !writing.is_finished()) {
                writing.await.unwrap();
                assert_eq!(completed % 10, 0);
                let [found, said] = both(&path, &run);
                assert_eq!(found, said);
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        file.writing = None;
        file.close(&run).await;
        let [found, said] = both(&path, &run);
        assert_eq!(found, said);
        // As an earlier version wrote it, which serialized it as a whole.
        fs_err::write(&path, serde_json::to_vec(&said).unwrap()).unwrap();
        assert_eq!(both(&path, &run)[0], said);
        let whole = fs_err::read_to_string(&path).unwrap();
        for (broken, retained) in [
            ("{", 0),
            ("", 0),
            ("[]", 0),
            (whole.trim_end_matches('}'), 0),
            (&(whole.replace("}}", "},") + "x"), 1),
        ] {
            fs_err::write(&path, broken).unwrap();
            assert_eq!(both(&path, &run)[0].len(), retained, "{broken}");
        }
    }
}
