//! The report of all redactions: `meta/redactions.json`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{KnownSummary, Redactions, Redactor};

/// Version of the report's schema. The keys of the first one, `total` and `redactions`, stay.
const SCHEMA: u32 = 2;

/// Most rows of files; the counts of further files share one row.
const MAX_FILES: usize = 10_000;
/// What is true of secrets that are not in a Secret.
const RULES: &str = "other secrets are found by names and formats only";
/// Path of that row.
const FURTHER_FILES: &str = "(further files)";
/// Most parts of an archive that a sentence names.
const NAMED: usize = 3;

/// What is proved about the known values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// All values of Secrets that could be read were searched in everything that was written.
    Proved,
    /// Some values were not searched, or some content could not be.
    Partial,
    /// No known values were searched.
    Unproved,
}

/// A layer of the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LayerRow {
    /// Whether it ran.
    pub ran: bool,
    /// Why it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Counts of known values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<KnownSummary>,
}

/// A searched file with redactions or opaque content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileRow {
    /// Path in the archive.
    pub path: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// Redacted values by rule.
    pub hits: BTreeMap<String, u64>,
    /// Contents that could not be searched, by format.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub opaque: BTreeMap<String, u64>,
}

/// All redactions of a run or query. It contains names, paths and counts, never values.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// 2; missing in the first version.
    pub schema: u32,
    /// Number of all redacted values.
    pub total: u64,
    /// Rows by kind of object, path and reason: the first version of the report.
    pub redactions: Vec<serde_json::Value>,
    /// Version of the engine.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub engine: String,
    /// The layers by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub layers: BTreeMap<String, LayerRow>,
    /// Searched files with redactions or opaque content.
    pub files: Vec<FileRow>,
    /// Parts of the archive that were not searched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unsearched: Vec<String>,
    /// What is proved; missing in the first version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

impl Report {
    /// Describes the engine. Call it before the first file.
    pub fn describe(&mut self, redactor: &Redactor) {
        self.schema = SCHEMA;
        env!("CARGO_PKG_VERSION").clone_into(&mut self.engine);
        for layer in ["omission", "shapes", "assignments", "structure"] {
            let row = LayerRow {
                ran: true,
                ..LayerRow::default()
            };
            self.layers.insert(layer.to_owned(), row);
        }
        let known = match redactor.known() {
            Ok(counts) => LayerRow {
                ran: true,
                reason: None,
                counts: Some(counts.clone()),
            },
            Err(reason) => LayerRow {
                ran: false,
                reason: Some(reason.clone()),
                counts: None,
            },
        };
        self.layers.insert("known".to_owned(), known);
        self.judge();
    }

    /// Notes a part of the archive that is not searched, such as `plugins/`.
    pub fn leave_out(&mut self, path: &str) {
        self.unsearched.push(path.to_owned());
        self.judge();
    }

    /// Adds the counts of one file. Files without redactions and opaque content have no row.
    pub fn add(&mut self, path: &str, bytes: u64, redactions: &Redactions) {
        if redactions.total() == 0 && redactions.opaque().is_empty() {
            return self.judge();
        }
        self.add_row(&FileRow {
            path: path.to_owned(),
            bytes,
            hits: redactions.by_rule(),
            opaque: redactions.opaque().clone(),
        });
        self.judge();
    }

    /// Adds the files, rows and gaps of a report by the same engine.
    pub fn merge(&mut self, other: Self) {
        for row in &other.files {
            self.add_row(row);
        }
        self.redactions.extend(other.redactions);
        self.unsearched.extend(other.unsearched);
        self.count();
        self.judge();
    }

    /// Adds a row, or its counts to the row of the same file: two layers may search one file.
    fn add_row(&mut self, row: &FileRow) {
        let position = |files: &[FileRow], path: &str| files.binary_search_by(|row| row.path.as_str().cmp(path));
        let mut found = position(&self.files, &row.path);
        let is_further = found.is_err() && self.files.len() >= MAX_FILES;
        if is_further {
            found = position(&self.files, FURTHER_FILES);
        }
        let place = found.unwrap_or_else(|place| {
            let path = if is_further { FURTHER_FILES } else { &row.path };
            let empty = FileRow {
                path: path.to_owned(),
                ..FileRow::default()
            };
            self.files.insert(place, empty);
            place
        });
        if let Some(known) = self.files.get_mut(place) {
            known.bytes = if is_further { known.bytes + row.bytes } else { row.bytes };
            for (rule, count) in &row.hits {
                *known.hits.entry(rule.clone()).or_default() += count;
            }
            for (format, count) in &row.opaque {
                *known.opaque.entry(format.clone()).or_default() += count;
            }
        }
    }

    /// One sentence for users that says what is proved and what is not; `None` for the first version, which has no verdict.
    pub fn sentence(&self) -> Option<String> {
        let known = self.layers.get("known");
        let counts = known.and_then(|known| known.counts.clone()).unwrap_or_default();
        let searched = format!(
            "the {} values of Secrets that were searched ({} short, common or public ones were not)",
            counts.values,
            counts.trivial + counts.public
        );
        Some(match self.verdict? {
            Verdict::Proved => format!("proved: none of {searched} is in the archive; {RULES}"),
            Verdict::Partial => format!(
                "partly proved: none of {searched} is in the searched content; not searched: {}; {RULES}",
                self.gaps(counts.not_searched).join(", ")
            ),
            Verdict::Unproved => {
                let reason = known.and_then(|known| known.reason.as_deref());
                let reason = reason.unwrap_or("the report states no reason");
                format!(
                    "not proved: values of Secrets were not searched ({reason}); secrets are found by names and formats only"
                )
            }
        })
    }

    /// What a search for known values left out.
    fn gaps(&self, values: usize) -> Vec<String> {
        let mut gaps: Vec<String> = self.unsearched.iter().take(NAMED).cloned().collect();
        let more = self.unsearched.len().saturating_sub(NAMED);
        gaps.extend((more > 0).then(|| format!("{more} more parts of the archive")));
        gaps.extend((values > 0).then(|| format!("{values} values beyond a limit")));
        let opaque: Vec<&FileRow> = self.files.iter().filter(|file| !file.opaque.is_empty()).collect();
        if !opaque.is_empty() {
            let formats: BTreeSet<&str> = opaque
                .iter()
                .flat_map(|file| file.opaque.keys().map(String::as_str))
                .collect();
            let formats: Vec<&str> = formats.into_iter().take(2 * NAMED).collect();
            gaps.push(format!("content of {} files ({})", opaque.len(), formats.join(", ")));
        }
        gaps
    }

    /// Adds rows by kind, path and reason, and their number to the total.
    pub fn add_rows(&mut self, redactions: &Redactions) {
        let rows = redactions.rows();
        self.redactions
            .extend(rows.iter().filter_map(|row| serde_json::to_value(row).ok()));
        self.count();
    }

    fn count(&mut self) {
        let counts = self.redactions.iter().filter_map(|row| row.get("count")?.as_u64());
        self.total = counts.sum();
    }

    fn judge(&mut self) {
        let verdict = match self.layers.get("known") {
            Some(LayerRow {
                ran: true,
                counts: Some(counts),
                ..
            }) => {
                let complete = counts.not_searched == 0
                    && self.unsearched.is_empty()
                    && self.files.iter().all(|file| file.opaque.is_empty());
                if complete { Verdict::Proved } else { Verdict::Partial }
            }
            _ => Verdict::Unproved,
        };
        self.verdict = Some(verdict);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Known, KnownValues, Layers};

    #[test]
    fn report_states_layers_files_and_verdict() {
        let mut known = KnownValues::default();
        known.add("password", b"Zq8-wL2mPx");
        known.add("flag", b"true");
        let redactor = Redactor::new(Known::Values(known));
        let mut stream = redactor.stream(Layers::All).named("PodLog");
        let mut out = Vec::new();
        stream.push(b"connecting with Zq8-wL2mPx\n", &mut out);
        let found = stream.finish(&mut out);
        let mut report = Report::default();
        report.describe(&redactor);
        report.add("podlogs/a/b/logs/c.txt", 27, &found);
        report.add("podlogs/a/b/logs/clean.txt", 3, &Redactions::default());
        report.add_rows(&found);
        let ran = json!({"ran": true});
        assert_eq!(
            serde_json::to_value(&report).unwrap(),
            json!({
                "schema": 2,
                "engine": env!("CARGO_PKG_VERSION"),
                "total": 1,
                "redactions": [{"kind": "PodLog", "path": "", "reason": "known", "count": 1}],
                "layers": {
                    "assignments": ran, "omission": ran, "shapes": ran, "structure": ran,
                    "known": {"ran": true, "counts": {"values": 1, "trivial": 1, "public": 0, "not-searched": 0}},
                },
                "files": [{"path": "podlogs/a/b/logs/c.txt", "bytes": 27, "hits": {"known": 1}}],
                "verdict": "proved",
            })
        );
    }

    #[test]
    fn sentence_states_the_verdict_and_its_gaps() {
        let mut known = KnownValues::default();
        known.add("password", b"Zq8-wL2mPx");
        known.add("flag", b"true");
        let mut report = Report::default();
        assert_eq!(report.sentence(), None);
        report.describe(&Redactor::new(Known::Values(known)));
        let searched = "none of the 1 values of Secrets that were searched (1 short, common or public ones were not)";
        let rules = "other secrets are found by names and formats only";
        assert_eq!(
            report.sentence().unwrap(),
            format!("proved: {searched} is in the archive; {rules}")
        );
        let mut opaque = Redactions::default();
        opaque.add_opaque("gzip");
        report.add("plugins/a/results/global/x.gz", 9, &opaque);
        report.leave_out("plugins/b/results/");
        assert_eq!(
            report.sentence().unwrap(),
            format!(
                "partly proved: {searched} is in the searched content; not searched: plugins/b/results/, content of 1 files (gzip); {rules}"
            )
        );
        report.describe(&Redactor::default());
        assert_eq!(
            report.sentence().unwrap(),
            "not proved: values of Secrets were not searched (values of Secrets were not read); secrets are found by names and formats only"
        );
    }

    #[test]
    fn rows_of_files_are_bounded_and_count_all_files() {
        let mut opaque = Redactions::default();
        opaque.add_opaque("binary");
        let mut report = Report::default();
        for number in 0..MAX_FILES + 5 {
            report.add(&format!("plugins/p/results/global/{number:06}"), 2, &opaque);
        }
        assert_eq!(report.files.len(), MAX_FILES + 1);
        let further = report.files.iter().find(|row| row.path == FURTHER_FILES).unwrap();
        assert_eq!((further.bytes, further.opaque["binary"]), (10, 5));
    }

    #[test]
    fn report_of_first_version_is_read() {
        let old = json!({"total": 2, "redactions": [{"kind": "Pod", "path": "a", "reason": "name", "count": 2}]});
        let mut report: Report = serde_json::from_value(old).unwrap();
        report.describe(&Redactor::default());
        assert_eq!((report.total, report.verdict), (2, Some(Verdict::Unproved)));
        let mut other = Report::default();
        other.leave_out("plugins/b/results/");
        other
            .redactions
            .push(json!({"kind": "PluginResult", "path": "", "reason": "known", "count": 3}));
        report.merge(other);
        assert_eq!((report.total, report.unsearched.len()), (5, 1));
    }
}
