//! Outcomes in words: attributes of a case, as GoogleTest, CTest, NUnit, Ginkgo and others write them.

use super::attributes::Attributes;

/// What an attribute says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Word {
    Passed,
    /// Not on any list.
    Unknown,
    Skipped,
    Failed,
}

const PASSED: &[&str] = &[
    "passed",
    "pass",
    "success",
    "successful",
    "succeeded",
    "ok",
    "okay",
    "run",
    "ran",
    "completed",
    "complete",
    "executed",
    "finished",
    "done",
    "fixed",
    "flaky",
    "good",
    "green",
    "valid",
    "true",
    "yes",
];
const SKIPPED: &[&str] = &[
    "skipped",
    "skip",
    "notrun",
    "norun",
    "suppressed",
    "disabled",
    "ignored",
    "ignore",
    "pending",
    "untested",
    "notexecuted",
    "unexecuted",
    "notrunnable",
    "notstarted",
    "notselected",
    "excluded",
    "filtered",
    "filteredout",
    "deselected",
    "todo",
    "omitted",
    "notapplicable",
    "na",
    "xfail",
    "xfailed",
    "expectedfailure",
    "inactive",
];
const FAILED: &[&str] = &[
    "failed",
    "fail",
    "failure",
    "failures",
    "error",
    "errored",
    "errors",
    "err",
    "broken",
    "crashed",
    "crash",
    "timedout",
    "timeout",
    "panicked",
    "panic",
    "aborted",
    "abort",
    "interrupted",
    "killed",
    "regression",
    "notok",
    "nok",
    "ko",
    "ng",
    "unsuccessful",
    "notpassed",
    "fatal",
    "critical",
    "undefined",
    "ambiguous",
    "invalid",
    "bad",
    "red",
    "false",
    "no",
    "xpass",
    "xpassed",
    "unexpectedsuccess",
    "unexpectedpass",
    "unexpected",
];

/// The word's meaning; case, blanks, hyphens and underscores do not count. None for nothing and for numbers.
pub(super) fn word(text: &str) -> Option<Word> {
    let plain: String = text
        .chars()
        .filter(|character| character.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    let is = |list: &[&str]| list.contains(&plain.as_str());
    if plain.chars().all(|character| character.is_ascii_digit()) {
        None
    } else if is(FAILED) {
        Some(Word::Failed)
    } else if is(SKIPPED) {
        Some(Word::Skipped)
    } else if is(PASSED) {
        Some(Word::Passed)
    } else {
        Some(Word::Unknown)
    }
}

/// Outcome of a case in its attributes: the worst of them and the attribute that says so; nothing where none does.
pub(super) fn of_case(attributes: &Attributes) -> Option<(Word, String)> {
    attributes
        .iter()
        .filter_map(|(name, value)| Some((of_attribute(name, value)?, name, value)))
        .max_by_key(|(word, ..)| *word)
        .map(|(word, name, value)| (word, format!("{name}: {value}")))
}

fn of_attribute(name: &str, value: &str) -> Option<Word> {
    let value = value.trim();
    let denied = || {
        matches!(
            value.to_ascii_lowercase().as_str(),
            "0" | "false" | "no" | "none" | "null" | "nil"
        )
    };
    match name {
        "status" | "result" | "outcome" | "state" | "verdict" => word(value),
        "failure" | "error" | "failures" | "errors" | "failed" if value.is_empty() => Some(Word::Unknown),
        "failure" | "error" | "failures" | "errors" | "failed" => (!denied()).then_some(Word::Failed),
        "skipped" | "skip" | "disabled" | "ignored" | "notrun" => {
            (!denied() && !value.is_empty()).then_some(Word::Skipped)
        }
        "executed" => denied().then_some(Word::Skipped),
        "success" | "passed" => denied().then_some(Word::Failed),
        _ => None,
    }
}

/// Whether a suite says itself that it failed.
pub(super) fn suite_failed(attributes: &Attributes) -> bool {
    ["status", "result", "outcome"]
        .into_iter()
        .any(|name| attributes.get(name).and_then(word) == Some(Word::Failed))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `docs/results.md` has each word in the row of its verdict.
    #[test]
    fn page_names_every_word_in_the_row_of_its_verdict() {
        let page = fs_err::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/results.md")).unwrap();
        for (verdict, list) in [("passed", PASSED), ("skipped", SKIPPED), ("failed", FAILED)] {
            let start = format!("| `status`, `result`, `outcome`, `state`, `verdict` of a case | {verdict} | ");
            let row = page.lines().find_map(|line| line.strip_prefix(&start)).unwrap();
            let named: Vec<&str> = row.split('`').skip(1).step_by(2).collect();
            assert_eq!(named, list, "{verdict}");
        }
    }

    #[test]
    fn no_word_has_two_meanings() {
        let all: Vec<&&str> = [PASSED, SKIPPED, FAILED].into_iter().flatten().collect();
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
