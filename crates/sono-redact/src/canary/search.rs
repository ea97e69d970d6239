//! The search for canaries in the files of an archive.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
};

use aho_corasick::AhoCorasick;
use sono_types::canary::{Canary, Place, Seed, marker};

use super::encodings::{Encoding, encodings};
use crate::packed::{self, Contents, Limits};

/// Limits of opening one file: deeper than the redaction opens.
const LIMITS: Limits = Limits {
    depth: 6,
    bytes: 4 << 30,
    members: 1_000_000,
};
/// Most places of a report; all are counted.
const MAX_PLACES: usize = 1_000;

/// A searched text.
#[derive(Debug, Clone, Copy)]
enum Pattern {
    Canary(usize, Encoding),
    Marker(Place),
}

/// A canary in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Path of the file in the archive, with `!` before names in nested archives.
    pub path: String,
    /// Where the canary was planted.
    pub place: Place,
    /// Whether it is also in a Secret.
    pub in_secret: bool,
    /// Its encoding in the file.
    pub encoding: Encoding,
}

/// Counts of one canary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanaryRow {
    /// Where it was planted.
    pub place: Place,
    /// Whether it is also in a Secret.
    pub in_secret: bool,
    /// Whether the place is part of the archive.
    pub collected: bool,
    /// How often it was found, by encoding; only those that were.
    pub counts: BTreeMap<Encoding, u64>,
}

/// Result of a search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CanaryReport {
    /// One row per planted canary.
    pub rows: Vec<CanaryRow>,
    /// Where canaries were found, with their number; at most 1,000.
    pub found: BTreeMap<Found, u64>,
    /// Files that could not be searched completely, with the reason.
    pub opaque: BTreeSet<(String, &'static str)>,
}

impl CanaryReport {
    /// Planted canaries, and those of them that were found. With `in_secret`, only those that are in a Secret, else the others.
    pub fn counts(&self, in_secret: bool) -> (usize, usize) {
        let rows = self.rows.iter().filter(|row| row.in_secret == in_secret);
        (rows.clone().count(), rows.filter(|row| !row.counts.is_empty()).count())
    }
}

/// Searches the files of an archive for canaries.
#[derive(Debug)]
pub struct CanarySearch {
    canaries: Vec<Canary>,
    automaton: AhoCorasick,
    patterns: Vec<Pattern>,
    longest: usize,
    counts: BTreeMap<(usize, Encoding), u64>,
    collected: BTreeSet<Place>,
    found: BTreeMap<Found, u64>,
    opaque: BTreeSet<(String, &'static str)>,
}

impl CanarySearch {
    /// A search for the planted canaries of a run.
    pub fn new(seed: Seed, canaries: Vec<Canary>) -> Self {
        let mut patterns = Vec::new();
        let mut texts: Vec<String> = Vec::new();
        for (index, canary) in canaries.iter().enumerate() {
            for (encoding, text) in encodings(&canary.value) {
                patterns.push(Pattern::Canary(index, encoding));
                texts.push(text);
            }
        }
        for place in Place::ALL {
            patterns.push(Pattern::Marker(place));
            texts.push(marker(seed, place));
        }
        let automaton = AhoCorasick::new(&texts).expect("some hundred short patterns");
        Self {
            canaries,
            automaton,
            patterns,
            longest: texts.iter().map(String::len).max().unwrap_or_default(),
            counts: BTreeMap::new(),
            collected: BTreeSet::new(),
            found: BTreeMap::new(),
            opaque: BTreeSet::new(),
        }
    }

    /// Searches a file, and all files in it if it is an archive.
    ///
    /// # Errors
    ///
    /// Those of reading `content`.
    pub fn file(&mut self, path: &str, content: &mut dyn Read) -> io::Result<()> {
        let mut contents = FileSearch {
            search: self,
            path: String::new(),
            plain: Vec::new(),
            joined: Vec::new(),
            counts: BTreeMap::new(),
        };
        packed::open(path, content, &LIMITS, &mut contents)
    }

    /// The result.
    pub fn report(self) -> CanaryReport {
        let counts = &self.counts;
        let row = |(index, canary): (usize, &Canary)| CanaryRow {
            place: canary.place,
            in_secret: canary.in_secret,
            collected: self.collected.contains(&canary.place),
            counts: Encoding::ALL
                .into_iter()
                .filter_map(|encoding| Some((encoding, *counts.get(&(index, encoding))?)))
                .collect(),
        };
        CanaryReport {
            rows: self.canaries.iter().enumerate().map(row).collect(),
            found: self.found,
            opaque: self.opaque,
        }
    }

    fn add(&mut self, path: &str, canary: usize, encoding: Encoding, count: u64) {
        *self.counts.entry((canary, encoding)).or_default() += count;
        let Some(Canary { place, in_secret, .. }) = self.canaries.get(canary) else {
            return;
        };
        let found = Found {
            path: path.to_owned(),
            place: *place,
            in_secret: *in_secret,
            encoding,
        };
        if self.found.len() < MAX_PLACES || self.found.contains_key(&found) {
            *self.found.entry(found).or_default() += count;
        }
    }
}

/// The search in one content.
struct FileSearch<'s> {
    search: &'s mut CanarySearch,
    path: String,
    /// The last bytes, in which a canary may begin.
    plain: Vec<u8>,
    /// The same without blanks and line ends.
    joined: Vec<u8>,
    /// Counts with and without blanks.
    counts: BTreeMap<(usize, Encoding), (u64, u64)>,
}

impl FileSearch<'_> {
    /// Searches the bytes after the first `known` ones, which were searched before.
    fn matches(search: &CanarySearch, bytes: &[u8], known: usize, each: &mut dyn FnMut(Pattern)) {
        for found in search.automaton.find_overlapping_iter(bytes) {
            if found.end() > known
                && let Some(pattern) = search.patterns.get(found.pattern().as_usize())
            {
                each(*pattern);
            }
        }
    }
}

impl Contents for FileSearch<'_> {
    fn start(&mut self, path: &str) {
        path.clone_into(&mut self.path);
        self.plain.clear();
        self.joined.clear();
        self.counts.clear();
    }

    fn bytes(&mut self, piece: &[u8]) {
        let Self {
            search,
            plain,
            joined,
            counts,
            ..
        } = self;
        let (in_plain, in_joined) = (plain.len(), joined.len());
        plain.extend_from_slice(piece);
        let is_visible = |byte: &u8| !byte.is_ascii_whitespace() && *byte != 0;
        joined.extend(piece.iter().copied().filter(is_visible));
        let mut collected = BTreeSet::new();
        Self::matches(search, plain, in_plain, &mut |pattern| match pattern {
            Pattern::Canary(index, encoding) => counts.entry((index, encoding)).or_default().0 += 1,
            Pattern::Marker(place) => {
                collected.insert(place);
            }
        });
        Self::matches(search, joined, in_joined, &mut |pattern| {
            if let Pattern::Canary(index, encoding) = pattern {
                counts.entry((index, encoding)).or_default().1 += 1;
            }
        });
        search.collected.extend(collected);
        for bytes in [plain, joined] {
            let start = bytes.len().saturating_sub(search.longest - 1);
            bytes.drain(..start);
        }
    }

    fn end(&mut self) {
        for ((index, encoding), (plain, joined)) in std::mem::take(&mut self.counts) {
            if plain > 0 {
                self.search.add(&self.path, index, encoding, plain);
            }
            if joined > plain {
                self.search.add(&self.path, index, Encoding::Folded, joined - plain);
            }
        }
    }

    fn opaque(&mut self, path: &str, format: &'static str) {
        if self.search.opaque.len() < MAX_PLACES {
            self.search.opaque.insert((path.to_owned(), format));
        }
    }
}

#[cfg(test)]
mod tests;
