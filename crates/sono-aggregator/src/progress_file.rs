//! What plugins last said of their progress, in a file of its own beside the journal: replaced as a whole now and then.
//! What is lost with the process is a few seconds of it, and the next update makes up for that.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use sono_types::{ProgressUpdate, ResultKey};
use tokio::{task::JoinHandle, time::Instant};

use crate::{run::Run, upload::chain};

/// Between two writes.
const PAUSE: Duration = Duration::from_secs(10);

/// The file, and when it is due.
#[derive(Debug)]
pub(crate) struct ProgressFile {
    path: PathBuf,
    changed: bool,
    next: Instant,
    writing: Option<JoinHandle<()>>,
}

/// What the file holds. One that cannot be read holds nothing: only the status shows it.
pub(crate) fn read(path: &Path) -> BTreeMap<ResultKey, ProgressUpdate> {
    let Ok(bytes) = fs_err::read(path) else {
        return BTreeMap::new();
    };
    serde_json::from_slice(&bytes).unwrap_or_else(|error| {
        tracing::warn!(%error, path = %path.display(), "reading what plugins last said of their progress");
        BTreeMap::new()
    })
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

    /// There is something new.
    pub(crate) fn mark(&mut self) {
        self.changed = true;
    }

    /// Resolves when [`ProgressFile::write_if_due`] has something to do.
    pub(crate) async fn due(&self) {
        if self.changed {
            tokio::time::sleep_until(self.next).await;
        } else {
            std::future::pending::<()>().await;
        }
    }

    /// Writes what is new, unless that was done a moment ago or is still being done.
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

    /// Writes what is new, now.
    pub(crate) async fn close(mut self, run: &Run) {
        if let Some(writing) = self.writing.take() {
            // It says itself when it fails.
            writing.await.ok();
        }
        if self.changed {
            write(&self.path, run).await.ok();
        }
    }
}

fn write(path: &Path, run: &Run) -> JoinHandle<()> {
    let path = path.to_path_buf();
    let bytes = serde_json::to_vec(run.progress()).expect("progress holds only text keys");
    tokio::task::spawn_blocking(move || {
        if let Err(error) = sono_bundle::write_durably(&path, &bytes) {
            tracing::warn!(error = chain(&error), "keeping what plugins say of their progress");
        }
    })
}

#[cfg(test)]
mod tests {
    use sono_types::{PluginName, Target};

    use super::*;
    use crate::run::{Event, Plan, Policy};

    #[tokio::test(start_paused = true)]
    async fn what_was_said_is_read_again_and_written_now_and_then() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("progress");
        let key = ResultKey::new(PluginName::parse("p").unwrap(), Target::Global);
        let plan = Plan {
            plugin: key.plugin.clone(),
            order: 0,
            expected: vec![key.clone()],
            timeout: None,
            learns: false,
        };
        let mut run = Run::new(vec![plan], Policy::default());
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
                assert_eq!(read(&path), *run.progress());
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        file.writing = None;
        file.close(&run).await;
        assert_eq!(read(&path), *run.progress());
        fs_err::write(&path, "{").unwrap();
        assert_eq!(read(&path), BTreeMap::new());
    }
}
