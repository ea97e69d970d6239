//! The bot's scenarios about the results of the suite.

use std::collections::BTreeSet;

use super::Judge;
use crate::{
    judgement::Verdict,
    junit::{Junit, TestCase},
    rules,
    submission::JUNIT,
};

impl Judge<'_> {
    pub(super) fn tests(&mut self, names: &BTreeSet<String>) {
        let junit = match self.submission.contents(JUNIT) {
            None => Err("the file is missing".to_owned()),
            Some(contents) => Junit::read(contents).map_err(|error| format!("cannot read the file: {error}")),
        };
        let junit = match junit {
            Ok(junit) => junit,
            Err(reason) => {
                for rule in [rules::REQUIRED_TESTS, rules::TESTS_PASSED] {
                    self.findings.fail(
                        rule,
                        JUNIT,
                        reason.as_str(),
                        "submit junit_01.xml as the suite wrote it",
                    );
                }
                return;
            }
        };
        let without = |excluded: &dyn Fn(&TestCase) -> bool| {
            let passed: BTreeSet<String> = junit
                .conformance_tests()
                .filter(|(_, case)| !excluded(case))
                .map(|(name, _)| name)
                .collect();
            names.difference(&passed).cloned().collect::<Vec<String>>()
        };
        // The bot counts a test with an error, but without failure, as present.
        self.missing = without(&|case| case.failed);
        let total = names.len();
        if self.missing.is_empty() {
            self.labels.push(format!("tests-verified-{}", self.version));
            self.findings.add(
                rules::REQUIRED_TESTS,
                Verdict::Passed,
                JUNIT,
                format!("all {total} required tests passed"),
            );
        } else {
            self.labels.push("required-tests-missing".to_owned());
            let message = format!("{} of {total} required tests are missing or failed", self.missing.len());
            self.findings.fail(
                rules::REQUIRED_TESTS,
                JUNIT,
                message,
                "run the whole suite: sono run --mode certified-conformance",
            );
        }
        let failed = junit
            .conformance_tests()
            .filter(|(_, case)| case.failed || case.error)
            .count();
        if failed > 0 {
            self.labels.push("evidence-missing".to_owned());
            let message = format!("{failed} conformance tests failed");
            self.findings.fail(
                rules::TESTS_PASSED,
                JUNIT,
                message,
                "show the failures with: sono results ARCHIVE",
            );
            return;
        }
        self.labels.push(format!("no-failed-tests-{}", self.version));
        let missing = without(&|case| case.failed || case.error);
        if missing.is_empty() {
            self.findings.add(
                rules::TESTS_PASSED,
                Verdict::Passed,
                JUNIT,
                "no conformance test failed",
            );
        } else {
            let message = format!("{} required tests are missing", missing.len());
            self.findings.fail(
                rules::TESTS_PASSED,
                JUNIT,
                message,
                "run the whole suite: sono run --mode certified-conformance",
            );
        }
    }
}
