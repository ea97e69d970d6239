//! Progress updates: `POST /api/v1/progress/…` and `progress` in the status (core spec §2.4).

use std::fmt;

use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IgnoredAny, MapAccess, Visitor},
};

use crate::ids::ResultKey;

/// How many names of failed tests, and how many errors, are kept of a plugin's progress. The largest suite known has 7,100
/// tests.
pub const MAX_NAMES: usize = 10_000;
/// How many bytes of each of them, and of the message, are kept.
pub const MAX_NAME_BYTES: usize = 1024;
/// Bytes that the progress of one result may take in memory. The names of all tests of the largest suite are a quarter of it.
pub const MAX_BYTES: usize = 4 << 20;
/// Bytes that a text takes in memory besides its own.
const TEXT_OVERHEAD: usize = 48;

fn cut(text: &mut String) {
    text.truncate(text.floor_char_boundary(MAX_NAME_BYTES));
}

/// One progress update. `completed` counts what passed; what remains is `total - completed - failures.len()`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressUpdate {
    /// The plugin; set by the aggregator.
    pub name: String,
    /// The node or `global`; set by the aggregator.
    pub node: String,
    /// When the aggregator got it.
    pub timestamp: Timestamp,
    /// Free text.
    #[serde(default)]
    pub msg: String,
    /// How many tests there are.
    #[serde(default)]
    pub total: i64,
    /// How many passed.
    #[serde(default)]
    pub completed: i64,
    /// Errors outside any test.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// Names of the tests that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
    /// Failed tests whose names are not kept, because progress has a bound in memory. sono's own; a plugin cannot set it.
    #[serde(rename = "more-failures", default, skip_serializing_if = "is_zero")]
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

/// An update as a plugin posts it. What is not known is passed over, whatever its size.
struct Posted(ProgressUpdate);

impl<'de> Deserialize<'de> for Posted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Posted;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a progress update")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Posted, A::Error> {
                let mut update = ProgressUpdate::default();
                while let Some(name) = map.next_key::<String>()? {
                    match name.to_ascii_lowercase().as_str() {
                        "msg" => set(&mut update.msg, map.next_value()?),
                        "total" => set(&mut update.total, map.next_value()?),
                        "completed" => set(&mut update.completed, map.next_value()?),
                        "errors" => set(&mut update.errors, map.next_value()?),
                        "failures" => set(&mut update.failures, map.next_value()?),
                        "appendtotals" => set(&mut update.append_totals, map.next_value()?),
                        "appendcompleted" => set(&mut update.append_completed, map.next_value()?),
                        "appendfailing" => set(&mut update.append_failing, map.next_value()?),
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(Posted(update))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// Null is the same as nothing.
fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// A body that is no progress update.
#[derive(Debug, thiserror::Error)]
#[error("not a progress update")]
pub struct ProgressError(#[source] serde_json::Error);

impl ProgressUpdate {
    /// Reads a request's body: the first JSON value counts, keys in any case, unknown keys and trailing data are
    /// ignored. Name, node and time come from the aggregator, never from the body.
    pub fn from_body(body: &[u8], key: &ResultKey, at: Timestamp) -> Result<Self, ProgressError> {
        let mut documents = serde_json::Deserializer::from_slice(body).into_iter::<Posted>();
        let Posted(update) = match documents.next() {
            Some(first) => first.map_err(ProgressError)?,
            None => serde_json::from_str("").map_err(ProgressError)?,
        };
        Ok(Self {
            name: key.plugin.to_string(),
            node: key.target.to_string(),
            timestamp: at,
            ..update
        })
    }

    fn is_appending(&self) -> bool {
        self.append_totals || self.append_completed > 0 || !self.append_failing.is_empty()
    }

    /// Cuts lists and texts to [`MAX_NAMES`] entries of [`MAX_NAME_BYTES`] bytes each: an update that appends again and
    /// again must not fill the aggregator's memory.
    fn bound(&mut self) {
        self.keep_names(MAX_NAMES);
        for list in [&mut self.errors, &mut self.failures] {
            list.iter_mut().for_each(cut);
        }
        cut(&mut self.msg);
        self.shrink(MAX_BYTES);
    }

    /// Keeps so many names of failed tests, and errors. Failed tests beyond are counted.
    fn keep_names(&mut self, most: usize) {
        let beyond = self.failures.len().saturating_sub(most);
        self.more_failures = self
            .more_failures
            .saturating_add(i64::try_from(beyond).unwrap_or(i64::MAX));
        self.failures.truncate(most);
        self.errors.truncate(most);
    }

    /// Bytes that it takes in memory, about.
    pub fn bytes(&self) -> usize {
        let list = |list: &[String]| -> usize { list.iter().map(|text| text.len() + TEXT_OVERHEAD).sum() };
        size_of::<Self>() + self.msg.len() + list(&self.errors) + list(&self.failures)
    }

    /// Drops names from the ends of its lists, and then its message, until it takes no more than `most` bytes. What is not in
    /// lists and texts stays.
    pub fn shrink(&mut self, most: usize) {
        let mut bytes = self.bytes();
        while bytes > most
            && let Some(error) = self.errors.pop()
        {
            bytes -= error.len() + TEXT_OVERHEAD;
        }
        while bytes > most
            && let Some(name) = self.failures.pop()
        {
            bytes -= name.len() + TEXT_OVERHEAD;
            self.more_failures = self.more_failures.saturating_add(1);
        }
        self.errors.shrink_to_fit();
        self.failures.shrink_to_fit();
        if bytes > most {
            self.msg = String::new();
        }
    }

    /// How many tests failed.
    pub fn failed(&self) -> i64 {
        i64::try_from(self.failures.len())
            .unwrap_or(i64::MAX)
            .saturating_add(self.more_failures)
    }

    /// What is kept when `next` arrives after `stored`: a plain update replaces it, an appending one adds to it.
    /// Lists and texts of what is kept are bounded: [`MAX_NAMES`], [`MAX_NAME_BYTES`].
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
        let failed = i64::try_from(next.append_failing.len()).unwrap_or(i64::MAX);
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
            more_failures: stored.more_failures,
            append_totals: false,
            append_completed: 0,
            append_failing: Vec::new(),
        }
    }

    /// Tests that neither passed nor failed yet; `None` where the plugin's numbers make no sense.
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
        /// From the last plain update on everything is summed up, however it was cut into updates.
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
    fn what_is_kept_is_bounded() {
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
        assert_eq!((next.failures.len(), next.failed(), next.msg.as_str()), (0, 3, ""));
        let appended = ProgressUpdate {
            append_completed: 2,
            append_failing: vec!["four".to_owned()],
            ..ProgressUpdate::default()
        };
        let folded = ProgressUpdate::fold(Some(next), appended);
        assert_eq!((folded.failures.join(" "), folded.failed()), ("four".to_owned(), 4));
        assert_eq!(folded.remaining(), Some(4));
        // The aggregator alone says what it left out.
        assert_eq!(update(r#"{"failures":["a"],"more-failures":7}"#).failed(), 1);
    }

    #[test]
    fn nonsense_numbers_have_no_remainder() {
        assert_eq!(
            update(r#"{"total":5,"completed":2,"failures":["a"]}"#).remaining(),
            Some(2)
        );
        assert_eq!(update(r#"{"total":0,"completed":2}"#).remaining(), None);
    }
}
