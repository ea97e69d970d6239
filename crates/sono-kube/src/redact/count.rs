//! Counts of redacted values.

use std::collections::BTreeMap;

use serde::Serialize;

/// Why a value was redacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The name of the variable, key or header marks a secret.
    Name,
    /// A private key in PEM, or the base64 of one.
    PrivateKey,
    /// A certificate of sono's own run.
    OwnCertificate,
    /// A token of a known shape.
    Token,
    /// The identifier of an AWS access key.
    AwsKey,
    /// The password in a URL.
    UrlPassword,
}

/// Counts by kind of object, path and reason. Paths have `[]` for every element of a list, so they name fields, not
/// objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redactions(BTreeMap<(String, String, Reason), u64>);

/// One row of the counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Redaction {
    /// Kind of the objects.
    pub kind: String,
    /// Path in them.
    pub path: String,
    /// Why.
    pub reason: Reason,
    /// How many values.
    pub count: u64,
}

impl Redactions {
    /// Adds the counts of `other`.
    pub fn merge(&mut self, other: Self) {
        for (key, count) in other.0 {
            *self.0.entry(key).or_default() += count;
        }
    }

    /// The number of redacted values.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// All counts, in a stable order.
    pub fn rows(&self) -> Vec<Redaction> {
        let row = |((kind, path, reason), count): (&(String, String, Reason), &u64)| Redaction {
            kind: kind.clone(),
            path: path.clone(),
            reason: *reason,
            count: *count,
        };
        self.0.iter().map(row).collect()
    }

    pub(super) fn add(&mut self, kind: &str, path: &str, reason: Reason) {
        *self.0.entry((kind.to_owned(), path.to_owned(), reason)).or_default() += 1;
    }
}
