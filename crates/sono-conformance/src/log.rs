//! What e2e.log reports about a run of the suite.

use std::sync::LazyLock;

use regex::Regex;

/// Maximum number of API server versions that are reported.
const MAX_VERSIONS: usize = 8;

/// The last summary line of the suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// The line starts with `SUCCESS!`.
    pub success: bool,
    /// Passed tests.
    pub passed: u64,
    /// Failed tests.
    pub failed: u64,
    /// Tests that passed only when repeated.
    pub flaked: u64,
}

/// Facts of a log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogFacts {
    /// Distinct versions in lines `kube-apiserver version: …`. Since Ginkgo 2 the suite writes them only with `-v`.
    pub apiserver: Vec<String>,
    /// Number of tests of the last line `Ran … of … Specs`.
    pub ran: Option<u64>,
    /// The last summary line. A log that was cut has none.
    pub summary: Option<Summary>,
}

static APISERVER: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"kube-apiserver version: (v[0-9][0-9A-Za-z.+-]{0,80})").ok());
static RAN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"Ran ([0-9]{1,9}) of [0-9]{1,9} Specs").ok());
static SUMMARY: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(SUCCESS|FAIL)!.{0,20} -- .{0,20}?([0-9]{1,9}) Passed.{0,20}? \| .{0,20}?([0-9]{1,9}) Failed.{0,20}? \| (?:.{0,20}?([0-9]{1,9}) Flaked.{0,20}? \| )?").ok()
});

impl LogFacts {
    /// Reads a log. Invalid UTF-8 is replaced.
    pub fn read(bytes: &[u8]) -> Self {
        let mut facts = Self::default();
        for line in bytes.split(|byte| *byte == b'\n') {
            // Lines of progress dots and of failures are long; the facts are at their start.
            let line = String::from_utf8_lossy(line.get(..4096).unwrap_or(line));
            facts.line(&line);
        }
        facts
    }

    fn line(&mut self, line: &str) {
        let number = |text: Option<regex::Match<'_>>| text.and_then(|text| text.as_str().parse().ok()).unwrap_or(0);
        if line.contains("kube-apiserver version")
            && let Some(found) = APISERVER.as_ref().and_then(|regex| regex.captures(line))
            && let Some(version) = found.get(1).map(|version| version.as_str().to_owned())
            && self.apiserver.len() < MAX_VERSIONS
            && !self.apiserver.contains(&version)
        {
            self.apiserver.push(version);
        }
        if line.contains(" Specs")
            && let Some(found) = RAN.as_ref().and_then(|regex| regex.captures(line))
        {
            self.ran = Some(number(found.get(1)));
        }
        if line.contains(" Passed")
            && let Some(found) = SUMMARY.as_ref().and_then(|regex| regex.captures(line))
        {
            self.summary = Some(Summary {
                success: found.get(1).is_some_and(|word| word.as_str() == "SUCCESS"),
                passed: number(found.get(2)),
                failed: number(found.get(3)),
                flaked: number(found.get(4)),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_of_the_last_lines() {
        let log = "Nov 1 INFO: kube-apiserver version: v1.37.2\nNov 1 INFO: kube-apiserver version: v1.37.2\n\
            Ran 1 of 2 Specs in 3 seconds\nFAIL! -- 0 Passed | 1 Failed | 0 Pending | 1 Skipped\n\
            Ran 462 of 7137 Specs in 6.5 seconds\n\u{1b}[32mSUCCESS!\u{1b}[0m -- \u{1b}[32m462 Passed\u{1b}[0m | \u{1b}[31m0 Failed\u{1b}[0m | 0 Pending | 6675 Skipped\nPASS\n";
        let expected = LogFacts {
            apiserver: vec!["v1.37.2".to_owned()],
            ran: Some(462),
            summary: Some(Summary {
                success: true,
                passed: 462,
                failed: 0,
                flaked: 0,
            }),
        };
        assert_eq!(LogFacts::read(log.as_bytes()), expected);
    }

    #[test]
    fn log_without_end_has_no_summary() {
        assert_eq!(
            LogFacts::read(b"Will run 462 of 7137 specs\nSSS\xff\n"),
            LogFacts::default()
        );
        let flaked = b"SUCCESS! -- 3 Passed | 0 Failed | 2 Flaked | 0 Pending | 1 Skipped";
        assert_eq!(LogFacts::read(flaked).summary.map(|summary| summary.flaked), Some(2));
    }
}
