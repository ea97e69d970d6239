//! Known values: the content of Secrets, which is searched literally and in common encodings.
//!
//! Each encoded value is found by windows of eight bytes in a sorted table behind a bit map, then compared as a whole. An
//! Aho-Corasick automaton would hold parts of the values in memory that cannot be cleared, and needs several times the memory.

mod encode;
mod filter;
mod index;
mod normal;
mod parts;
mod trivial;

use std::{collections::HashSet, fmt, hash};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

pub(crate) use self::index::{Index, Scratch};

/// Most values and parts of values that are searched.
pub const MAX_VALUES: usize = 5_000;
/// Most bytes of all searched values.
pub const MAX_BYTES: usize = 16 << 20;
/// Fewest bytes of a searched value.
const MIN_BYTES: usize = 8;
/// Longer values are searched in pieces. A multiple of three, so that the base64 of a piece is a piece of the base64.
const PIECE: usize = 1_536;
/// Most pieces of one value, evenly spaced: a value that is not secret as a whole, such as a release of Helm, may be large.
const MAX_PIECES: usize = 24;

/// A value that is cleared when dropped and never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Literal(Zeroizing<Vec<u8>>);

impl Literal {
    fn new(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl hash::Hash for Literal {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.bytes().hash(state);
    }
}

impl fmt::Debug for Literal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Literal(…)")
    }
}

/// How much of the known values is searched. It contains counts only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct KnownSummary {
    /// Searched values and parts of values.
    pub values: usize,
    /// Values that are too short or too common to search.
    pub trivial: usize,
    /// Public values, such as certificates.
    pub public: usize,
    /// Values beyond a limit.
    pub not_searched: usize,
    /// Pieces of long values that are not searched; other pieces of the same values are.
    #[serde(skip_serializing_if = "is_zero")]
    pub pieces_not_searched: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Collects values to search. Values are cleared from memory when dropped, and are not part of any `Debug` output.
#[derive(Default)]
pub struct KnownValues {
    literals: HashSet<Literal>,
    bytes: usize,
    summary: KnownSummary,
}

impl fmt::Debug for KnownValues {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("KnownValues")
            .field("summary", &self.summary)
            .finish_non_exhaustive()
    }
}

impl KnownValues {
    /// Adds the values of a Secret, from `data` (base64) and `stringData`.
    pub fn add_secret(&mut self, secret: &Value) {
        for (field, encoded) in [("data", true), ("stringData", false)] {
            let values = secret.get(field).and_then(Value::as_object).into_iter().flatten();
            for (key, value) in values {
                let Some(text) = value.as_str() else { continue };
                if encoded {
                    match encode::decoded(text.as_bytes()) {
                        Some(value) => self.add(key, &value),
                        None => self.add(key, text.as_bytes()),
                    }
                } else {
                    self.add(key, text.as_bytes());
                }
            }
        }
    }

    /// Notes that more Secrets exist than were added.
    pub fn not_all(&mut self) {
        self.summary.not_searched += 1;
    }

    /// Adds the values of another listing, such as one from before Secrets were rotated. The limits apply to all of them.
    pub fn add_all(&mut self, mut other: Self) {
        for literal in other.literals.drain() {
            self.insert(literal);
        }
        let (mine, theirs) = (&mut self.summary, &other.summary);
        // Most Secrets are in both listings, so the sums would count them twice.
        mine.trivial = mine.trivial.max(theirs.trivial);
        mine.public = mine.public.max(theirs.public);
        mine.pieces_not_searched = mine.pieces_not_searched.max(theirs.pieces_not_searched);
        mine.not_searched = mine.not_searched.max(theirs.not_searched);
    }

    /// Adds a value and its parts. `key` is its name in the Secret, which marks public values.
    pub fn add(&mut self, key: &str, value: &[u8]) {
        parts::each(key, value, &mut |found| match found {
            parts::Found::Value(value) => self.add_literal(value),
            parts::Found::Trivial => self.summary.trivial += 1,
            parts::Found::Public => self.summary.public += 1,
        });
    }

    fn add_literal(&mut self, value: &[u8]) {
        if value.len() <= PIECE {
            self.add_piece(value);
            return;
        }
        let pieces: Vec<&[u8]> = value.chunks(PIECE).collect();
        let step = pieces.len().div_ceil(MAX_PIECES).max(1);
        let mut left = pieces.len();
        for piece in pieces.into_iter().step_by(step).filter(|piece| piece.len() >= 32) {
            self.add_piece(piece);
            left -= 1;
        }
        self.summary.pieces_not_searched += left;
    }

    fn add_piece(&mut self, value: &[u8]) {
        self.insert(Literal::new(value));
    }

    fn insert(&mut self, literal: Literal) {
        if self.literals.contains(&literal) {
            return;
        }
        let length = literal.bytes().len();
        if self.literals.len() >= MAX_VALUES || self.bytes + length > MAX_BYTES {
            self.summary.not_searched += 1;
            return;
        }
        self.bytes += length;
        self.literals.insert(literal);
    }

    /// The table for searches, and what it covers.
    pub(crate) fn index(mut self) -> (Index, KnownSummary) {
        let literals: Vec<Literal> = self.literals.drain().collect();
        self.summary.values = literals.len();
        let index = Index::new(literals);
        let lost = index.not_searched();
        self.summary.values -= lost.min(self.summary.values);
        self.summary.not_searched += lost;
        (index, self.summary)
    }
}

#[cfg(test)]
mod tests;
