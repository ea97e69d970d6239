//! A second, independent reader of result files, small and strict, for comparison with the readers of `sono-results`.
//!
//! It shares no code with `sono-results`, only counts items, and rejects malformed files. The corpus in `corpus/` of this
//! crate has files of many producers and their outcomes, written from the rules of `docs/results.md`.

mod go;
mod junit;
mod manual;
mod table;
mod text;

use std::collections::BTreeMap;

pub use table::{Expected, expected};

/// Number of items for each status word.
pub type Counts = BTreeMap<String, u64>;

/// Format of a result file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    Junit,
    Go,
    Manual,
}

impl Form {
    /// The format that usually has this file extension.
    pub fn of_extension(extension: &str) -> Option<Self> {
        match extension {
            "xml" => Some(Self::Junit),
            "json" => Some(Self::Go),
            "yaml" | "yml" => Some(Self::Manual),
            _ => None,
        }
    }
}

/// Verdict and counts of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub verdict: String,
    pub counts: Counts,
}

/// Reads a file. The error says why the file is malformed; such a file must never count as passed.
pub fn read(form: Form, bytes: &[u8]) -> Result<Outcome, String> {
    let text = text::decode(bytes, form == Form::Junit)?;
    let counts = match form {
        Form::Junit => junit::counts(&text)?,
        Form::Go => go::counts(&text),
        Form::Manual => manual::counts(&text)?,
    };
    let verdict = verdict(&counts);
    Ok(Outcome { verdict, counts })
}

fn verdict(counts: &Counts) -> String {
    let has = |word: &str| counts.get(word).is_some_and(|count| *count > 0);
    if has("failed") || has("timeout") {
        "failed".to_owned()
    } else if counts.is_empty() || has("unknown") {
        "unknown".to_owned()
    } else if counts.keys().all(|word| matches!(word.as_str(), "passed" | "skipped")) {
        "passed".to_owned()
    } else {
        let words: Vec<String> = counts.iter().map(|(word, count)| format!("{word}: {count}")).collect();
        words.join(", ")
    }
}

fn add(counts: &mut Counts, word: &str) {
    *counts.entry(word.to_owned()).or_default() += 1;
}
