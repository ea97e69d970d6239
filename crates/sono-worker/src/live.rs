//! Live counts of a plugin that runs a Ginkgo suite, read from the suite's output ([`crate::ginkgo`]) while it is written.
//! They are posted as progress, and stand in the plugin's own updates where those know less.

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

/// How much of it is read at once.
const PIECE: usize = 16 << 10;

/// How far the suite is, by its output and by its own updates.
#[derive(Debug, Default)]
pub(crate) struct Live(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    counts: Option<Counts>,
    /// How many tests had ended by the plugin's own last update.
    told: i64,
}

impl Live {
    /// The plugin's own update, with our counts where they are further. What is no plain update stays as it is.
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
        let told = number("completed").saturating_add(i64::try_from(failed).unwrap_or(i64::MAX));
        known.told = told;
        let counts = known.counts.as_ref().filter(|counts| counts.ended() > told)?;
        let total = number("total").max(counts.total);
        update.insert("total".to_owned(), total.into());
        update.insert("completed".to_owned(), counts.passed.into());
        update.insert("failures".to_owned(), json!(counts.failures));
        serde_json::to_vec(&update).ok()
    }

    /// Takes new counts; gives an update for them where the plugin itself has not said as much.
    fn learn(&self, counts: Option<Counts>) -> Option<Vec<u8>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts == known.counts {
            return None;
        }
        known.counts.clone_from(&counts);
        let counts = counts.filter(|counts| counts.ended() > known.told)?;
        let update = json!({"msg": "", "total": counts.total, "completed": counts.passed, "failures": counts.failures});
        serde_json::to_vec(&update).ok()
    }
}

/// Reads the suite's output while it is written.
#[derive(Debug)]
pub(crate) struct Reader {
    path: PathBuf,
    read: u64,
    output: Output,
}

impl Reader {
    /// Of the output in this results directory; it need not be there yet.
    pub(crate) fn new(results: &Path) -> Self {
        Self {
            path: results.join(constants::SUITE_OUTPUT),
            read: 0,
            output: Output::default(),
        }
    }

    /// What was written since the last look, if it is worth an update.
    pub(crate) async fn look(&mut self, live: &Live) -> Option<Vec<u8>> {
        // Nothing but a convenience: what cannot be read is looked at again.
        self.read_on().await.ok();
        live.learn(self.output.counts())
    }

    /// Takes in what was written since.
    async fn read_on(&mut self) -> std::io::Result<()> {
        let path = self.path.clone();
        let file = tokio::task::spawn_blocking(move || open_regular(&path, Links::Followed)).await??;
        let mut file = tokio::fs::File::from_std(file.into_file());
        if file.metadata().await?.len() < self.read {
            // Another run of the suite, in the same file.
            self.output = Output::default();
            self.read = 0;
        }
        file.seek(SeekFrom::Start(self.read)).await?;
        let mut piece = vec![0; PIECE];
        loop {
            let length = file.read(&mut piece).await?;
            if length == 0 {
                return Ok(());
            }
            self.output.feed(&piece[..length]);
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
    fn only_news_is_told() {
        let live = Live::default();
        assert_eq!(live.learn(None), None);
        assert_eq!(live.learn(Some(counts(0, &[]))), None);
        let expected = json!({"msg": "", "total": 5, "completed": 1, "failures": ["a"]});
        assert_eq!(value(live.learn(Some(counts(1, &["a"])))), expected);
        assert_eq!(live.learn(Some(counts(1, &["a"]))), None);
    }

    #[test]
    fn the_plugins_own_update_is_completed() {
        let live = Live::default();
        let own = br#"{"msg":"Test Suite completed","total":5,"completed":0,"failed":0}"#;
        assert_eq!(live.complete(own), None);
        live.learn(Some(counts(2, &["a"])));
        let expected =
            json!({"msg": "Test Suite completed", "total": 5, "completed": 2, "failed": 0, "failures": ["a"]});
        assert_eq!(value(live.complete(own)), expected);
        assert_eq!(live.complete(br#"{"appendCompleted":1}"#), None);
        assert_eq!(live.complete(b"no JSON"), None);
    }

    #[test]
    fn a_plugin_that_knows_more_is_believed() {
        let live = Live::default();
        live.learn(Some(counts(2, &[])));
        assert_eq!(live.complete(br#"{"total":5,"completed":3,"failures":["b"]}"#), None);
        assert_eq!(live.learn(Some(counts(3, &[]))), None);
        assert_eq!(live.learn(Some(counts(3, &["b"]))), None);
        assert_ne!(live.learn(Some(counts(4, &["b"]))), None);
    }
}
