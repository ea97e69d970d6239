//! Waivers: accepted failures, each with a reason, an owner and a last day.
//!
//! A waiver changes what a command reports and its exit code, never an archive.

mod parse;
mod pattern;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::Serialize;

use self::pattern::{Glob, Versions};
use crate::identity::TestId;

/// Number of failed tests from which one waiver is too wide.
const TOO_WIDE: usize = 6;

/// Accepted failure of one or several tests.
#[derive(Debug, Clone)]
pub struct Waiver {
    /// Unique name.
    pub id: String,
    /// Plugin of the tests.
    pub plugin: String,
    /// Reason.
    pub because: String,
    /// Who decides about it.
    pub owner: String,
    /// Ticket, if any.
    pub ticket: Option<String>,
    /// Last day on which it applies, in UTC.
    pub until: Date,
    test: TestPattern,
    kubernetes: Option<Versions>,
    cluster: Option<Glob>,
    /// Hash of the normalized message of the accepted failure.
    signature: Option<String>,
    line: u64,
    column: u64,
}

/// Tests to which a waiver applies.
#[derive(Debug, Clone)]
enum TestPattern {
    /// Identity of the test with this name.
    Name(TestId),
    /// Identity as printed.
    Id(String),
    /// Names with `*`.
    Glob(Glob),
}

/// Waivers of a file, in its order.
#[derive(Debug, Clone)]
pub struct Waivers {
    list: Vec<Waiver>,
}

/// Problem of a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct WaiverError {
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
    /// Problem.
    pub message: String,
}

/// Facts about a run that conditions refer to. A waiver with a condition about an unknown fact does not apply.
#[derive(Debug, Clone, Default)]
pub struct RunFacts {
    /// Version of Kubernetes, such as `v1.37.2`.
    pub kubernetes: Option<String>,
    /// Name of the cluster.
    pub cluster: Option<String>,
}

/// Result of a test to be judged.
#[derive(Debug, Clone)]
pub struct Judged<'a> {
    /// Plugin.
    pub plugin: &'a str,
    /// Full name.
    pub name: &'a str,
    /// Identity.
    pub id: &'a TestId,
    /// Whether it failed or timed out.
    pub is_failed: bool,
    /// Hash of the normalized failure message ([`crate::signature_hash`]); empty if unknown.
    pub signature: &'a str,
}

/// Kind of a finding about a waiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// Its last day is over.
    Expired,
    /// No test of the given runs matches it.
    Unused,
    /// Its tests failed with other messages only.
    OtherFailure,
    /// It waives many tests.
    TooWide,
    /// All its tests passed.
    NowPassing,
}

/// Finding about a waiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Id of the waiver.
    pub id: String,
    /// Kind.
    pub kind: ProblemKind,
    /// Sentence.
    pub message: String,
    /// Line of the waiver in its file.
    pub line: u64,
    /// Column.
    pub column: u64,
}

impl Waiver {
    /// Whether it applies to this test in this run, without regard to its date and to the outcome of the test.
    fn matches(&self, test: &Judged<'_>, facts: &RunFacts) -> bool {
        let is_test = match &self.test {
            TestPattern::Name(id) => id == test.id,
            TestPattern::Id(id) => *id == test.id.to_string(),
            TestPattern::Glob(glob) => glob.matches(test.name),
        };
        let fact = |fact: &Option<String>, holds: &dyn Fn(&str) -> bool| fact.as_deref().is_some_and(holds);
        is_test
            && self.plugin == test.plugin
            && (self.kubernetes.as_ref())
                .is_none_or(|range| fact(&facts.kubernetes, &|version| range.contains(version)))
            && (self.cluster.as_ref()).is_none_or(|glob| fact(&facts.cluster, &|name| glob.matches(name)))
    }

    /// Whether a failure with this signature is the accepted one.
    fn accepts(&self, signature: &str) -> bool {
        self.signature.as_deref().is_none_or(|expected| expected == signature)
    }

    fn problem(&self, kind: ProblemKind, message: String) -> Problem {
        Problem {
            id: self.id.clone(),
            kind,
            message,
            line: self.line,
            column: self.column,
        }
    }
}

impl Waivers {
    /// Reads a file.
    ///
    /// # Errors
    /// Fails with all problems of the file, in its order; one if it is not YAML.
    pub fn parse(text: &str) -> Result<Self, Vec<WaiverError>> {
        parse::parse(text).map(|list| Self { list })
    }

    /// The waivers.
    pub fn list(&self) -> &[Waiver] {
        &self.list
    }

    /// The waiver of each test, if it failed and one applies on `today` (in UTC).
    pub fn judge(&self, tests: &[Judged<'_>], facts: &RunFacts, today: Date) -> Vec<Option<&Waiver>> {
        let waiver = |test: &Judged<'_>| {
            let mut waivers = self.list.iter();
            waivers
                .find(|waiver| waiver.until >= today && waiver.matches(test, facts) && waiver.accepts(test.signature))
        };
        tests
            .iter()
            .map(|test| if test.is_failed { waiver(test) } else { None })
            .collect()
    }

    /// Waivers that are expired on `today`.
    pub fn expired(&self, today: Date) -> Vec<Problem> {
        let expired = self.list.iter().filter(|waiver| waiver.until < today);
        expired
            .map(|waiver| {
                let message = format!("expired on {}; owner: {}", waiver.until, waiver.owner);
                waiver.problem(ProblemKind::Expired, message)
            })
            .collect()
    }

    /// Findings about the use of the waivers in some runs.
    pub fn usage(&self, runs: &[(RunFacts, Vec<Judged<'_>>)]) -> Vec<Problem> {
        self.list.iter().filter_map(|waiver| waiver.usage(runs)).collect()
    }
}

impl Waiver {
    fn usage(&self, runs: &[(RunFacts, Vec<Judged<'_>>)]) -> Option<Problem> {
        let mut matched = 0_usize;
        let mut others = 0_usize;
        let mut waived: BTreeMap<&TestId, &str> = BTreeMap::new();
        let mut failed = BTreeSet::new();
        for (facts, tests) in runs {
            for test in tests.iter().filter(|test| self.matches(test, facts)) {
                matched += 1;
                if !test.is_failed {
                    continue;
                }
                failed.insert(test.id);
                if self.accepts(test.signature) {
                    waived.insert(test.id, test.name);
                } else {
                    others += 1;
                }
            }
        }
        if matched == 0 {
            let message = "unused: no test of these runs matches it".to_owned();
            Some(self.problem(ProblemKind::Unused, message))
        } else if failed.is_empty() {
            let message = "now passing: all its tests passed".to_owned();
            Some(self.problem(ProblemKind::NowPassing, message))
        } else if waived.is_empty() {
            let message = format!("unused: {others} failures of its tests have another message");
            Some(self.problem(ProblemKind::OtherFailure, message))
        } else if waived.len() >= TOO_WIDE {
            let message = format!("too wide: it waives {} tests", waived.len());
            Some(self.problem(ProblemKind::TooWide, message))
        } else {
            None
        }
    }
}
