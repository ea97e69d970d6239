//! What the output of a Ginkgo suite says while it runs. The Kubernetes suite's own progress posts stay at zero when it
//! runs in several processes, and in 1.37 in one process too (`test/e2e/reporters/progress.go` says so of the former); its output,
//! which the runner writes to a file beside the results, has every verdict as it falls.

/// More than any line of dots (a character for each of 7,000 tests); the rest of a longer line is nothing we read.
const LONGEST_LINE: usize = 64 << 10;

/// How far a suite is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// How many tests will run, once the suite has said so.
    pub(crate) total: i64,
    pub(crate) passed: i64,
    /// Names of the tests that failed, without the labels.
    pub(crate) failures: Vec<String>,
}

impl Counts {
    /// How many tests have ended.
    pub(crate) fn ended(&self) -> i64 {
        self.passed
            .saturating_add(i64::try_from(self.failures.len()).unwrap_or(i64::MAX))
    }
}

/// Reads the output piece by piece.
#[derive(Debug, Default)]
pub(crate) struct Output {
    counts: Counts,
    /// The line that is not whole yet.
    line: Vec<u8>,
    /// It is longer than anything that counts.
    is_too_long: bool,
    /// The next line is the name of a test that failed.
    is_name_next: bool,
}

impl Output {
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = piece.strip_suffix(b"\n").map_or((piece, false), |text| (text, true));
            if self.line.len() + text.len() > LONGEST_LINE {
                self.is_too_long = true;
            }
            if !self.is_too_long {
                self.line.extend_from_slice(text);
            }
            if ends {
                let line = std::mem::take(&mut self.line);
                if !std::mem::take(&mut self.is_too_long) {
                    self.end_line(&String::from_utf8_lossy(&line));
                }
            }
        }
    }

    /// What is known so far; a line of dots counts before it is whole. `None` until a suite has begun.
    pub(crate) fn counts(&self) -> Option<Counts> {
        let mut counts = self.counts.clone();
        counts.passed += dots(&String::from_utf8_lossy(&self.line)).unwrap_or(0);
        (counts.total > 0).then_some(counts)
    }

    fn end_line(&mut self, line: &str) {
        let line = line.trim_end();
        if std::mem::take(&mut self.is_name_next) {
            self.counts.failures.push(test_name(line));
        } else if let Some(total) = will_run(line) {
            self.counts.total = self.counts.total.saturating_add(total);
        } else if let Some(passed) = dots(line) {
            self.counts.passed += passed;
        } else if let Some(verdict) = line.strip_prefix("• [") {
            let is_failure = ["FAILED", "PANICKED", "TIMEDOUT", "INTERRUPTED", "ABORTED"]
                .iter()
                .any(|word| verdict.starts_with(word));
            if is_failure {
                self.is_name_next = true;
            } else {
                // A slow test, or one that passed at the second try.
                self.counts.passed += 1;
            }
        }
    }
}

/// `Will run 414 of 3206 specs`.
fn will_run(line: &str) -> Option<i64> {
    let (run, rest) = line.strip_prefix("Will run ")?.split_once(" of ")?;
    rest.split_once(' ')?.1.starts_with("spec").then(|| run.parse().ok())?
}

/// A line of a character for each test, S and P for those that did not run: how many passed.
fn dots(line: &str) -> Option<i64> {
    let is_dense = !line.is_empty() && line.chars().all(|letter| matches!(letter, '•' | 'S' | 'P'));
    is_dense.then(|| i64::try_from(line.matches('•').count()).unwrap_or(i64::MAX))
}

/// The name as the suite's results have it: without the mark at the step that failed and the list of labels at the end.
fn test_name(line: &str) -> String {
    let mut name = line.to_owned();
    for step in [
        "It",
        "BeforeEach",
        "JustBeforeEach",
        "AfterEach",
        "JustAfterEach",
        "DeferCleanup (Each)",
    ] {
        name = name.replacen(&format!(" [{step}]"), "", 1);
    }
    match name.rfind(" [") {
        Some(labels) if name[labels..].contains(", ") && name.ends_with(']') => name.truncate(labels),
        _ => {}
    }
    name
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The head and two failures of a real run of 1.37.2, shortened.
    const SUITE: &str = "\
  I1123 07:26:07.480052      21 e2e.go:109] Starting e2e run \"53c8380a\" on Ginkgo node 1
Running Suite: Kubernetes e2e suite - /usr/local/bin
====================================================

Will run 6 of 3206 specs
Running in parallel across 8 processes
SSS••SSP
------------------------------
• [FAILED] [30.002 seconds]
[sig-node] Lease [BeforeEach] lease API should be available [Conformance] [sig-node, Conformance]
  [It] k8s.io/kubernetes@v1.37.2/test/e2e/common/node/lease.go:75
  STEP: SSS••
------------------------------
SS•S
------------------------------
• [6.412 seconds]
[sig-apps] Job should run a job to completion [sig-apps]
------------------------------
• [TIMEDOUT] [90.002 seconds]
[sig-node] Secrets [It] should patch a secret [Conformance]

Summarizing 2 Failures:
  [FAIL] [sig-node] Lease [BeforeEach] lease API should be available [Conformance] [sig-node, Conformance]
";

    fn counts() -> Counts {
        Counts {
            total: 6,
            passed: 4,
            failures: vec![
                "[sig-node] Lease lease API should be available [Conformance]".to_owned(),
                "[sig-node] Secrets should patch a secret [Conformance]".to_owned(),
            ],
        }
    }

    #[test]
    fn a_suite_is_counted() {
        let mut output = Output::default();
        output.feed(SUITE.as_bytes());
        assert_eq!(output.counts(), Some(counts()));
        assert_eq!(counts().ended(), 6);
    }

    #[test]
    fn dots_count_as_they_come() {
        let mut output = Output::default();
        output.feed(b"SSS");
        assert_eq!(output.counts(), None);
        output.feed("\nWill run 6 of 3206 specs\nSS•S•".as_bytes());
        assert_eq!(output.counts().map(|counts| counts.passed), Some(2));
        output.feed(b"S");
        assert_eq!(output.counts().map(|counts| counts.passed), Some(2));
        output.feed(b"TEP: no dots at all\n");
        assert_eq!(output.counts().map(|counts| counts.passed), Some(0));
    }

    #[test]
    fn a_line_without_end_is_not_held() {
        let mut output = Output::default();
        output.feed(b"Will run 1 of 2 specs\n");
        for _ in 0..100 {
            output.feed(&[b'x'; 4096]);
        }
        assert!(output.line.len() <= LONGEST_LINE);
        output.feed("\n•\n".as_bytes());
        assert_eq!(output.counts().map(|counts| counts.passed), Some(1));
    }

    proptest! {
        /// Pieces may end anywhere, in the middle of a dot too.
        #[test]
        fn pieces_do_not_matter(cuts in proptest::collection::vec(1_usize..200, 0..40)) {
            let mut output = Output::default();
            let mut rest = SUITE.as_bytes();
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                output.feed(piece);
                rest = after;
            }
            output.feed(rest);
            prop_assert_eq!(output.counts(), Some(counts()));
        }
    }
}
