//! The outcome of each query: `meta/query-time.json`.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};
use sono_types::go_duration;

/// Maximum number of details in one row; the count includes the others.
const DETAILS: usize = 200;

/// One query.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// Plural of the resource, or the name of another query.
    pub(super) object: String,
    pub(super) namespace: Option<String>,
    /// `apiVersion` of the resource, or the selector of the query.
    pub(super) about: Option<(&'static str, String)>,
    pub(super) start: Timestamp,
    pub(super) took: Duration,
    /// Number of objects or files.
    pub(super) items: u64,
    pub(super) failure: Option<Failure>,
}

/// The failure of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The query has no response.
    Whole { message: String, cause: Cause },
    /// These parts have no response: name and reason.
    Parts(Vec<(String, String)>),
}

/// The common part of failures: those with one cause share a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    /// A cause of this query only.
    Own,
    /// The account lacks the permission.
    Forbidden,
    /// The server of this group version does not respond.
    Unserved(String),
}

impl Failure {
    pub(super) fn whole(message: impl Into<String>) -> Self {
        Self::Whole {
            message: message.into(),
            cause: Cause::Own,
        }
    }

    /// `None` if nothing is missing.
    pub(super) fn parts(mut parts: Vec<(String, String)>) -> Option<Self> {
        parts.sort();
        (!parts.is_empty()).then_some(Self::Parts(parts))
    }

    fn message(&self) -> String {
        match self {
            Self::Whole { message, .. } => message.clone(),
            Self::Parts(parts) => match parts.as_slice() {
                [(what, why)] => format!("{what}: {why}"),
                [(what, why), rest @ ..] => format!("{what}: {why}, and {} more", rest.len()),
                [] => String::new(),
            },
        }
    }
}

impl Row {
    /// Sonobuoy's four keys, then the start, the outcome and the counts.
    pub(super) fn to_json(&self) -> Value {
        let mut row = json!({
            "queryobj": self.object,
            "time": go_duration::format(self.took),
            "start": self.start,
            "items": self.items,
            "outcome": match &self.failure {
                None => "complete",
                Some(Failure::Parts(_)) => "partial",
                Some(Failure::Whole { .. }) => "failed",
            },
        });
        if let Some(namespace) = &self.namespace {
            row["namespace"] = namespace.as_str().into();
        }
        if let Some((key, text)) = &self.about {
            row[*key] = text.as_str().into();
        }
        if let Some(failure) = &self.failure {
            row["error"] = json!({ "message": failure.message() });
            if let Failure::Parts(parts) = failure {
                let details: Vec<Value> = parts
                    .iter()
                    .take(DETAILS)
                    .map(|(what, why)| json!({ "part": what, "message": why }))
                    .collect();
                row["error"]["count"] = parts.len().into();
                row["error"]["details"] = details.into();
            }
        }
        row
    }

    fn name(&self) -> String {
        match (&self.namespace, &self.about) {
            (Some(namespace), _) => format!("{} of namespace {namespace}", self.object),
            (None, Some((_, text))) => format!("{} ({text})", self.object),
            (None, None) => self.object.clone(),
        }
    }
}

/// A line per incomplete query; queries with the same cause share a line.
pub(super) fn problems(rows: &[Row]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut shared: BTreeMap<&Cause, Vec<String>> = BTreeMap::new();
    for row in rows {
        let Some(failure) = &row.failure else { continue };
        let line = format!("{}: {}", row.name(), failure.message());
        match failure {
            Failure::Whole { cause: Cause::Own, .. } | Failure::Parts(_) => lines.push(line),
            Failure::Whole { cause, .. } => shared.entry(cause).or_default().push(line),
        }
    }
    for (_, of_one_cause) in shared {
        match of_one_cause.as_slice() {
            [] => {}
            [line] => lines.push(line.clone()),
            [line, rest @ ..] => lines.push(format!("{line} (and {} more for this reason)", rest.len())),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(object: &str, namespace: Option<&str>, failure: Option<Failure>) -> Row {
        Row {
            object: object.to_owned(),
            namespace: namespace.map(str::to_owned),
            about: None,
            start: Timestamp::UNIX_EPOCH,
            took: Duration::from_micros(1_500),
            items: 2,
            failure,
        }
    }

    /// W-21: the row contains the text of the error, in an object for readers of the old form.
    #[test]
    fn rows_are_readable_and_a_superset_of_the_old_form() {
        assert_eq!(
            row("pods", Some("a"), None).to_json(),
            json!({"queryobj": "pods", "namespace": "a", "time": "1.5ms", "start": "1970-01-01T00:00:00Z", "items": 2,
                "outcome": "complete"})
        );
        let mut failed = row("nodes", None, Some(Failure::whole("no answer")));
        failed.about = Some(("apiVersion", "v1".to_owned()));
        assert_eq!(
            failed.to_json(),
            json!({"queryobj": "nodes", "apiVersion": "v1", "time": "1.5ms", "start": "1970-01-01T00:00:00Z", "items": 2,
                "outcome": "failed", "error": {"message": "no answer"}})
        );
        let parts = Failure::parts(vec![("b".to_owned(), "y".to_owned()), ("a".to_owned(), "x".to_owned())]);
        assert_eq!(
            row("Nodes", None, parts).to_json()["error"],
            json!({"message": "a: x, and 1 more", "count": 2,
                "details": [{"part": "a", "message": "x"}, {"part": "b", "message": "y"}]})
        );
        assert_eq!(Failure::parts(Vec::new()), None);
    }

    #[test]
    fn refusals_share_a_line() {
        let shared = |text: &str, cause| {
            Some(Failure::Whole {
                message: text.to_owned(),
                cause,
            })
        };
        let unserved = || Cause::Unserved("x/v1".to_owned());
        let rows = [
            row("pods", Some("a"), shared("forbidden: 1", Cause::Forbidden)),
            row("pods", Some("b"), Some(Failure::whole("broken"))),
            row("nodes", None, shared("forbidden: 2", Cause::Forbidden)),
            row("events", None, None),
            row("xs", None, shared("no answer", unserved())),
            row("ys", None, shared("no answer", unserved())),
        ];
        assert_eq!(
            problems(&rows),
            [
                "pods of namespace b: broken",
                "pods of namespace a: forbidden: 1 (and 1 more for this reason)",
                "xs: no answer (and 1 more for this reason)"
            ]
        );
        assert_eq!(problems(&rows[2..4]), ["nodes: forbidden: 2"]);
    }
}
