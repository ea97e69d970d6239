//! Counts of redacted values.

use std::collections::BTreeMap;

use serde::Serialize;

/// Why a value was redacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The kind of the object or the path of the field holds secrets only.
    Omitted,
    /// A value of a Secret.
    Known,
    /// A published format of credentials, by its name.
    Shape(&'static str),
    /// The name of the variable, key, field or flag marks a secret.
    Name,
    /// A text that holds secrets in an encoding, replaced as a whole.
    Encoded,
    /// A certificate of sono's own run.
    OwnCertificate,
    /// The limit of time or work was reached, so the text was replaced as a whole.
    Limit,
}

impl Rule {
    /// The name of the rule in `hits` of a report, such as `shape:jwt`.
    pub fn id(self) -> String {
        match self {
            Self::Omitted => "omission".to_owned(),
            Self::Known => "known".to_owned(),
            Self::Shape(shape) => format!("shape:{shape}"),
            Self::Name => "assignment".to_owned(),
            Self::Encoded => "structure".to_owned(),
            Self::OwnCertificate => "own-certificate".to_owned(),
            Self::Limit => "limit".to_owned(),
        }
    }

    /// The name of the rule in `redactions` of a report. Readers of its first schema know these names.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Omitted | Self::Name => "name",
            Self::Known => "known",
            Self::Shape("private-key") => "private-key",
            Self::Shape("aws-key-id") => "aws-key",
            Self::Shape("url-password") => "url-password",
            Self::Shape(_) => "token",
            Self::Encoded => "encoded",
            Self::OwnCertificate => "own-certificate",
            Self::Limit => "limit",
        }
    }
}

/// Counts by kind of object, path and rule, and contents that could not be searched. Paths have `[]` for every element of a
/// list, so they name fields, not objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redactions {
    counts: BTreeMap<(String, String, Rule), u64>,
    opaque: BTreeMap<String, u64>,
    places: Vec<Place>,
}

/// Most places of one text that are recorded.
const MAX_PLACES: usize = 1_000;

/// The place of a secret in a text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Path of the text in an archive that is nested in the file, with `!` before names in archives of it; empty for the file itself.
    pub within: String,
    /// Bytes before it.
    pub offset: u64,
    /// The rule that found it.
    pub rule: Rule,
}

/// One row of the counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Redaction {
    /// Kind of the objects.
    pub kind: String,
    /// Path in them.
    pub path: String,
    /// Why.
    pub reason: String,
    /// How many values.
    pub count: u64,
}

impl Redactions {
    /// Adds the counts of `other`, without its places.
    pub fn merge(&mut self, other: Self) {
        for (key, count) in other.counts {
            *self.counts.entry(key).or_default() += count;
        }
        for (name, count) in other.opaque {
            *self.opaque.entry(name).or_default() += count;
        }
    }

    /// Adds the counts and places of a text at the path `within` of a nested archive.
    pub fn merge_nested(&mut self, within: &str, mut other: Self) {
        for place in std::mem::take(&mut other.places) {
            if self.places.len() == MAX_PLACES {
                break;
            }
            let path = match (within, place.within.as_str()) {
                (path, "") | ("", path) => path.to_owned(),
                (outer, inner) => format!("{outer}!{inner}"),
            };
            self.places.push(Place { within: path, ..place });
        }
        self.merge(other);
    }

    /// The first 1,000 places in streamed texts, in their order.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// Notes content that could not be searched, by its format or the reason.
    pub fn add_opaque(&mut self, format: &str) {
        *self.opaque.entry(format.to_owned()).or_default() += 1;
    }

    /// The number of redacted values.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// All counts, in a stable order.
    pub fn rows(&self) -> Vec<Redaction> {
        let mut rows: BTreeMap<(&str, &str, &str), u64> = BTreeMap::new();
        for ((kind, path, rule), count) in &self.counts {
            *rows.entry((kind, path, rule.reason())).or_default() += count;
        }
        let row = |((kind, path, reason), count): ((&str, &str, &str), u64)| Redaction {
            kind: kind.to_owned(),
            path: path.to_owned(),
            reason: reason.to_owned(),
            count,
        };
        rows.into_iter().map(row).collect()
    }

    /// The counts by the name of the rule.
    pub fn by_rule(&self) -> BTreeMap<String, u64> {
        let mut rules = BTreeMap::new();
        for ((_, _, rule), count) in &self.counts {
            *rules.entry(rule.id()).or_default() += count;
        }
        rules
    }

    /// Contents that could not be searched, by their format.
    pub fn opaque(&self) -> &BTreeMap<String, u64> {
        &self.opaque
    }

    /// Only the contents that could not be searched.
    pub(crate) fn without_counts(self) -> Self {
        Self {
            opaque: self.opaque,
            ..Self::default()
        }
    }

    pub(crate) fn add(&mut self, kind: &str, path: &str, rule: Rule) {
        *self.counts.entry((kind.to_owned(), path.to_owned(), rule)).or_default() += 1;
    }

    pub(crate) fn add_at(&mut self, kind: &str, offset: u64, rule: Rule) {
        self.add(kind, "", rule);
        if self.places.len() < MAX_PLACES {
            self.places.push(Place {
                within: String::new(),
                offset,
                rule,
            });
        }
    }
}
