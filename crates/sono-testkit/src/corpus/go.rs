use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Counts, add};

const ACTIONS: &[&str] = &[
    "start",
    "run",
    "pause",
    "cont",
    "bench",
    "output",
    "pass",
    "fail",
    "skip",
    "attr",
    "artifacts",
    "build-output",
    "build-fail",
];

#[derive(Default)]
struct Package {
    ended: bool,
    passed: bool,
    failed_test: bool,
    /// Tests that started and have not ended.
    running: BTreeSet<String>,
    measured: BTreeSet<String>,
}

pub(super) fn counts(text: &str) -> Counts {
    let mut counts = Counts::new();
    let mut packages: BTreeMap<String, Package> = BTreeMap::new();
    let (mut build_failed, mut package_failed) = (false, false);
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("FAIL\t").and_then(|rest| rest.split(' ').next()) {
            let package = packages.entry(name.to_owned()).or_default();
            if !package.ended && !package.failed_test {
                add(&mut counts, "failed");
            }
            package.ended = true;
            continue;
        }
        let line = match line.find("{\"") {
            Some(at) if line.contains("\"Action\"") => &line[at..],
            _ => line,
        };
        let Ok(Value::Object(event)) = serde_json::from_str(line) else {
            if line.starts_with('{') && line.contains("\"Action\"") {
                add(&mut counts, "unknown");
            }
            continue;
        };
        let field = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
        let action = field("Action");
        if !ACTIONS.contains(&action) {
            continue;
        }
        if action.starts_with("build-") {
            build_failed |= action == "build-fail";
            continue;
        }
        let package = packages.entry(field("Package").to_owned()).or_default();
        let test = field("Test");
        let word = match action {
            "pass" => "passed",
            "fail" => "failed",
            "skip" => "skipped",
            _ => {
                package.ended = false;
                if action == "start" {
                    package.failed_test = false;
                }
                if !test.is_empty() && action != "output" {
                    package.running.insert(test.to_owned());
                }
                if field("Output").contains("ns/op") {
                    package.measured.insert(test.to_owned());
                }
                continue;
            }
        };
        if test.is_empty() {
            package.ended = true;
            package.passed = action == "pass";
            package_failed |= action == "fail";
            if action == "fail" && !package.failed_test {
                add(&mut counts, word);
            }
        } else {
            package.running.remove(test);
            package.failed_test |= action == "fail";
            add(&mut counts, word);
        }
    }
    if build_failed && !package_failed {
        add(&mut counts, "failed");
    }
    for package in packages.values() {
        for test in &package.running {
            if package.measured.contains(test) {
                add(&mut counts, "passed");
            } else if !package.passed {
                add(&mut counts, "unknown");
            }
        }
        if !package.ended {
            add(&mut counts, "unknown");
        }
    }
    counts
}
