//! Parses the output of a Ginkgo suite while it runs. The progress posts of the Kubernetes suite stay at zero when it
//! runs in several processes (see `test/e2e/reporters/progress.go`), and in 1.37 in one process, too. Its output, which
//! the runner writes to a file next to the results, has every verdict immediately.

/// Longest line that is parsed: more than a line of dots for 7,000 tests.
const MAX_LINE: usize = 64 << 10;

/// The progress of a suite.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Tests that will run, once known.
    pub(crate) total: i64,
    pub(crate) passed: i64,
    /// Names of failed tests, without labels.
    pub(crate) failures: Vec<String>,
}

impl Counts {
    /// The number of tests that ended.
    pub(crate) fn ended(&self) -> i64 {
        self.passed
            .saturating_add(i64::try_from(self.failures.len()).unwrap_or(i64::MAX))
    }
}

/// A streaming parser of the output.
#[derive(Debug, Default)]
pub(crate) struct Output {
    counts: Counts,
    /// The incomplete last line.
    line: Vec<u8>,
    /// The current line is too long and is ignored.
    is_too_long: bool,
    /// The next line is the name of a failed test.
    is_name_next: bool,
}

impl Output {
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = part.strip_suffix(b"\n").map_or((part, false), |text| (text, true));
            if self.line.len() + text.len() > MAX_LINE {
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

    /// The counts so far, including an incomplete line of dots; `None` before the suite has started.
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
        } else if line.starts_with("↺ [") {
            // Passed after a failed attempt.
            self.counts.passed += 1;
        } else if let Some(verdict) = line.strip_prefix("• [") {
            let is_failure = ["FAILED", "PANICKED", "TIMEDOUT", "INTERRUPTED", "ABORTED"]
                .iter()
                .any(|word| verdict.starts_with(word));
            if is_failure {
                self.is_name_next = true;
            } else {
                // A slow test, or any passed test with `-v`.
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

/// The number of passed tests in a line with one character per test; S and P mark tests that did not run.
fn dots(line: &str) -> Option<i64> {
    let is_dense = !line.is_empty() && line.chars().all(|letter| matches!(letter, '•' | 'S' | 'P'));
    is_dense.then(|| i64::try_from(line.matches('•').count()).unwrap_or(i64::MAX))
}

/// The test's name as in the suite's results: without the mark at the failed step and the list of labels.
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
        // A label alone is the name of a SIG, and test names do not end with one.
        Some(labels)
            if name.ends_with(']') && (name[labels..].contains(", ") || name[labels..].starts_with(" [sig-")) =>
        {
            name.truncate(labels);
        }
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

    /// Output with `-v` of one process: the name of a test precedes its steps, and the line of a passed test has no name.
    const VERBOSE_SERIAL: &str = "\
Running Suite: Kubernetes e2e suite - /usr/local/bin
Will run 6 of 3206 specs
------------------------------
[SynchronizedBeforeSuite]
k8s.io/kubernetes/test/e2e/e2e.go:69
  I1123 07:26:08.010000 21 e2e.go:119] kube-apiserver version: v1.37.2
[SynchronizedBeforeSuite] PASSED [1.012 seconds]
------------------------------
SSS
------------------------------
P [PENDING]
[sig-x] Volumes should wait [sig-x]
------------------------------
[sig-node] Pods should start [Conformance] [sig-node, Conformance]
k8s.io/kubernetes/test/e2e/common/node/pods.go:20
  STEP: Creating a kubernetes client @ 11/23/26 07:26:09.2
  • [FAILED] is text of a test
• [0.210 seconds]
------------------------------
SS
------------------------------
[sig-node] Lease lease API should be available [Conformance] [sig-node, Conformance]
k8s.io/kubernetes/test/e2e/common/node/lease.go:75
  STEP: SSS••
• [FAILED] [30.002 seconds]
[sig-node] Lease [BeforeEach] lease API should be available [Conformance] [sig-node, Conformance]
  [It] k8s.io/kubernetes/test/e2e/common/node/lease.go:75
------------------------------
[sig-apps] Job should run a job to completion [sig-apps]
k8s.io/kubernetes/test/e2e/apps/job.go:90
↺ [FLAKEY TEST - TOOK 2 ATTEMPTS TO PASS] [6.412 seconds]
------------------------------
S [SKIPPED] [0.010 seconds]
[sig-x] Nodes [It] should have a disk [sig-x]
------------------------------
• [0.001 seconds]
------------------------------
• [TIMEDOUT] [90.002 seconds]
[sig-node] Secrets [It] should patch a secret [Conformance] [sig-node]
------------------------------
[sig-apps] Daemons should roll back [Serial] [Conformance] [sig-apps, Serial, Conformance]
• [12.300 seconds]
------------------------------
";

    /// The same verdicts in several processes with `-v`: verdicts precede names; serial tests are the last ones.
    const VERBOSE_PARALLEL: &str = "\
Will run 6 of 3206 specs
Running in parallel across 4 processes
SSSS
------------------------------
• [0.210 seconds]
[sig-node] Pods should start [Conformance] [sig-node, Conformance]
k8s.io/kubernetes/test/e2e/common/node/pods.go:20

  Captured StdOut/StdErr Output >>
  • [1.000 seconds]
  << Captured StdOut/StdErr Output

  Timeline >>
  STEP: Creating a kubernetes client @ 11/23/26 07:26:09.2
  << Timeline
------------------------------
• [FAILED] [30.002 seconds]
[sig-node] Lease [BeforeEach] lease API should be available [Conformance] [sig-node, Conformance]
k8s.io/kubernetes/test/e2e/common/node/lease.go:75
------------------------------
↺ [FLAKEY TEST - TOOK 2 ATTEMPTS TO PASS] [6.412 seconds]
[sig-apps] Job should run a job to completion [sig-apps]
------------------------------
• [TIMEDOUT] [90.002 seconds]
[sig-node] Secrets [It] should patch a secret [Conformance] [sig-node]
------------------------------
SS
------------------------------
• [0.001 seconds]
[sig-node] Pods should stop [sig-node]
------------------------------
• [12.300 seconds]
[sig-apps] Daemons should roll back [Serial] [Conformance] [sig-apps, Serial, Conformance]
k8s.io/kubernetes/test/e2e/apps/daemon_set.go:90
------------------------------
";

    #[test]
    fn verbose_output_of_both_forms_is_counted() {
        for text in [VERBOSE_SERIAL, VERBOSE_PARALLEL] {
            let mut output = Output::default();
            output.feed(text.as_bytes());
            assert_eq!(output.counts(), Some(counts()), "{text}");
        }
    }

    #[test]
    fn suite_output_is_counted() {
        let mut output = Output::default();
        output.feed(SUITE.as_bytes());
        assert_eq!(output.counts(), Some(counts()));
        assert_eq!(counts().ended(), 6);
    }

    #[test]
    fn dots_count_before_their_line_ends() {
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
    fn overlong_line_is_not_stored() {
        let mut output = Output::default();
        output.feed(b"Will run 1 of 2 specs\n");
        for _ in 0..100 {
            output.feed(&[b'x'; 4096]);
        }
        assert!(output.line.len() <= MAX_LINE);
        output.feed("\n•\n".as_bytes());
        assert_eq!(output.counts().map(|counts| counts.passed), Some(1));
    }

    proptest! {
        /// The output may be split anywhere, even within a character.
        #[test]
        fn splits_do_not_matter(cuts in proptest::collection::vec(1_usize..200, 0..40)) {
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
