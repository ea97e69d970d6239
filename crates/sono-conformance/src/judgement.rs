//! The outcome of judging a submission.

use std::fmt;

use serde::Serialize;

/// The judge whose rules apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// CNCF's bot, with its oddities.
    Bot,
    /// A careful reviewer.
    Strict,
}

/// The verdict of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The rule is met.
    Passed,
    /// The rule is violated: the submission is rejected.
    Failed,
    /// A reviewer may ask about it; it does not reject the submission.
    Notice,
    /// The facts are unknown here.
    NotChecked,
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Notice => "notice",
            Self::NotChecked => "not checked",
        })
    }
}

/// The state of the whole submission, in the words of the bot's commit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// No rule is violated.
    Success,
    /// At least one rule is violated.
    Failure,
    /// The bot does not look into the submission.
    Pending,
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Pending => "pending",
        })
    }
}

/// The verdict of one rule, with its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Name of the rule.
    pub rule: &'static str,
    /// Its verdict.
    pub verdict: Verdict,
    /// File, field or other part of the submission.
    pub place: String,
    /// Reason.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<&'static str>,
}

/// The judgement of a submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// Judge.
    pub mode: Mode,
    /// State.
    pub state: State,
    /// Version of the submission, as its folder has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Labels that the bot sets, in its order. Empty in strict mode.
    pub labels: Vec<String>,
    /// Findings in the order of the rules.
    pub findings: Vec<Finding>,
    /// Number of required tests, if the list of the version is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required: Option<usize>,
    /// Sorted names of required tests that did not pass.
    pub missing: Vec<String>,
}

/// Findings of one judgement.
#[derive(Debug, Default)]
pub(crate) struct Findings(pub(crate) Vec<Finding>);

impl Findings {
    pub(crate) fn add(&mut self, rule: &'static str, verdict: Verdict, place: &str, message: impl Into<String>) {
        self.push(rule, verdict, place, message.into(), None);
    }

    pub(crate) fn fail(&mut self, rule: &'static str, place: &str, message: impl Into<String>, hint: &'static str) {
        self.push(rule, Verdict::Failed, place, message.into(), Some(hint));
    }

    pub(crate) fn notice(&mut self, rule: &'static str, place: &str, message: impl Into<String>, hint: &'static str) {
        self.push(rule, Verdict::Notice, place, message.into(), Some(hint));
    }

    fn push(&mut self, rule: &'static str, verdict: Verdict, place: &str, message: String, hint: Option<&'static str>) {
        self.0.push(Finding {
            rule,
            verdict,
            place: place.to_owned(),
            message,
            hint,
        });
    }

    /// Adds that a rule is met, unless it has a finding.
    pub(crate) fn pass_unless_found(&mut self, rule: &'static str, place: &str, message: impl Into<String>) {
        if !self.0.iter().any(|finding| finding.rule == rule) {
            self.add(rule, Verdict::Passed, place, message);
        }
    }

    pub(crate) fn has_failed(&self, rule: &str) -> bool {
        self.0
            .iter()
            .any(|finding| finding.rule == rule && finding.verdict == Verdict::Failed)
    }

    pub(crate) fn state(&self) -> State {
        if self.0.iter().any(|finding| finding.verdict == Verdict::Failed) {
            State::Failure
        } else {
            State::Success
        }
    }
}
