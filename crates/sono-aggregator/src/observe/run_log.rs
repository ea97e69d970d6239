//! `meta/run.log`: every log record of the run as a JSON object a line.

use std::{
    borrow::Cow,
    io::Write as _,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::layer::{Context, Layer};

use crate::{clock::Clock, observe::run_id::RunId};

/// Maximum size of the file in bytes: plugins cause lines with each request.
const MAX_BYTES: u64 = 64 << 20;
/// Maximum size of one field in bytes.
const FIELD_BYTES: usize = 2048;
/// Bytes reserved for the line that reports the limit.
const LAST_LINE: u64 = 512;

/// A tracing layer that writes to the run's directory while it exists.
#[derive(Clone)]
pub struct RunLog {
    file: Arc<Mutex<Option<LogFile>>>,
    clock: Clock,
    run: RunId,
    limit: u64,
    /// How many bytes the file has.
    bytes: Arc<AtomicU64>,
}

struct LogFile {
    file: fs_err::File,
    bytes: Arc<AtomicU64>,
    limit: u64,
    /// Nothing more is written.
    is_full: bool,
    /// The last line may be incomplete because of a full disk.
    is_torn: bool,
}

impl LogFile {
    /// Writes a line. At the limit it writes `last` once, and nothing afterwards.
    fn write(&mut self, line: &str, last: impl FnOnce(u64) -> String) {
        if self.is_full {
            return;
        }
        let taken = self.bytes.load(Ordering::Relaxed) + LAST_LINE;
        self.is_full = taken + line.len() as u64 > self.limit;
        let last = self.is_full.then(|| last(self.limit));
        let line = last.as_deref().unwrap_or(line);
        // One write per line: formatting into the file would write each word separately.
        let line = format!("{}{line}\n", if self.is_torn { "\n" } else { "" });
        // A log that cannot be written must not stop the run, and cannot be reported.
        self.is_torn = self.file.write_all(line.as_bytes()).is_err();
        self.bytes.fetch_add(line.len() as u64, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for RunLog {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("RunLog").finish_non_exhaustive()
    }
}

impl RunLog {
    /// A log without a file yet. Add a clone of it to the subscriber.
    pub fn new(clock: Clock) -> Self {
        Self {
            file: Arc::default(),
            clock,
            run: RunId::default(),
            limit: MAX_BYTES,
            bytes: Arc::default(),
        }
    }

    /// Size of the file in bytes; the counter is live.
    pub(crate) fn bytes(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.bytes)
    }

    /// Names the run in every record from now on.
    pub(crate) fn identify(&self, run: &str) {
        self.run.set(run);
    }

    /// The name, for other layers.
    pub(crate) fn run_id(&self) -> RunId {
        self.run.clone()
    }

    /// Writes to `path` from now on.
    pub(crate) fn attach(&self, path: &Path) -> std::io::Result<()> {
        let file = fs_err::OpenOptions::new().create(true).append(true).open(path)?;
        // An earlier process of this run may have written some of it, also its last line.
        let length = file.metadata()?.len();
        self.bytes.store(length, Ordering::Relaxed);
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(LogFile {
            file,
            bytes: Arc::clone(&self.bytes),
            limit: self.limit,
            is_full: length + LAST_LINE > self.limit,
            is_torn: false,
        });
        Ok(())
    }

    /// Writes nowhere from now on.
    pub(crate) fn detach(&self) {
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl<S: Subscriber> Layer<S> for RunLog {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = file.as_mut() else { return };
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = match *event.metadata().level() {
            tracing::Level::WARN => "warning".to_owned(),
            level => level.as_str().to_ascii_lowercase(),
        };
        let time = (self.clock)().to_string();
        let complete = |mut fields: Fields, level: String| {
            fields.0.insert("level".to_owned(), level.into());
            fields.0.insert("time".to_owned(), time.clone().into());
            if let Some(run) = self.run.get() {
                fields.0.insert("run".to_owned(), run.into());
            }
            Value::Object(fields.0).to_string()
        };
        file.write(&complete(fields, level), |limit| {
            let mut fields = Fields::default();
            let message = format!(
                "this log is limited to {limit} bytes: later lines are only in the log of the aggregator's pod"
            );
            fields.0.insert("msg".to_owned(), message.into());
            complete(fields, "warning".to_owned())
        });
    }
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        let name = if field.name() == "message" { "msg" } else { field.name() };
        self.0.insert(name.to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.put(field, clipped(&format!("{value:?}")).into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, clipped(value).into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

/// At limit [`FIELD_BYTES`] of a text: a worker's reason may have any length, and all of it is in the archive's error file.
fn clipped(text: &str) -> Cow<'_, str> {
    let end = text.floor_char_boundary(FIELD_BYTES);
    if end == text.len() {
        return text.into();
    }
    format!("{} … ({} more bytes)", &text[..end], text.len() - end).into()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    fn log(limit: u64) -> RunLog {
        RunLog {
            limit,
            ..RunLog::new(Arc::new(|| Timestamp::UNIX_EPOCH))
        }
    }

    fn fill(log: &RunLog, lines: usize) {
        tracing::subscriber::with_default(tracing_subscriber::registry().with(log.clone()), || {
            for _ in 0..lines {
                tracing::info!(plugin_name = "p", "received request");
            }
        });
    }

    #[test]
    fn run_log_long_text_is_cut_and_its_length_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.log");
        let log = log(1 << 20);
        log.attach(&path).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(log), || {
            let error = "é".repeat(32_000);
            tracing::warn!(error, "{}", "x".repeat(2050));
        });
        let line: Value = serde_json::from_str(&fs_err::read_to_string(&path).unwrap()).unwrap();
        let expected = serde_json::json!({
            "level": "warning",
            "msg": format!("{} … (2 more bytes)", "x".repeat(2048)),
            "error": format!("{} … (61952 more bytes)", "é".repeat(1024)),
            "time": "1970-01-01T00:00:00Z",
        });
        assert_eq!(line, expected);
    }

    /// Independent of the number of requests and of restarts of the aggregator.
    #[test]
    fn run_log_ends_at_its_limit_and_says_so_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.log");
        let (limit, usual) = (
            2048,
            r#"{"level":"info","msg":"received request","plugin_name":"p","time":"1970-01-01T00:00:00Z"}"#,
        );
        let last = r#"{"level":"warning","msg":"this log is limited to 2048 bytes: later lines are only in the log of the aggregator's pod","time":"1970-01-01T00:00:00Z"}"#;
        let first = log(limit);
        first.attach(&path).unwrap();
        fill(&first, 5);
        assert_eq!(first.bytes().load(Ordering::Relaxed), 5 * (usual.len() as u64 + 1));
        let second = log(limit);
        second.attach(&path).unwrap();
        fill(&second, 100);
        let third = log(limit);
        third.attach(&path).unwrap();
        fill(&third, 100);
        let text = fs_err::read_to_string(&path).unwrap();
        let count = (2048 - 512) / (usual.len() + 1);
        let mut expected = vec![usual; count];
        expected.push(last);
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
        assert!(text.len() as u64 <= limit);
        assert_eq!(third.bytes().load(Ordering::Relaxed), text.len() as u64);
    }
}
