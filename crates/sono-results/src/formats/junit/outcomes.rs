//! Outcomes in attributes of cases, as written by GoogleTest, CTest, NUnit, Ginkgo and others.

use super::attributes::Attributes;

/// ParsedFile in an attribute, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum AttributeOutcome {
    Passed,
    /// A value that is on none of the lists.
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

/// Parses an outcome, ignoring case and characters that are not alphanumeric. `None` for an empty text and for numbers.
pub(super) fn parse(text: &str) -> Option<AttributeOutcome> {
    let plain: String = text
        .chars()
        .filter(|character| character.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    let is = |list: &[&str]| list.contains(&plain.as_str());
    if plain.chars().all(|character| character.is_ascii_digit()) {
        None
    } else if is(FAILED) {
        Some(AttributeOutcome::Failed)
    } else if is(SKIPPED) {
        Some(AttributeOutcome::Skipped)
    } else if is(PASSED) {
        Some(AttributeOutcome::Passed)
    } else {
        Some(AttributeOutcome::Unknown)
    }
}

/// The worst outcome in the attributes of a case, together with the attribute's text. `None` if no attribute has one.
pub(super) fn of_case(attributes: &Attributes) -> Option<(AttributeOutcome, String)> {
    attributes
        .iter()
        .filter_map(|(name, value)| Some((of_attribute(name, value)?, name, value)))
        .max_by_key(|(outcome, ..)| *outcome)
        .map(|(outcome, name, value)| (outcome, format!("{name}: {value}")))
}

fn is_false(value: &str) -> bool {
    matches!(
        value.trim().to_ascii_lowercase().as_str(),
        "0" | "false" | "no" | "none" | "null" | "nil"
    )
}

fn of_attribute(name: &str, value: &str) -> Option<AttributeOutcome> {
    let value = value.trim();
    let is_false = || is_false(value);
    match name {
        "status" | "result" | "outcome" | "state" | "verdict" => parse(value),
        "failure" | "error" | "failures" | "errors" | "failed" if value.is_empty() => Some(AttributeOutcome::Unknown),
        "failure" | "error" | "failures" | "errors" | "failed" => (!is_false()).then_some(AttributeOutcome::Failed),
        "skipped" | "skip" | "disabled" | "ignored" | "notrun" => {
            (!is_false() && !value.is_empty()).then_some(AttributeOutcome::Skipped)
        }
        "executed" => is_false().then_some(AttributeOutcome::Skipped),
        "success" | "passed" => is_false().then_some(AttributeOutcome::Failed),
        _ => None,
    }
}

/// Number of errors and failures that the attributes of a suite report.
pub(super) fn claims_of_suite(attributes: &Attributes) -> u64 {
    ["errors", "failures", "failed", "error", "failure"]
        .into_iter()
        .fold(0, |sum, name| sum.saturating_add(attributes.number(name)))
}

/// Whether the attributes of a suite report a failure. `success` and `passed` of a suite may be counts.
pub(super) fn suite_failed(attributes: &Attributes) -> bool {
    attributes.iter().any(|(name, value)| match name {
        "status" | "result" | "outcome" | "state" | "verdict" => parse(value) == Some(AttributeOutcome::Failed),
        "failed" | "error" | "failure" => {
            let is_number = value
                .trim()
                .starts_with(|character: char| character.is_ascii_digit() || character == '-');
            !is_number && !is_false(value) && !value.trim().is_empty()
        }
        "success" | "passed" => is_false(value) && value.trim() != "0",
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `docs/results.md` lists the values of each verdict in one row.
    #[test]
    fn documented_values_match_the_code() {
        let page = fs_err::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/results.md")).unwrap();
        for (verdict, list) in [("passed", PASSED), ("skipped", SKIPPED), ("failed", FAILED)] {
            let start = format!("| `status`, `result`, `outcome`, `state`, `verdict` of a case | {verdict} | ");
            let row = page.lines().find_map(|line| line.strip_prefix(&start)).unwrap();
            let named: Vec<&str> = row.split('`').skip(1).step_by(2).collect();
            assert_eq!(named, list, "{verdict}");
        }
    }

    #[test]
    fn no_value_is_on_two_lists() {
        let all: Vec<&&str> = [PASSED, SKIPPED, FAILED].into_iter().flatten().collect();
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
