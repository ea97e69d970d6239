//! Progress updates: `POST /api/v1/progress/…` and `progress` in the status (core §2.4).

mod posted;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::posted::Posted;
use crate::{count, ids::ResultKey};

/// Maximum number of failed tests and of errors stored per plugin. The largest known suite has 7,100 tests.
pub const MAX_NAMES: usize = 10_000;
/// Maximum length in bytes of each stored name, error and message.
pub const MAX_NAME_BYTES: usize = 1024;
/// Maximum memory in bytes of one result's progress, twice the names of all tests of the largest suite.
pub const MAX_BYTES: usize = 2 << 20;
/// Memory overhead of a text in bytes.
const TEXT_OVERHEAD: usize = 48;
/// Size up to which a message is stored whatever the budget, in bytes.
pub const SHORT_MESSAGE: usize = 256;

fn cut(text: &mut String) {
    text.truncate(text.floor_char_boundary(MAX_NAME_BYTES));
}

/// One progress update. `completed` counts passed tests; `total - completed - failures.len()` tests remain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressUpdate {
    /// The plugin; set by the aggregator.
    pub name: String,
    /// The node or `global`; set by the aggregator.
    pub node: String,
    /// When the aggregator received it.
    pub timestamp: Timestamp,
    /// Free text.
    #[serde(default)]
    pub msg: String,
    /// Number of all tests.
    #[serde(default, deserialize_with = "count::number")]
    pub total: i64,
    /// Number of passed tests.
    #[serde(default, deserialize_with = "count::number")]
    pub completed: i64,
    /// Errors outside any test.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// Names of the tests that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
    /// Number of failed tests that are not named because of the memory limit; in an appending update, of appended ones. Not in
    /// Sonobuoy; a plugin cannot set it.
    #[serde(
        rename = "more-failures",
        default,
        skip_serializing_if = "is_zero",
        deserialize_with = "count::number"
    )]
    pub more_failures: i64,
    /// Adds the appended counts to `total` too.
    #[serde(rename = "appendtotals", default, skip_serializing_if = "std::ops::Not::not")]
    pub append_totals: bool,
    /// Adds to `completed`.
    #[serde(rename = "appendcompleted", default, skip_serializing_if = "is_zero")]
    pub append_completed: i64,
    /// Adds to `failures`.
    #[serde(rename = "appendfailing", default, skip_serializing_if = "Vec::is_empty")]
    pub append_failing: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Error of a body that is not a progress update.
#[derive(Debug, thiserror::Error)]
#[error("not a progress update")]
pub struct ProgressError(#[source] serde_json::Error);

impl ProgressUpdate {
    /// Parses a request's body: only the first JSON value is read, keys are case-insensitive, unknown keys are ignored.
    /// Name, node and time are set by the aggregator, never from the body.
    pub fn from_body(body: &[u8], key: &ResultKey, at: Timestamp) -> Result<Self, ProgressError> {
        let mut documents = serde_json::Deserializer::from_slice(body).into_iter::<Posted>();
        let posted: Posted = match documents.next() {
            Some(first) => first.map_err(ProgressError)?,
            None => serde_json::from_str("").map_err(ProgressError)?,
        };
        let more = if posted.update.is_appending() {
            posted.more_failing
        } else {
            posted.more_failures
        };
        Ok(Self {
            name: key.plugin.to_string(),
            node: key.target.to_string(),
            timestamp: at,
            total: count::limited(posted.update.total),
            completed: count::limited(posted.update.completed),
            append_completed: count::limited(posted.update.append_completed),
            more_failures: more,
            ..posted.update
        })
    }

    fn is_appending(&self) -> bool {
        self.append_totals || self.append_completed > 0 || !self.append_failing.is_empty()
    }

    /// Limits lists to [`MAX_NAMES`] entries and texts to [`MAX_NAME_BYTES`], so that repeated appending updates cannot
    /// exhaust the aggregator's memory.
    fn bound(&mut self) {
        self.truncate_lists(MAX_NAMES);
        for list in [&mut self.errors, &mut self.failures] {
            list.iter_mut().for_each(cut);
        }
        cut(&mut self.msg);
        self.shrink(MAX_BYTES);
    }

    /// Truncates failures and errors to `max` entries. Removed failures are still counted.
    fn truncate_lists(&mut self, max: usize) {
        let removed = self.failures.len().saturating_sub(max);
        self.more_failures = self
            .more_failures
            .saturating_add(i64::try_from(removed).unwrap_or(i64::MAX));
        self.failures.truncate(max);
        self.errors.truncate(max);
    }

    /// Approximate memory use in bytes.
    pub fn bytes(&self) -> usize {
        let list = |list: &[String]| -> usize { list.iter().map(|text| text.len() + TEXT_OVERHEAD).sum() };
        size_of::<Self>() + self.msg.len() + list(&self.errors) + list(&self.failures)
    }

    /// Removes errors, then failures, then a message of more than [`SHORT_MESSAGE`] bytes, until memory use is at most
    /// `max_bytes`. Removed failures are still counted.
    pub fn shrink(&mut self, max_bytes: usize) {
        let mut bytes = self.bytes();
        while bytes > max_bytes
            && let Some(error) = self.errors.pop()
        {
            bytes -= error.len() + TEXT_OVERHEAD;
        }
        while bytes > max_bytes
            && let Some(name) = self.failures.pop()
        {
            bytes -= name.len() + TEXT_OVERHEAD;
            self.more_failures = self.more_failures.saturating_add(1);
        }
        self.errors.shrink_to_fit();
        self.failures.shrink_to_fit();
        if bytes > max_bytes && self.msg.len() > SHORT_MESSAGE {
            self.msg = String::new();
        }
    }

    /// The update with the first `most` names of failed tests and errors. The other names are emptied, so that their count stays
    /// the same.
    #[must_use]
    pub fn abridged(&self, most: usize) -> Self {
        let name = |(number, name): (usize, &String)| {
            if number < most { name.clone() } else { String::new() }
        };
        Self {
            name: self.name.clone(),
            node: self.node.clone(),
            timestamp: self.timestamp,
            msg: self.msg.clone(),
            total: self.total,
            completed: self.completed,
            errors: self.errors.iter().take(most).cloned().collect(),
            failures: self.failures.iter().enumerate().map(name).collect(),
            more_failures: self.more_failures,
            append_totals: self.append_totals,
            append_completed: self.append_completed,
            append_failing: self.append_failing.clone(),
        }
    }

    /// Number of failed tests.
    pub fn failed(&self) -> i64 {
        i64::try_from(self.failures.len())
            .unwrap_or(i64::MAX)
            .saturating_add(self.more_failures)
    }

    /// Combines `next` with the `stored` progress: a plain update replaces it, an appending one is added to it.
    /// The result is limited to [`MAX_NAMES`], [`MAX_NAME_BYTES`] and [`MAX_BYTES`].
    #[must_use]
    pub fn fold(stored: Option<Self>, next: Self) -> Self {
        let mut folded = Self::combine(stored, next);
        folded.bound();
        folded
    }

    fn combine(stored: Option<Self>, next: Self) -> Self {
        if !next.is_appending() {
            return next;
        }
        let stored = stored.unwrap_or_default();
        let mut failures = stored.failures;
        let failed = i64::try_from(next.append_failing.len())
            .unwrap_or(i64::MAX)
            .saturating_add(next.more_failures);
        failures.extend(next.append_failing);
        let added = if next.append_totals {
            next.append_completed.saturating_add(failed)
        } else {
            0
        };
        Self {
            name: next.name,
            node: next.node,
            timestamp: next.timestamp,
            msg: next.msg,
            total: stored.total.saturating_add(added),
            completed: stored.completed.saturating_add(next.append_completed),
            errors: stored.errors,
            failures,
            more_failures: stored.more_failures.saturating_add(next.more_failures),
            append_totals: false,
            append_completed: 0,
            append_failing: Vec::new(),
        }
    }

    /// Number of tests that have neither passed nor failed yet; `None` if the plugin's numbers are inconsistent.
    pub fn remaining(&self) -> Option<i64> {
        let remaining = self.total.saturating_sub(self.completed).saturating_sub(self.failed());
        (remaining >= 0).then_some(remaining)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{PluginName, Target};

    fn key() -> ResultKey {
        ResultKey::new(PluginName::parse("p").unwrap(), Target::Global)
    }

    fn update(body: &str) -> ProgressUpdate {
        ProgressUpdate::from_body(body.as_bytes(), &key(), Timestamp::UNIX_EPOCH).unwrap()
    }

    #[test]
    fn the_body_is_read_leniently() {
        let got = update(
            r#"{"MSG":"m","Total":3,"completed":1,"skipped":7,"failed":2,"failures":null,"name":"forged","timestamp":"x"} trailing"#,
        );
        let expected = ProgressUpdate {
            name: "p".to_owned(),
            node: "global".to_owned(),
            timestamp: Timestamp::UNIX_EPOCH,
            msg: "m".to_owned(),
            total: 3,
            completed: 1,
            ..ProgressUpdate::default()
        };
        assert_eq!(got, expected);
        for bad in ["", "x", "[1]", r#"{"total":"3"}"#] {
            assert!(
                ProgressUpdate::from_body(bad.as_bytes(), &key(), Timestamp::UNIX_EPOCH).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn appending_updates_add_up() {
        let mut stored = None;
        for (body, total, completed, failures) in [
            (
                r#"{"appendtotals":true,"appendcompleted":3,"appendfailing":["foo"]}"#,
                4,
                3,
                vec!["foo"],
            ),
            (r#"{"appendtotals":true,"appendcompleted":4}"#, 8, 7, vec!["foo"]),
            (
                r#"{"appendtotals":true,"appendcompleted":5,"appendfailing":["bar"]}"#,
                14,
                12,
                vec!["foo", "bar"],
            ),
            (r#"{"appendcompleted":1}"#, 14, 13, vec!["foo", "bar"]),
            (r#"{"total":5,"completed":2}"#, 5, 2, vec![]),
        ] {
            let folded = ProgressUpdate::fold(stored.take(), update(body));
            assert_eq!(
                (folded.total, folded.completed, folded.failures.clone()),
                (total, completed, failures.into_iter().map(str::to_owned).collect())
            );
            stored = Some(folded);
        }
    }

    proptest::proptest! {
        /// All updates since the last plain one are summed, however they are divided.
        #[test]
        fn updates_are_sums_since_the_last_plain_one(
            updates in proptest::collection::vec((0..4_i64, 0..5_i64, 0..3_usize, proptest::bool::ANY), 0..20)
        ) {
            let names = |count: usize| -> Vec<String> { (0..count).map(|number| format!("t{number}")).collect() };
            let (mut folded, mut model) = (None, (0, 0, 0));
            for (kind, completed, failing, totals) in updates {
                let update = if kind == 0 {
                    model = (completed + 10, completed, failing);
                    ProgressUpdate { total: completed + 10, completed, failures: names(failing), ..ProgressUpdate::default() }
                } else if completed > 0 || failing > 0 {
                    let added = completed + i64::try_from(failing).unwrap();
                    model = (model.0 + if totals { added } else { 0 }, model.1 + completed, model.2 + failing);
                    ProgressUpdate {
                        append_totals: totals,
                        append_completed: completed,
                        append_failing: names(failing),
                        ..ProgressUpdate::default()
                    }
                } else {
                    continue;
                };
                folded = Some(ProgressUpdate::fold(folded.take(), update));
                let now = folded.as_ref().unwrap();
                proptest::prop_assert_eq!((now.total, now.completed, now.failures.len()), model);
            }
        }
    }

    #[test]
    fn stored_progress_is_bounded() {
        let next = || ProgressUpdate {
            msg: "ä".repeat(MAX_NAME_BYTES),
            append_completed: 1,
            append_failing: vec!["é".repeat(MAX_NAME_BYTES); MAX_NAMES / 2 + 1],
            ..ProgressUpdate::default()
        };
        let once = ProgressUpdate::fold(None, next());
        let twice = ProgressUpdate::fold(Some(once), next());
        let fit = (MAX_BYTES - size_of::<ProgressUpdate>() - MAX_NAME_BYTES) / (MAX_NAME_BYTES + TEXT_OVERHEAD);
        assert_eq!(twice.failures, vec!["é".repeat(MAX_NAME_BYTES / 2); fit]);
        assert_eq!(twice.msg, "ä".repeat(MAX_NAME_BYTES / 2));
        let failed = i64::try_from(2 * (MAX_NAMES / 2 + 1)).expect("it is small");
        assert_eq!((twice.completed, twice.failed()), (2, failed));
        let plain = ProgressUpdate {
            errors: vec![String::new(); MAX_NAMES + 1],
            ..ProgressUpdate::default()
        };
        assert_eq!(ProgressUpdate::fold(None, plain).errors.len(), MAX_NAMES);
    }

    #[test]
    fn names_beyond_the_bound_are_counted() {
        let mut next = ProgressUpdate {
            msg: "m".to_owned(),
            total: 10,
            errors: vec!["error".to_owned()],
            failures: ["one", "two", "three"].map(str::to_owned).into(),
            ..ProgressUpdate::default()
        };
        let all = next.bytes();
        next.shrink(all);
        assert_eq!((next.bytes(), next.failures.len()), (all, 3));
        next.shrink(all - 1);
        assert_eq!((next.errors.len(), next.failures.len(), next.failed()), (0, 3, 3));
        next.shrink(next.bytes() - 1);
        assert_eq!((next.failures.join(" "), next.failed()), ("one two".to_owned(), 3));
        next.shrink(0);
        assert_eq!((next.failures.len(), next.failed(), next.msg.as_str()), (0, 3, "m"));
        next.msg = "m".repeat(SHORT_MESSAGE + 1);
        next.shrink(0);
        assert_eq!(next.msg, "");
        let appended = ProgressUpdate {
            append_completed: 2,
            append_failing: vec!["four".to_owned()],
            ..ProgressUpdate::default()
        };
        let folded = ProgressUpdate::fold(Some(next), appended);
        assert_eq!((folded.failures.join(" "), folded.failed()), ("four".to_owned(), 4));
        assert_eq!(folded.remaining(), Some(4));
        // Only the aggregator sets the number of failures without names.
        assert_eq!(update(r#"{"failures":["a"],"more-failures":7}"#).failed(), 1);
    }

    #[test]
    fn body_with_many_names_keeps_the_first_and_counts_the_others() {
        let list = |count: usize, name: &str| format!("[{}]", vec![format!("{name:?}"); count].join(","));
        let more = i64::try_from(MAX_NAMES).unwrap() + 7;
        let long = "ä".repeat(MAX_NAME_BYTES);
        let posted = update(&format!(
            r#"{{"failures":{},"errors":{},"msg":{long:?}}}"#,
            list(MAX_NAMES + 7, ""),
            list(MAX_NAMES + 9, "")
        ));
        assert_eq!(
            (posted.failures.len(), posted.errors.len(), posted.failed()),
            (MAX_NAMES, MAX_NAMES, more)
        );
        assert_eq!(posted.msg, "ä".repeat(MAX_NAME_BYTES / 2));
        assert_eq!(ProgressUpdate::fold(None, posted).failed(), more);
        let appended = |body: &str| ProgressUpdate::fold(Some(update(r#"{"total":1,"completed":1}"#)), update(body));
        let folded = appended(&format!(
            r#"{{"appendtotals":true,"appendfailing":{},"failures":{}}}"#,
            list(MAX_NAMES + 7, "f"),
            list(MAX_NAMES + 1, "not counted")
        ));
        assert_eq!(
            (folded.failed(), folded.total, folded.failures.len()),
            (more, more + 1, MAX_NAMES)
        );
        for bad in ["[1]", "[null]", r#"["a",{}]"#, "{}", r#""a""#] {
            let body = format!(r#"{{"failures":{bad}}}"#);
            let read = ProgressUpdate::from_body(body.as_bytes(), &key(), Timestamp::UNIX_EPOCH);
            assert!(read.is_err(), "{bad}");
        }
        let beyond = format!(r#"{{"failures":{}}}"#, list(MAX_NAMES, "").replace(']', ",1]"));
        assert!(ProgressUpdate::from_body(beyond.as_bytes(), &key(), Timestamp::UNIX_EPOCH).is_err());
    }

    #[test]
    fn inconsistent_numbers_have_no_remainder() {
        assert_eq!(
            update(r#"{"total":5,"completed":2,"failures":["a"]}"#).remaining(),
            Some(2)
        );
        assert_eq!(update(r#"{"total":0,"completed":2}"#).remaining(), None);
    }
}
