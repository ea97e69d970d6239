//! The redaction of everything that the queries do not write: results of plugins, errors, definitions and the run's own files.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use serde_json::{Value, json};
use sono_bundle::{FileSearch, StoreError};
use sono_manifest::ResultRedaction;
use sono_redact::{Layers, Redactions, Redactor, Report, Verdict};
use sono_types::{error_chain, layout};

use super::Finish;

/// Bytes of files that are searched in a run: some minutes of work.
const BUDGET: u64 = 16 << 30;
/// Directories with files that are searched as results and errors of plugins.
const RESULT_DIRECTORIES: [&str; 2] = ["results", "errors"];
/// Name of plugin definitions in the counts of redactions.
const DEFINITION: &str = "PluginDefinition";

/// The redactor of a run, and what it found.
pub(super) struct Redaction {
    redactor: Arc<Redactor>,
    began: Instant,
    collected: Arc<Mutex<Collected>>,
}

/// The report of searched files, with their rows.
#[derive(Default)]
struct Collected {
    report: Report,
    all: Redactions,
}

impl Collected {
    fn add(&mut self, path: &str, bytes: u64, found: Redactions) {
        self.report.add(path, bytes, &found);
        self.all.merge(found);
    }
}

impl Redaction {
    pub(super) fn new(redactor: Arc<Redactor>) -> Self {
        Self {
            redactor,
            began: Instant::now(),
            collected: Arc::default(),
        }
    }

    fn collected(&self) -> MutexGuard<'_, Collected> {
        self.collected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Searches the results and errors of all plugins, before they are read. Returns the problems.
    pub(super) async fn results(&self, finish: &Finish) -> Vec<String> {
        let mut problems = Vec::new();
        for (name, driver) in finish.drivers.iter() {
            let plugin = layout::plugin_dir(name);
            let layers = match driver.definition().result_redaction {
                ResultRedaction::Off => {
                    self.collected().report.leave_out(&format!("{plugin}/results/"));
                    None
                }
                ResultRedaction::Known => Some(Layers::Known),
                ResultRedaction::Full => Some(Layers::All),
            };
            // Errors are the aggregator's own, with the failed pod.
            for (part, layers) in RESULT_DIRECTORIES
                .into_iter()
                .zip([layers, layers.or(Some(Layers::Known))])
            {
                if let Some(layers) = layers {
                    let searched = self.search(finish, format!("{plugin}/{part}"), ("PluginResult", layers), |_| true);
                    problems.extend(searched.await);
                }
            }
        }
        problems
    }

    /// Searches the remaining files for known values: trees of results, and files of the run. Returns the problems.
    pub(super) async fn rest(&self, finish: &Finish) -> Vec<String> {
        let is_left = |name: &str| {
            let mut parts = name.split('/');
            match parts.next() {
                // The queries have searched these.
                Some("resources" | "podlogs") => false,
                Some("plugins") => !parts.nth(1).is_some_and(|part| RESULT_DIRECTORIES.contains(&part)),
                _ => name != layout::REDACTIONS,
            }
        };
        let searched = self.search(finish, String::new(), ("RunFile", Layers::Known), is_left);
        searched.await.into_iter().collect()
    }

    /// Searches the files of a directory of the archive. Returns the problem, if any.
    async fn search(
        &self,
        finish: &Finish,
        directory: String,
        (kind, layers): (&'static str, Layers),
        is_included: fn(&str) -> bool,
    ) -> Option<String> {
        // Without known values, that layer has nothing to find.
        if layers == Layers::Known && self.redactor.known().is_err() {
            return None;
        }
        let (redactor, collected) = (Arc::clone(&self.redactor), Arc::clone(&self.collected));
        let (root, name) = (finish.directory.join(&directory), directory.clone());
        let work = move || {
            FileSearch::new(&redactor, layers, kind).replace_below(
                &root,
                BUDGET,
                &is_included,
                &mut |file, bytes, found| {
                    let path = if name.is_empty() {
                        file.to_owned()
                    } else {
                        format!("{name}/{file}")
                    };
                    let mut collected = collected.lock().unwrap_or_else(PoisonError::into_inner);
                    collected.add(&path, bytes, found);
                },
            )
        };
        let searched = finish.disk_full.retry("removing secrets from files", work).await;
        searched.err().map(|error| {
            let part = if directory.is_empty() {
                "files of the run".to_owned()
            } else {
                format!("{directory}/")
            };
            self.collected().report.leave_out(&part);
            format!("not all files are searched for secrets: {}", error_chain(&error))
        })
    }

    /// Redacts a definition. `path` is its place in the archive.
    pub(super) fn definition(&self, path: &str, definition: &mut Value) {
        let mut found = Redactions::default();
        self.redactor
            .object_as(DEFINITION, definition, &|| self.began.elapsed(), &mut found);
        let bytes = definition.to_string().len() as u64;
        self.collected().add(path, bytes, found);
    }

    /// Adds everything that was found to the report of the queries. Without such a report, one is written only if something was
    /// found. Returns the complete report.
    pub(super) async fn write(&self, finish: &Finish) -> Result<Report, StoreError> {
        let path = finish.directory.join(layout::REDACTIONS);
        let of_queries = read(&path);
        let (was_written, mut report) = (of_queries.is_some(), of_queries.unwrap_or_default());
        if !was_written {
            report.describe(&self.redactor);
        }
        let is_needed = {
            let mut collected = self.collected();
            let Collected { report: mine, all } = std::mem::take(&mut *collected);
            let is_needed = was_written || all.total() > 0 || !mine.files.is_empty() || self.redactor.known().is_ok();
            report.merge(mine);
            report.add_rows(&all);
            is_needed
        };
        if is_needed {
            let text = format!("{}\n", json!(report));
            let write = move || sono_bundle::write_durably(&path, text.as_bytes());
            finish
                .disk_full
                .retry("storing the report of redactions", write)
                .await?;
        }
        Ok(report)
    }
}

/// The report of the queries of this process.
fn read(path: &Path) -> Option<Report> {
    serde_json::from_slice(&fs_err::read(path).ok()?).ok()
}

/// Why an archive is withheld in a run that requires the proof of its redaction.
pub(super) fn withheld(report: &Report) -> Option<String> {
    if report.verdict == Some(Verdict::Proved) {
        return None;
    }
    let sentence = report
        .sentence()
        .unwrap_or_else(|| "the report has no verdict".to_owned());
    Some(format!("the redaction is {sentence}"))
}
