//! Names of runs on the command line: `latest`, `latest~2`, or the start of an id.

use std::{fmt, str::FromStr};

use sono_analysis::Card;

use crate::entry::Entry;

const LATEST: &str = "latest";
/// Minimum length of the start of an id.
const MIN_ID: usize = 4;

/// A run in the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunReference {
    /// The newest run, or the one this many runs before it with the same plugins on the same cluster.
    Latest(usize),
    /// The run whose id starts with this text.
    Id(String),
}

/// Why a reference names no run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// It is neither `latest`, `latest~N` nor the start of an id.
    #[error("`{0}` is not a run: use latest, latest~1, or at least {MIN_ID} characters of a run's id")]
    Invalid(String),
    /// No run has it.
    #[error("no run in the history is `{0}`")]
    Unknown(RunReference),
    /// Several runs have it.
    #[error("several runs in the history start with `{0}`")]
    Ambiguous(RunReference),
}

/// What runs have in common that can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunKind<'a> {
    /// Id of the cluster.
    pub cluster: &'a str,
    /// Sorted names of the plugins.
    pub plugins: Vec<&'a str>,
}

impl<'a> RunKind<'a> {
    /// The kind of a recorded run.
    pub fn of(entry: &'a Entry) -> Self {
        let plugins = entry.plugins.iter().map(|plugin| plugin.name.as_str());
        Self::new(&entry.cluster, plugins)
    }

    /// The kind of a run with this card.
    pub fn of_card(card: &'a Card) -> Self {
        Self::new(&card.cluster.id, card.plugins.iter().map(|plugin| plugin.name.as_str()))
    }

    fn new(cluster: &'a str, plugins: impl Iterator<Item = &'a str>) -> Self {
        let mut plugins: Vec<&str> = plugins.collect();
        plugins.sort_unstable();
        Self { cluster, plugins }
    }
}

impl fmt::Display for RunReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest(0) => formatter.write_str(LATEST),
            Self::Latest(before) => write!(formatter, "{LATEST}~{before}"),
            Self::Id(id) => formatter.write_str(id),
        }
    }
}

impl FromStr for RunReference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let invalid = || ReferenceError::Invalid(text.to_owned());
        if let Some(rest) = text.strip_prefix(LATEST) {
            let Some(number) = rest.strip_prefix('~') else {
                return if rest.is_empty() {
                    Ok(Self::Latest(0))
                } else {
                    Err(invalid())
                };
            };
            return number.parse().map(Self::Latest).map_err(|_| invalid());
        }
        let is_id = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if is_id && text.len() >= MIN_ID {
            Ok(Self::Id(text.to_owned()))
        } else {
            Err(invalid())
        }
    }
}

impl RunReference {
    /// The run among `entries`, the oldest first. `latest` and those before are runs of the same kind as the given one, or as
    /// the newest.
    ///
    /// # Errors
    /// Fails if there is no such run, or more than one.
    pub fn find<'a>(&self, entries: &'a [Entry], kind: Option<RunKind<'_>>) -> Result<&'a Entry, ReferenceError> {
        let unknown = || ReferenceError::Unknown(self.clone());
        match self {
            Self::Latest(before) => {
                let kind = match kind {
                    Some(kind) => kind,
                    None => RunKind::of(entries.last().ok_or_else(unknown)?),
                };
                let mut same = entries.iter().rev().filter(|entry| RunKind::of(entry) == kind);
                same.nth(*before).ok_or_else(unknown)
            }
            Self::Id(id) => {
                if let Some(exact) = entries.iter().find(|entry| entry.run == *id) {
                    return Ok(exact);
                }
                let mut found = entries.iter().filter(|entry| entry.run.starts_with(id.as_str()));
                let first = found.next().ok_or_else(unknown)?;
                match found.next() {
                    Some(_) => Err(ReferenceError::Ambiguous(self.clone())),
                    None => Ok(first),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn entries() -> Vec<Entry> {
        let runs = [("aaaa1", "c1"), ("aaaa2", "c2"), ("bbbbb", "c1"), ("aaaa", "c1")];
        let entry = |(run, cluster): (&str, &str)| Entry {
            run: run.to_owned(),
            time: Timestamp::UNIX_EPOCH,
            start: None,
            seconds: None,
            cluster: cluster.to_owned(),
            kubernetes: String::new(),
            plugins: Vec::new(),
            file: String::new(),
            bytes: 0,
        };
        runs.into_iter().map(entry).collect()
    }

    #[test]
    fn reference_names_one_run() {
        let entries = entries();
        let found = |text: &str, cluster: Option<&'static str>| -> String {
            let kind = cluster.map(|cluster| RunKind {
                cluster,
                plugins: Vec::new(),
            });
            let reference: Result<RunReference, _> = text.parse();
            match reference.and_then(|reference| reference.find(&entries, kind).cloned()) {
                Ok(entry) => entry.run,
                Err(error) => error.to_string(),
            }
        };
        let invalid =
            |text: &str| format!("`{text}` is not a run: use latest, latest~1, or at least 4 characters of a run's id");
        for (text, cluster, expected) in [
            ("latest", None, "aaaa"),
            ("latest~0", None, "aaaa"),
            ("latest~1", None, "bbbbb"),
            ("latest~2", None, "aaaa1"),
            ("latest~3", None, "no run in the history is `latest~3`"),
            ("latest", Some("c2"), "aaaa2"),
            ("latest~1", Some("c2"), "no run in the history is `latest~1`"),
            ("latest", Some("c3"), "no run in the history is `latest`"),
            ("aaaa", None, "aaaa"),
            ("bbbb", None, "bbbbb"),
            ("cccc", None, "no run in the history is `cccc`"),
        ] {
            assert_eq!(found(text, cluster), expected, "{text}");
        }
        for text in [
            "",
            "lates",
            "latest~",
            "latest~-1",
            "latest~x",
            "latest1",
            "abc",
            "a/bcd",
            "latest~99999999999999999999",
        ] {
            let expected = if text == "lates" {
                "no run in the history is `lates`".to_owned()
            } else {
                invalid(text)
            };
            assert_eq!(found(text, None), expected, "{text}");
        }
        let without_exact = &entries[..3];
        assert_eq!(
            RunReference::Id("aaaa".to_owned()).find(without_exact, None),
            Err(ReferenceError::Ambiguous(RunReference::Id("aaaa".to_owned())))
        );
        assert!(RunReference::Latest(0).find(&[], None).is_err());
    }

    #[test]
    fn runs_with_other_plugins_are_passed_over() {
        let mut entries = entries();
        entries[2].plugins = vec![crate::EntryPlugin {
            name: "host-check".to_owned(),
            status: String::new(),
            tests: 0,
            failed: 0,
        }];
        assert_eq!(
            RunReference::Latest(1)
                .find(&entries, None)
                .map(|entry| entry.run.as_str()),
            Ok("aaaa1")
        );
    }
}
