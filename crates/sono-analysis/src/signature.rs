//! Normalized messages: equal for failures that differ only in names, numbers, times and addresses.

use sha2::{Digest as _, Sha256};

use crate::{
    limits,
    lines::{content, head},
};

/// The first line of a failure message, without its variable parts. Empty for a message without text.
pub(crate) fn signature(message: &str) -> String {
    let lines = message.lines().map(|line| content(line).trim());
    let line = lines
        .map(|line| line.trim_start_matches("[FAILED]").trim())
        .find(|line| !line.is_empty() && !line.starts_with('/'))
        .unwrap_or_default();
    let line = undated(head(line, limits::QUOTE_BYTES));
    let mut shown = String::with_capacity(line.len());
    for word in line.split_inclusive(|letter: char| letter.is_whitespace() || "\"'`()[]{}<>,;=".contains(letter)) {
        let end = word
            .char_indices()
            .next_back()
            .filter(|(_, last)| last.is_whitespace() || !last.is_alphanumeric())
            .map_or(word.len(), |(at, _)| at);
        let (text, separator) = word.split_at(end);
        shown.push_str(&normal_word(text));
        shown.push_str(separator);
    }
    shown
}

/// First 8 hexadecimal digits of a SHA-256 of the normalized message.
pub fn signature_hash(message: &str) -> String {
    let mut digits = hex::encode(Sha256::digest(signature(message)));
    digits.truncate(8);
    digits
}

/// The line without the time of older suites: `Aug 17 17:08:48.006: We need …`.
fn undated(line: &str) -> &str {
    let is_dated = line.as_bytes().get(9) == Some(&b':') && line.as_bytes().get(12) == Some(&b':');
    match line.split_once(": ") {
        Some((time, rest)) if is_dated && time.len() < 24 => rest,
        _ => line,
    }
}

/// Letters and digits of generated names: `SafeEncodeString` of k8s.io/apimachinery.
const GENERATED: &str = "bcdfghjklmnpqrstvwxz2456789";

/// The name before the suffixes that Kubernetes generates: five letters of a pod, and the hash of its `ReplicaSet`.
fn without_suffix(word: &str) -> Option<&str> {
    let is_generated = |part: &str| part.chars().all(|letter| GENERATED.contains(letter));
    let (stem, suffix) = word.rsplit_once('-')?;
    if stem.is_empty() || suffix.len() != 5 || !is_generated(suffix) {
        return None;
    }
    Some(match stem.rsplit_once('-') {
        Some((name, hash)) if !name.is_empty() && (8..=10).contains(&hash.len()) && is_generated(hash) => name,
        _ => stem,
    })
}

/// A word with a number, or with a random suffix, as `…`.
fn normal_word(word: &str) -> String {
    if let Some(stem) = without_suffix(word) {
        return format!("{stem}-…");
    }
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let letters = word.bytes().filter(u8::is_ascii_alphabetic).count();
    if digits == 0 {
        return word.to_owned();
    }
    if letters == 0 {
        // Numbers, durations and addresses.
        return "…".to_owned();
    }
    // `dns-test-0a1b`, `10m0s`, `10.0.0.1:80`, but `data-1` and `v1` keep their letters.
    let mut shown = String::with_capacity(word.len());
    let mut in_number = false;
    let mut letters = word.chars().peekable();
    while let Some(letter) = letters.next() {
        let is_within = in_number && matches!(letter, '.' | ':') && letters.peek().is_some_and(char::is_ascii_digit);
        if letter.is_ascii_digit() {
            if !in_number {
                shown.push('…');
            }
            in_number = true;
        } else if !is_within {
            in_number = false;
            shown.push(letter);
        }
    }
    if digits >= 4 && word.contains('-') {
        // The rest of a UUID or of a generated name differs too.
        let start = word.find(|letter: char| letter.is_ascii_digit()).unwrap_or_default();
        let stem = word.get(..start).unwrap_or_default();
        let stem = stem.rfind('-').map_or("", |at| stem.get(..=at).unwrap_or_default());
        return format!("{stem}…");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_parts_are_removed() {
        for (message, expected) in [
            ("", ""),
            ("\n[FAILED] Timed out after 300.001s.\nmore", "Timed out after …s."),
            (
                "[FAILED] wait for pod \"a-605298f9-06a8-4b2b-99bd-26f1d38ca680\" to succeed",
                "wait for pod \"a-…\" to succeed",
            ),
            (
                "/workspace/framework.go:630\nAug 17 17:10:15.362: needs at least 2 nodes.",
                "needs at least … nodes.",
            ),
            (
                "service is not reachable within 2m0s timeout on endpoint 10.96.67.15:80 over TCP",
                "service is not reachable within …m…s timeout on endpoint … over TCP",
            ),
            (
                "expected \"data-1=value-1\" in output",
                "expected \"data-…=value-…\" in output",
            ),
            (
                "pod web-7d9c5f8b6-xkwzt of set-7f9c4 is late",
                "pod web-… of set-… is late",
            ),
            ("pods are not-ready on test-node", "pods are not-ready on test-node"),
        ] {
            assert_eq!(signature(message), expected, "{message}");
        }
    }
}
