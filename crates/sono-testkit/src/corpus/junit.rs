use roxmltree::{Document, Node, ParsingOptions};

use super::{Counts, add};

/// Elements with text of the tests, never with outcomes.
const TEXT: &[&str] = &["properties", "property", "system-out", "system-err"];
/// Elements of earlier attempts of a rerun test; only the last outcome counts.
const ATTEMPTS: &[&str] = &["flakyFailure", "flakyError", "rerunFailure", "rerunError"];
const FAILED: &[&str] = &[
    "failed",
    "fail",
    "failure",
    "error",
    "timedout",
    "panicked",
    "aborted",
    "interrupted",
    "broken",
];
const SKIPPED: &[&str] = &[
    "skipped",
    "skip",
    "notrun",
    "suppressed",
    "disabled",
    "ignored",
    "pending",
    "untested",
    "notrunnable",
    "notexecuted",
];
const PASSED: &[&str] = &["passed", "pass", "success", "ok", "run", "completed"];

pub(super) fn counts(text: &str) -> Result<Counts, String> {
    let options = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(text, options).map_err(|error| error.to_string())?;
    let root = document.root_element();
    let mut counts = Counts::new();
    container(root, &mut counts);
    if counts.is_empty() {
        return Ok(counts);
    }
    let suites = root.descendants().filter(|node| name(node) == "testsuite");
    for _ in suites.filter(|suite| {
        suite.descendants().all(|node| !outcome(&node)) && claimed(suite, &["errors", "failures", "tests"]) == 0
    }) {
        add(&mut counts, "skipped");
    }
    Ok(counts)
}

fn name<'a>(node: &Node<'a, '_>) -> &'a str {
    node.tag_name().name()
}

/// Whether the node is a test case, a failure, or a suite with an inner suite, so that its suite is not empty.
fn outcome(node: &Node<'_, '_>) -> bool {
    ["testcase", "error", "failure"].contains(&name(node))
        || (name(node) == "testsuite" && node.descendants().skip(1).any(|inner| name(&inner) == "testsuite"))
}

/// Counts all items below the node; returns the number of failures.
fn container(node: Node<'_, '_>, counts: &mut Counts) -> u64 {
    if name(&node) == "testcase" {
        let word = case(&node);
        add(counts, word);
        return u64::from(word == "failed");
    }
    let elements = || node.children().filter(Node::is_element);
    let mut failed = 0;
    if elements().any(|child| ["error", "failure"].contains(&name(&child))) {
        add(counts, "failed");
        failed += 1;
    }
    let unknown_before = counts.get("unknown").copied();
    for child in elements().filter(|child| !TEXT.contains(&name(child))) {
        failed += container(child, counts);
    }
    let cases = node.descendants().any(|inner| name(&inner) == "testcase");
    let claims = claimed(&node, &["errors", "failures"]) > 0 || (!cases && claimed(&node, &["tests"]) > 0);
    if name(&node).starts_with("testsuite") && claims && failed == 0 && counts.get("unknown").copied() == unknown_before
    {
        add(counts, "unknown");
    }
    failed
}

fn claimed(node: &Node<'_, '_>, attributes: &[&str]) -> u64 {
    attributes
        .iter()
        .filter_map(|attribute| node.attribute(*attribute)?.trim().parse::<u64>().ok())
        .sum()
}

fn case(node: &Node<'_, '_>) -> &'static str {
    let below: Vec<&str> = node
        .descendants()
        .skip(1)
        .filter(Node::is_element)
        .filter(|inner| {
            !inner
                .ancestors()
                .any(|above| ATTEMPTS.contains(&name(&above)) || TEXT.contains(&name(&above)))
        })
        .map(|inner| name(&inner))
        .collect();
    let has = |names: &[&str]| below.iter().any(|inner| names.contains(inner));
    if has(&["error", "failure"]) || node.attribute("failure").is_some() || node.attribute("error").is_some() {
        return "failed";
    }
    if has(&["skipped", "ignored", "disabled"]) {
        return "skipped";
    }
    let words: Vec<String> = ["status", "result"]
        .iter()
        .filter_map(|attribute| node.attribute(*attribute))
        .map(|word| word.trim().to_lowercase())
        .filter(|word| !word.is_empty())
        .collect();
    let is = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    let attribute_is = |attribute, word: &str| {
        node.attribute(attribute)
            .is_some_and(|value: &str| value.eq_ignore_ascii_case(word))
    };
    if is(FAILED) || attribute_is("success", "false") {
        "failed"
    } else if is(SKIPPED) || attribute_is("executed", "false") {
        "skipped"
    } else if words.iter().all(|word| PASSED.contains(&word.as_str())) {
        "passed"
    } else {
        "unknown"
    }
}
