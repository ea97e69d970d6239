//! junit_01.xml, e2e.log and README.

use super::Case;
use crate::submissions::{Change as _, cases, junit, log, passed, test_case};

const FILE: &str = "junit_01.xml";
const FAILURE: &str = "<failure message=\"x\" type=\"failed\">x</failure>";

pub(super) const CASES: &[Case] = &[
    Case(
        13,
        "one test missing",
        |s| {
            s.write(
                FILE,
                junit(&cases(
                    37,
                    |index, name| if index == 7 { String::new() } else { passed(name) },
                )),
            );
        },
        "failure required-tests tests-passed",
        "failure required-tests tests-passed",
    ),
    Case(
        13,
        "one test skipped",
        |s| {
            let skipped = |index, name: &str| {
                if index == 7 {
                    test_case(name, "<skipped/>")
                } else {
                    passed(name)
                }
            };
            s.write(FILE, junit(&cases(37, skipped)));
        },
        "failure required-tests tests-passed",
        "failure required-tests tests-passed",
    ),
    Case(
        13,
        "names without prefix",
        |s| s.write(FILE, junit(&cases(37, |_, name| test_case(name, "")))),
        "success",
        "success",
    ),
    Case(
        13,
        "names with two prefixes",
        |s| {
            s.write(
                FILE,
                junit(&cases(37, |_, name| test_case(&format!("[It] [It] {name}"), ""))),
            );
        },
        "failure required-tests tests-passed",
        "failure required-tests tests-passed",
    ),
    Case(
        13,
        "entities escaped twice",
        |s| {
            let escaped =
                |_, name: &str| passed(&name.replace('>', "&gt;").replace('\'', "&#39;").replace('"', "&#34;"));
            s.write(FILE, junit(&cases(37, escaped)));
        },
        "success",
        "success",
    ),
    Case(
        13,
        "command in single quotes",
        |s| {
            let quoted = |_, name: &str| passed(&name.replace("\"cat /tmp/health\"", "'cat /tmp/health'"));
            s.write(FILE, junit(&cases(37, quoted)));
        },
        "success",
        "success",
    ),
    Case(
        13,
        "tags in the order of the version before",
        |s| {
            let swapped = |_, name: &str| {
                passed(&name.replace("[Conformance] [NodeConformance]", "[NodeConformance] [Conformance]"))
            };
            s.write(FILE, junit(&cases(37, swapped)));
        },
        "failure required-tests tests-passed",
        "failure required-tests tests-passed",
    ),
    Case(
        13,
        "suite as root",
        |s| {
            s.replace(FILE, "<testsuites tests=\"7\" failures=\"0\" time=\"1.5\">\n", "");
            s.replace(FILE, "</testsuites>\n", "");
        },
        "failure required-tests tests-passed",
        "failure required-tests tests-passed",
    ),
    Case(
        13,
        "suites within a suite",
        |s| {
            s.replace(FILE, "<testsuite name", "<testsuite><testsuite name");
            s.replace(FILE, "</testsuite>", "</testsuite></testsuite>");
        },
        "failure required-tests tests-passed",
        "failure junit required-tests tests-passed",
    ),
    Case(
        13,
        "results cut in the middle",
        |s| {
            let text = s.contents(FILE).unwrap();
            let half = text[..text.len() / 2].to_vec();
            s.write(FILE, half);
        },
        "failure required-tests tests-passed",
        "failure required-tests tests-passed",
    ),
    Case(
        13,
        "encoding that Go does not read",
        |s| s.replace(FILE, "UTF-8", "ISO-8859-1"),
        "failure required-tests tests-passed",
        "failure required-tests tests-passed",
    ),
    Case(
        13,
        "number of tests that is not a number",
        |s| s.replace(FILE, "suite\" tests=\"7\"", "suite\" tests=\"all\""),
        "failure required-tests tests-passed",
        "failure required-tests tests-passed",
    ),
    Case(
        13,
        "results of two suites",
        |s| s.replace(FILE, "</testsuite>", "</testsuite><testsuite></testsuite>"),
        "success",
        "success",
    ),
    Case(
        14,
        "one test failed",
        |s| {
            let failed = |index, name: &str| {
                if index == 7 {
                    test_case(name, FAILURE)
                } else {
                    passed(name)
                }
            };
            s.write(FILE, junit(&cases(37, failed)));
        },
        "failure required-tests tests-passed",
        "failure tests-passed required-tests",
    ),
    Case(
        14,
        "one test with an error",
        |s| {
            let error = |index, name: &str| {
                if index == 7 {
                    test_case(name, "<error/>")
                } else {
                    passed(name)
                }
            };
            s.write(FILE, junit(&cases(37, error)));
        },
        "failure tests-passed",
        "failure tests-passed required-tests",
    ),
    Case(
        14,
        "another test failed",
        |s| {
            s.write(
                FILE,
                junit(&(cases(37, |_, name| passed(name)) + &test_case("[It] [sig-apps] other", FAILURE))),
            );
        },
        "success",
        "failure tests-passed",
    ),
    Case(
        14,
        "one test failed and then passed",
        |s| {
            let twice = |index, name: &str| {
                if index == 7 {
                    test_case(name, FAILURE) + &passed(name)
                } else {
                    passed(name)
                }
            };
            s.write(FILE, junit(&cases(37, twice)));
        },
        "failure tests-passed",
        "failure junit tests-passed required-tests",
    ),
    Case(
        14,
        "no test ran",
        |s| s.write(FILE, junit(&cases(37, |_, name| test_case(name, "<skipped/>")))),
        "failure required-tests tests-passed",
        "failure required-tests tests-passed",
    ),
    Case(
        16,
        "text after the results",
        |s| s.replace(FILE, "</testsuites>\n", "</testsuites>\n<testsuites>"),
        "success",
        "failure junit",
    ),
    Case(
        16,
        "log cut in the middle",
        |s| s.write("e2e.log", log(462)[..120].to_vec()),
        "success",
        "failure log-summary",
    ),
    Case(
        16,
        "log of a failed run",
        |s| {
            s.replace(
                "e2e.log",
                "SUCCESS! -- 462 Passed | 0 Failed",
                "FAIL! -- 461 Passed | 1 Failed",
            );
        },
        "success",
        "failure log-summary",
    ),
    Case(
        16,
        "log with a flaky test",
        |s| s.replace("e2e.log", "0 Failed | ", "0 Failed | 1 Flaked | "),
        "success",
        "failure log-summary",
    ),
    Case(
        16,
        "log of fewer tests",
        |s| s.write("e2e.log", log(20)),
        "success",
        "failure log-summary",
    ),
    Case(
        16,
        "log of another version",
        |s| s.replace("e2e.log", "v1.37.2", "v1.36.3"),
        "success",
        "failure log-version",
    ),
    Case(
        16,
        "log without version",
        |s| s.replace("e2e.log", "kube-apiserver version: v1.37.2", ""),
        "success",
        "success",
    ),
    Case(
        16,
        "README with a link only",
        |s| s.write("README.md", "# ACME\n\nSee <https://acme.example.com/conformance>.\n"),
        "success",
        "failure readme",
    ),
    Case(
        16,
        "README with the log of another run",
        |s| s.replace("README.md", "```\n", "Ran 424 of 7137 Specs in 6543.210 seconds\n```\n"),
        "success",
        "failure readme",
    ),
    Case(
        16,
        "README of a draft",
        |s| s.replace("README.md", "# ACME\n", "> **Draft:** not for submission\n"),
        "success",
        "failure readme",
    ),
];
