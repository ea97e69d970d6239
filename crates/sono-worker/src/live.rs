//! Live counts of a Ginkgo suite, parsed from its output ([`crate::ginkgo`]). They are posted as progress, and replace
//! lower counts in the plugin's own updates.

use std::{
    io::SeekFrom,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde_json::{Map, Value, json};
use sono_bundle::{Links, open_regular};
use sono_types::constants;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use crate::ginkgo::{Counts, Output};

/// Size of the read buffer, in bytes.
const BUFFER: usize = 16 << 10;

/// The progress of the suite, from its output and its own updates.
#[derive(Debug, Default)]
pub(crate) struct Live(Mutex<LiveState>);

#[derive(Debug, Default)]
struct LiveState {
    counts: Option<Counts>,
    /// Ended tests according to the plugin's last update.
    reported: i64,
}

impl Live {
    /// The plugin's update with our counts, if these are ahead. `None` leaves the update unchanged.
    pub(crate) fn complete(&self, body: &[u8]) -> Option<Vec<u8>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut update: Map<String, Value> = serde_json::from_slice(body).ok()?;
        if update
            .keys()
            .any(|name| name.to_ascii_lowercase().starts_with("append"))
        {
            return None;
        }
        let number = |name: &str| update.get(name).and_then(Value::as_i64).unwrap_or(0);
        let failed = update.get("failures").and_then(Value::as_array).map_or(0, Vec::len);
        let reported = number("completed").saturating_add(i64::try_from(failed).unwrap_or(i64::MAX));
        known.reported = reported;
        let counts = known.counts.as_ref().filter(|counts| counts.ended() > reported)?;
        let total = number("total").max(counts.total);
        update.insert("total".to_owned(), total.into());
        update.insert("completed".to_owned(), counts.passed.into());
        update.insert("failures".to_owned(), json!(counts.failures));
        serde_json::to_vec(&update).ok()
    }

    /// Stores new counts. Returns an update if the plugin has not reported as much.
    fn update(&self, counts: Option<Counts>) -> Option<Vec<u8>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts == known.counts {
            return None;
        }
        known.counts.clone_from(&counts);
        let counts = counts.filter(|counts| counts.ended() > known.reported)?;
        let update = json!({"msg": "", "total": counts.total, "completed": counts.passed, "failures": counts.failures});
        serde_json::to_vec(&update).ok()
    }
}

/// Reads the suite's output as it is written.
#[derive(Debug)]
pub(crate) struct Reader {
    path: PathBuf,
    read: u64,
    output: Output,
}

impl Reader {
    /// A reader of the output in this results directory; the file may not exist yet.
    pub(crate) fn new(results: &Path) -> Self {
        Self {
            path: results.join(constants::SUITE_OUTPUT),
            read: 0,
            output: Output::default(),
        }
    }

    /// Reads new output. Returns an update if the counts changed.
    pub(crate) async fn poll(&mut self, live: &Live) -> Option<Vec<u8>> {
        // Live counts are optional: a failed read is repeated with the next poll.
        self.read_new().await.ok();
        live.update(self.output.counts())
    }

    /// Parses the output written since the last read.
    async fn read_new(&mut self) -> std::io::Result<()> {
        let path = self.path.clone();
        let file = tokio::task::spawn_blocking(move || open_regular(&path, Links::Followed)).await??;
        let mut file = tokio::fs::File::from_std(file.into_file());
        if file.metadata().await?.len() < self.read {
            // The suite was started again and overwrites the file.
            self.output = Output::default();
            self.read = 0;
        }
        file.seek(SeekFrom::Start(self.read)).await?;
        let mut buffer = vec![0; BUFFER];
        loop {
            let length = file.read(&mut buffer).await?;
            if length == 0 {
                return Ok(());
            }
            self.output.feed(&buffer[..length]);
            self.read += length as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(passed: i64, failures: &[&str]) -> Counts {
        Counts {
            total: 5,
            passed,
            failures: failures.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn value(body: Option<Vec<u8>>) -> Value {
        body.map_or(Value::Null, |body| serde_json::from_slice(&body).unwrap())
    }

    #[test]
    fn only_changes_are_reported() {
        let live = Live::default();
        assert_eq!(live.update(None), None);
        assert_eq!(live.update(Some(counts(0, &[]))), None);
        let expected = json!({"msg": "", "total": 5, "completed": 1, "failures": ["a"]});
        assert_eq!(value(live.update(Some(counts(1, &["a"])))), expected);
        assert_eq!(live.update(Some(counts(1, &["a"]))), None);
    }

    #[test]
    fn the_plugins_own_update_is_completed() {
        let live = Live::default();
        let own = br#"{"msg":"Test Suite completed","total":5,"completed":0,"failed":0}"#;
        assert_eq!(live.complete(own), None);
        live.update(Some(counts(2, &["a"])));
        let expected =
            json!({"msg": "Test Suite completed", "total": 5, "completed": 2, "failed": 0, "failures": ["a"]});
        assert_eq!(value(live.complete(own)), expected);
        assert_eq!(live.complete(br#"{"appendCompleted":1}"#), None);
        assert_eq!(live.complete(b"no JSON"), None);
    }

    #[test]
    fn higher_counts_of_the_plugin_win() {
        let live = Live::default();
        live.update(Some(counts(2, &[])));
        assert_eq!(live.complete(br#"{"total":5,"completed":3,"failures":["b"]}"#), None);
        assert_eq!(live.update(Some(counts(3, &[]))), None);
        assert_eq!(live.update(Some(counts(3, &["b"]))), None);
        assert_ne!(live.update(Some(counts(4, &["b"]))), None);
    }
}
