//! The report of all redactions: `meta/redactions.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{KnownSummary, Redactions, Redactor};

/// Version of the report's schema. The keys of the first one, `total` and `redactions`, stay.
const SCHEMA: u32 = 2;

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
        if redactions.total() > 0 || !redactions.opaque().is_empty() {
            self.files.push(FileRow {
                path: path.to_owned(),
                bytes,
                hits: redactions.by_rule(),
                opaque: redactions.opaque().clone(),
            });
            self.files.sort_by(|one, other| one.path.cmp(&other.path));
        }
        self.judge();
    }

    /// Adds rows by kind, path and reason, and their number to the total.
    pub fn add_rows(&mut self, redactions: &Redactions) {
        let rows = redactions.rows();
        self.redactions
            .extend(rows.iter().filter_map(|row| serde_json::to_value(row).ok()));
        self.count();
    }

    /// Removes the rows of a kind, which are counted again, and the row of its files.
    pub fn remove_kind(&mut self, kind: &str, path: impl Fn(&str) -> bool) {
        self.redactions
            .retain(|row| row.get("kind").and_then(serde_json::Value::as_str) != Some(kind));
        self.files.retain(|file| !path(&file.path));
        self.count();
        self.judge();
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
    fn report_of_first_version_is_read() {
        let old = json!({"total": 2, "redactions": [{"kind": "Pod", "path": "a", "reason": "name", "count": 2}]});
        let mut report: Report = serde_json::from_value(old).unwrap();
        report.describe(&Redactor::default());
        assert_eq!((report.total, report.verdict), (2, Some(Verdict::Unproved)));
        report.remove_kind("Pod", |_| false);
        assert_eq!(report.total, 0);
    }
}
