//! Cause of one failure, with its certainty and proofs.

use serde::{Deserialize, Serialize};

/// Certainty of a cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Certainty {
    /// The evidence proves the cause.
    #[default]
    Sure,
    /// The evidence is incomplete, or tests passed in spite of the same cause.
    Likely,
}

impl Certainty {
    /// `sure` or `likely`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sure => "sure",
            Self::Likely => "likely",
        }
    }
}

/// A quoted line that proves a cause.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Proof {
    /// File in the archive, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Part of the test's result in the file, such as `system-err`; empty for the file itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub part: String,
    /// Line in that part, from 1.
    pub line: usize,
    /// The line.
    pub text: String,
}

impl Proof {
    /// `plugins/e2e/results/global/junit_01.xml, system-err, line 42`
    pub fn place(&self) -> String {
        let file = self.file.as_deref().unwrap_or("results");
        let part = Some(self.part.as_str()).filter(|part| !part.is_empty());
        let line = (self.line > 0).then(|| format!("line {}", self.line));
        let parts = [Some(file.to_owned()), part.map(str::to_owned), line];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// Cause of one failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Id of the rule.
    pub rule: String,
    /// Position of the rule.
    pub(crate) index: usize,
    /// Keys, such as images; empty for a rule without a key.
    pub keys: Vec<String>,
    /// Certainty.
    pub certainty: Certainty,
    /// Sentence about this failure.
    pub sentence: String,
    /// Command that shows or fixes the cause.
    pub next: String,
    /// Quoted lines.
    pub proofs: Vec<Proof>,
}
