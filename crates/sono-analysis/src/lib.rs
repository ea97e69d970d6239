//! Causes of failures: evidence from the texts of failed tests and plugins, rules as data, grouping, and test identity;
//! comparison of two runs, histories of tests, and waivers.
//!
//! The crate does no I/O. It takes leaves of result trees, texts of logs and the text of a rule file, and returns values; it
//! does not know where they are stored or how causes are printed. All texts are untrusted: everything that grows has a limit
//! in `limits.rs`.

mod archive;
mod card;
mod diff;
mod evidence;
mod examples;
mod explain;
mod facts;
mod finding;
mod history;
mod identity;
mod limits;
mod lines;
mod output;
mod rules;
mod scan;
mod signature;
mod verdicts;
mod waivers;
mod why;

pub use archive::{ArchiveReader, ArchiveTexts, BeyondLimit, TextLimits};
pub use card::{
    Card, CardCluster, CardError, CardFailure, CardFilter, CardParts, CardPlugin, CardRun, ClusterChange, LogLine,
    RunDetails, cluster_changes,
};
pub use diff::{Change, Diff, PluginTests, RunTests, TestChange, TestRun, compare};
pub use evidence::{Event, Evidence, Pod};
pub use examples::{ExampleProblem, check_examples};
pub use finding::{Certainty, Finding, Proof};
pub use history::{
    Counts, Interval, Ledger, Observation, Outcome, RecordedTest, TestHistory, Verdict, benjamini_hochberg, fisher,
    regressions, wilson,
};
pub use identity::{TestId, identities};
pub use limits::{
    MAX_CAUSES_BYTES, MAX_LOG_BYTES, MAX_LOGS, MAX_LOGS_BYTES, MAX_RULE_FILE_BYTES, MAX_WAIVER_FILE_BYTES,
};
pub use output::{ContainerLog, NodeState, TestOutput};
pub use rules::{Class, Rule, RuleError, Rules};
pub use signature::signature_hash;
pub use verdicts::{NodeGroup, TestStatus, test_name};
pub use waivers::{Judged, Problem, ProblemKind, RunFacts, Waiver, WaiverError, Waivers};
pub use why::{Cause, FailureView, Key, Unexplained, Why, WhyError, explain};
