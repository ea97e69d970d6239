//! Memory and disk limits of the aggregator.

use std::{fmt, str::FromStr};

use serde_json::{Value, json};

/// A number of bytes in Kubernetes notation: `1Gi`, `500M`, `1073741824`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantity {
    text: String,
    bytes: u64,
}

/// Error of a text that is not a [`Quantity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a whole number of bytes, optionally with Ki, Mi, Gi, Ti, k, M, G or T")]
pub struct InvalidQuantity;

const UNITS: [(&str, u64); 9] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("", 1),
];

impl Quantity {
    /// The number of bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether it is zero, which means no limit.
    pub fn is_zero(&self) -> bool {
        self.bytes == 0
    }

    fn of(text: &str) -> Self {
        text.parse().expect("a default is a quantity")
    }
}

impl FromStr for Quantity {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let unit = UNITS.iter().find(|(unit, _)| *unit == &text[digits.len()..]);
        let (_, unit) = unit.ok_or(InvalidQuantity)?;
        let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        let number: u64 = if is_number { digits.parse().ok() } else { None }.ok_or(InvalidQuantity)?;
        Ok(Self {
            text: text.to_owned(),
            bytes: number.checked_mul(*unit).ok_or(InvalidQuantity)?,
        })
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.text)
    }
}

/// Limits of the aggregator's pod; zero means none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sizes {
    /// Memory limit of the container.
    pub memory: Quantity,
    /// Size limit of the results volume in the pod.
    pub results: Quantity,
}

impl Default for Sizes {
    /// The memory limit is eight times the memory used by a run with 10,000 nodes (`docs/internals/scale.md`).
    fn default() -> Self {
        Self {
            memory: Quantity::of("1Gi"),
            results: Quantity::of("20Gi"),
        }
    }
}

/// Disk request of the aggregator. The kubelet evicts pods above their request first if the disk is full.
const RESERVED_DISK: &str = "1Gi";

impl Sizes {
    /// `resources` of the aggregator's container.
    pub(crate) fn resources(&self) -> Value {
        let mut resources =
            json!({ "requests": { "cpu": "50m", "memory": "64Mi", "ephemeral-storage": RESERVED_DISK } });
        if !self.memory.is_zero() {
            resources["limits"] = json!({ "memory": self.memory.text });
        }
        resources
    }

    /// The emptyDir of results in the aggregator's pod.
    pub(crate) fn volume(&self) -> Value {
        if self.results.is_zero() {
            json!({})
        } else {
            json!({ "sizeLimit": self.results.text })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_whole_numbers_of_bytes_with_a_unit() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("1024", Some(1024)),
            ("1Gi", Some(1 << 30)),
            ("20Gi", Some(20 << 30)),
            ("3k", Some(3_000)),
            ("2T", Some(2_000_000_000_000)),
            ("16777216Ti", None),
            ("", None),
            ("Gi", None),
            ("1.5Gi", None),
            ("-1Gi", None),
            ("+1", None),
            ("1gi", None),
            ("1 Gi", None),
            ("1GiGi", None),
            ("\u{661}Gi", None),
            ("1\u{e9}", None),
        ] {
            let parsed = text.parse::<Quantity>();
            assert_eq!(parsed.as_ref().map(Quantity::bytes).ok(), bytes, "{text}");
            assert!(parsed.is_err() || parsed.is_ok_and(|parsed| parsed.to_string() == text));
        }
    }
}
