//! Results and log of the suite in strict mode.

use std::collections::BTreeSet;

use crate::{
    judgement::{Findings, Verdict},
    junit::Junit,
    log::LogFacts,
    minor::Minor,
    rules,
    submission::{JUNIT, LOG},
};

const WHOLE_SUITE: &str = "run the whole suite: sono run --mode certified-conformance";
const AS_WRITTEN: &str = "submit the file as the suite wrote it";

/// Checks junit_01.xml and returns the names of the required tests that did not pass.
pub(super) fn check(contents: Option<&[u8]>, names: Option<&BTreeSet<String>>, findings: &mut Findings) -> Vec<String> {
    let junit = match contents.map(Junit::read) {
        None => {
            findings.fail(rules::REQUIRED_TESTS, JUNIT, "the file is missing", AS_WRITTEN);
            return Vec::new();
        }
        Some(Err(error)) => {
            findings.fail(
                rules::REQUIRED_TESTS,
                JUNIT,
                format!("cannot read the file: {error}"),
                AS_WRITTEN,
            );
            return Vec::new();
        }
        Some(Ok(junit)) => junit,
    };
    form(&junit, findings);
    let failed = junit.cases.iter().filter(|case| case.failed || case.error).count();
    if failed == 0 {
        findings.add(rules::TESTS_PASSED, Verdict::Passed, JUNIT, "no test failed");
    } else {
        let hint = "show the failures with: sono results ARCHIVE";
        findings.fail(rules::TESTS_PASSED, JUNIT, format!("{failed} tests failed"), hint);
    }
    let Some(names) = names else {
        let message = "the list of required tests of this version is unknown";
        findings.fail(
            rules::REQUIRED_TESTS,
            JUNIT,
            message,
            "pass the list of the version with --required FILE",
        );
        return Vec::new();
    };
    let (mut passed, mut not_passed) = (BTreeSet::new(), BTreeSet::new());
    for (name, case) in junit.conformance_tests() {
        if case.failed || case.error {
            not_passed.insert(name);
        } else {
            passed.insert(name);
        }
    }
    let is_missing = |name: &&String| !passed.contains(*name) || not_passed.contains(*name);
    let missing: Vec<String> = names.iter().filter(is_missing).cloned().collect();
    let total = names.len();
    if missing.is_empty() {
        findings.add(
            rules::REQUIRED_TESTS,
            Verdict::Passed,
            JUNIT,
            format!("all {total} required tests passed"),
        );
    } else {
        let message = format!("{} of {total} required tests are missing or failed", missing.len());
        findings.fail(rules::REQUIRED_TESTS, JUNIT, message, WHOLE_SUITE);
    }
    missing
}

fn form(junit: &Junit, findings: &mut Findings) {
    if junit.trailing {
        let message = "text follows the root element: the bot ignores it";
        findings.fail(rules::JUNIT, JUNIT, message, AS_WRITTEN);
    }
    if junit.unread > 0 {
        let message = format!(
            "{} test cases are in nested elements, which the bot does not read",
            junit.unread
        );
        findings.fail(rules::JUNIT, JUNIT, message, AS_WRITTEN);
    }
    if junit.suites != 1 {
        let message = format!("the file has {} suites instead of one", junit.suites);
        findings.notice(
            rules::JUNIT,
            JUNIT,
            message,
            "explain in the README how the results were produced",
        );
    }
    let escaped = junit.twice_escaped();
    if escaped > 0 {
        let message = format!("{escaped} names have characters that were escaped twice");
        findings.notice(rules::JUNIT, JUNIT, message, AS_WRITTEN);
    }
    let ran = junit.conformance_tests().count();
    let distinct: BTreeSet<String> = junit.conformance_tests().map(|(name, _)| name).collect();
    if distinct.len() < ran {
        let message = format!("{} tests ran more than once", ran - distinct.len());
        findings.fail(
            rules::JUNIT,
            JUNIT,
            message,
            "submit the results of one run without retries",
        );
    }
    findings.pass_unless_found(rules::JUNIT, JUNIT, "the file has the form that the suite writes");
}

pub(super) fn check_log(
    log: Option<&LogFacts>,
    junit: Option<&[u8]>,
    names: Option<&BTreeSet<String>>,
    minor: Option<Minor>,
    findings: &mut Findings,
) {
    let Some(log) = log else {
        findings.fail(rules::LOG_SUMMARY, LOG, "the file is missing", AS_WRITTEN);
        return;
    };
    match log.summary {
        None => {
            let message = "the log has no summary line `SUCCESS! -- … Passed`: it was cut";
            findings.fail(rules::LOG_SUMMARY, LOG, message, AS_WRITTEN);
        }
        Some(summary) => {
            if !summary.success || summary.failed > 0 {
                let message = format!("the suite reports failure: {} failed", summary.failed);
                findings.fail(
                    rules::LOG_SUMMARY,
                    LOG,
                    message,
                    "show the failures with: sono results ARCHIVE",
                );
            }
            if summary.flaked > 0 {
                let message = format!("{} tests passed only when repeated", summary.flaked);
                findings.fail(
                    rules::LOG_SUMMARY,
                    LOG,
                    message,
                    "run the suite without retries of tests",
                );
            }
            let required = names.map_or(0, BTreeSet::len);
            if summary.success && summary.passed < required as u64 {
                let message = format!(
                    "{} tests passed in the log, of {required} that are required",
                    summary.passed
                );
                findings.fail(rules::LOG_SUMMARY, LOG, message, WHOLE_SUITE);
            }
            let passed = junit.and_then(|bytes| Junit::read(bytes).ok()).map_or(0, |junit| {
                junit
                    .conformance_tests()
                    .filter(|(_, case)| !case.failed && !case.error)
                    .count()
            });
            if summary.passed < passed as u64 {
                let message = format!(
                    "{} tests passed in the log, {passed} in {JUNIT}: the files are of two runs",
                    summary.passed
                );
                findings.fail(
                    rules::LOG_SUMMARY,
                    LOG,
                    message,
                    "submit log and results of the same run",
                );
            }
            findings.pass_unless_found(rules::LOG_SUMMARY, LOG, format!("{} tests passed", summary.passed));
        }
    }
    if log.apiserver.is_empty() {
        let message = "the log does not have the version of the API server; the suite writes it only with -v";
        let hint = "if a reviewer asks for it, run with: --plugin-env e2e.E2E_EXTRA_GINKGO_ARGS=-v";
        findings.notice(rules::LOG_VERSION, LOG, message, hint);
    }
    for version in &log.apiserver {
        if minor.is_some() && version.parse().ok() != minor {
            let message = format!("the API server has version {version}, the folder another one");
            findings.fail(
                rules::LOG_VERSION,
                LOG,
                message,
                "submit the results to the folder of their version",
            );
        }
    }
    findings.pass_unless_found(rules::LOG_VERSION, LOG, "the API server has the version of the folder");
}
