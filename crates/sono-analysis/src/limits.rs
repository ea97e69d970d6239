//! Limits. Archives, logs and rule files are untrusted.

/// Maximum size of a failure message in bytes.
pub(crate) const MESSAGE_BYTES: usize = 64 << 10;
/// Maximum size of each end of a test's log in bytes. The end has the events, the start has the first errors.
pub(crate) const LOG_END_BYTES: usize = 256 << 10;
/// Maximum length of a name in bytes.
pub(crate) const NAME_BYTES: usize = 4 << 10;
/// Maximum number of events per failure.
pub(crate) const EVENTS: usize = 500;
/// Maximum number of pods per failure.
pub(crate) const PODS: usize = 200;
/// Maximum number of nodes with a bad condition per failure.
pub(crate) const NODES: usize = 50;
/// Maximum size of the message of an event, a pod's conditions or a node's condition in bytes.
pub(crate) const ROW_BYTES: usize = 4 << 10;
/// Maximum number of further lines of an event's message.
pub(crate) const EVENT_LINES: usize = 20;
/// Maximum number of matches that are recorded for a pattern in one failure.
pub(crate) const HITS: usize = 200;
/// Maximum number of distinct keys per failure.
pub(crate) const KEYS: usize = 16;
/// Maximum length of a key in bytes.
pub(crate) const KEY_BYTES: usize = 256;
/// Maximum number of proofs per failure.
pub(crate) const PROOFS: usize = 3;
/// Maximum length of a quoted line in bytes.
pub(crate) const QUOTE_BYTES: usize = 500;
/// Maximum number of failures that are explained; further ones count as unexplained.
pub(crate) const FAILURES: usize = 10_000;
/// Maximum number of events and pods in the view of a failure.
pub(crate) const VIEW_ROWS: usize = 20;
/// Number of lines at the end of a test's log in the view of a failure.
pub(crate) const VIEW_LINES: usize = 15;
/// Maximum number of tests of a plugin in a run's card.
pub(crate) const CARD_TESTS: usize = 20_000;
/// Maximum size of the names of a plugin's tests in a run's card in bytes.
pub(crate) const CARD_NAME_BYTES: usize = 4 << 20;
/// Maximum number of verdicts of tests on nodes.
pub(crate) const NODE_VERDICTS: usize = 2_000_000;
/// Maximum number of lines of the run's log in a report.
pub(crate) const RUN_LOG_LINES: usize = 200;
/// Maximum number of plugins in a run's card.
pub(crate) const CARD_PLUGINS: usize = 1_000;
/// Maximum number of failures of a plugin in a run's card.
pub(crate) const CARD_FAILURES: usize = 2_000;
/// Maximum length of a failure's first line in a run's card in characters.
pub(crate) const CARD_LINE_CHARACTERS: usize = 200;
/// Maximum number of different tests in a history.
pub(crate) const LEDGER_TESTS: usize = 100_000;
/// Maximum number of values of one kind of fact.
pub(crate) const FACTS: usize = 500;
/// Maximum size of a list of objects that is read for facts in bytes.
pub(crate) const FACT_FILE_BYTES: u64 = 256 << 20;
/// Maximum length of a fact in bytes.
pub(crate) const FACT_BYTES: usize = 256;
/// Maximum size of a small file that is read as a whole, such as a plugin's definition, in bytes.
pub(crate) const SMALL_FILE_BYTES: u64 = 4 << 20;
/// Maximum size of the result files that are searched for durations in bytes.
pub(crate) const DURATION_FILE_BYTES: u64 = 32 << 20;
/// Maximum number of rules.
pub(crate) const RULES: usize = 1_000;
/// Maximum length of a pattern or sentence in bytes.
pub(crate) const PATTERN_BYTES: usize = 2_000;
/// Maximum memory of one compiled pattern in bytes.
pub(crate) const COMPILED_BYTES: usize = 1 << 20;
/// Maximum memory of all compiled patterns for one kind of text in bytes.
pub(crate) const SET_BYTES: usize = 32 << 20;

/// Maximum size of a plugin's causes in bytes.
pub const MAX_CAUSES_BYTES: u64 = 16 << 20;
/// Maximum size of a rule file in bytes.
pub const MAX_RULE_FILE_BYTES: u64 = 1 << 20;
/// Maximum size of the part of a container's log that is searched, in bytes.
pub const MAX_LOG_BYTES: usize = 64 << 10;
/// Maximum number of containers' logs that are searched.
pub const MAX_LOGS: usize = 5_000;
/// Maximum size of all searched logs of containers in bytes.
pub const MAX_LOGS_BYTES: usize = 32 << 20;
/// Maximum size of a waiver file in bytes.
pub const MAX_WAIVER_FILE_BYTES: u64 = 1 << 20;
/// Maximum number of waivers.
pub(crate) const WAIVERS: usize = 2_000;
/// Maximum length of a text in a waiver in bytes.
pub(crate) const WAIVER_TEXT_BYTES: usize = 2_000;
