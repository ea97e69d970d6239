//! `meta/run.log`: every log record of the run as a JSON object a line.

use std::{
    io::Write as _,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::layer::{Context, Layer};

use crate::{Clock, run_id::RunId};

/// A layer of the log that writes to the run's directory while there is one.
#[derive(Clone)]
pub struct RunLog {
    file: Arc<Mutex<Option<LogFile>>>,
    clock: Clock,
    run: RunId,
}

struct LogFile {
    file: fs_err::File,
    /// The last line may be half there: a full disk.
    is_torn: bool,
}

impl LogFile {
    fn write(&mut self, line: &str) {
        // One write a line: formatting into the file would make one of each of its words.
        let line = format!("{}{line}\n", if self.is_torn { "\n" } else { "" });
        // A log that cannot be written must not stop the run, and there is nowhere to say so.
        self.is_torn = self.file.write_all(line.as_bytes()).is_err();
    }
}

impl std::fmt::Debug for RunLog {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("RunLog").finish_non_exhaustive()
    }
}

impl RunLog {
    /// A log that goes nowhere yet. Add a clone of it to the subscriber.
    pub fn new(clock: Clock) -> Self {
        Self {
            file: Arc::default(),
            clock,
            run: RunId::default(),
        }
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
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(LogFile { file, is_torn: false });
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
        fields.0.insert("level".to_owned(), level.into());
        fields.0.insert("time".to_owned(), (self.clock)().to_string().into());
        if let Some(run) = self.run.get() {
            fields.0.insert("run".to_owned(), run.into());
        }
        file.write(&Value::Object(fields.0).to_string());
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
        self.put(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
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
