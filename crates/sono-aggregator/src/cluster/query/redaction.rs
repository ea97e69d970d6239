//! The redaction of everything that queries write, and its report.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;
use sono_redact::{Layers, Redactions, Redactor, Report, TextStream};
use sono_types::layout;

/// Redacts objects and logs, and records what was found in each file.
#[derive(Debug)]
pub(super) struct Redaction {
    redactor: Arc<Redactor>,
    began: Instant,
    recorded: Mutex<(Report, Redactions)>,
}

impl Redaction {
    pub(super) fn new(redactor: Arc<Redactor>) -> Self {
        let mut report = Report::default();
        report.describe(&redactor);
        Self {
            redactor,
            began: Instant::now(),
            recorded: Mutex::new((report, Redactions::default())),
        }
    }

    /// Redacts an object according to its kind.
    pub(super) fn object(&self, object: &mut Value, redactions: &mut Redactions) {
        self.redactor.object(object, &|| self.began.elapsed(), redactions);
    }

    /// Redacts an object without a kind, as one of this kind.
    pub(super) fn object_as(&self, kind: &str, object: &mut Value) -> Redactions {
        let mut redactions = Redactions::default();
        let clock: &dyn Fn() -> Duration = &|| self.began.elapsed();
        self.redactor.object_as(kind, object, clock, &mut redactions);
        redactions
    }

    /// A stream for one log.
    pub(super) fn log(&self) -> TextStream<'_> {
        self.redactor.stream(Layers::All).named("PodLog")
    }

    /// Records the redactions of a file of `bytes` bytes. `path` is its place in the archive.
    pub(super) fn record(&self, path: &str, bytes: u64, redactions: Redactions) {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        let (report, all) = &mut *recorded;
        report.add(path, bytes, &redactions);
        all.merge(redactions);
    }

    /// Writes the report of everything recorded so far to its place below `directory`.
    pub(super) fn write(&self, directory: &Path) -> Result<(), sono_bundle::StoreError> {
        let recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        let (report, all) = &*recorded;
        let mut report = report.clone();
        report.add_rows(all);
        let path = directory.join(layout::REDACTIONS);
        sono_bundle::write_durably(&path, format!("{}\n", serde_json::json!(report)).as_bytes())
    }
}
