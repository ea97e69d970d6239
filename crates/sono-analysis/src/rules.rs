//! Rules: what proves a cause, and what is said about it. Rules are data; this module reads and compiles them.

mod parse;

use std::{collections::BTreeSet, sync::OnceLock};

use regex::bytes::{Regex, RegexSet, RegexSetBuilder};
use serde::{Deserialize, Serialize};

use self::parse::{Parsed, build, last_line, parse, unplaced};
use crate::{finding::Certainty, limits};

/// The rules of this program.
const BUILT_IN: &str = include_str!("../data/rules.yaml");

/// Kind of a cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Images cannot be pulled.
    Image,
    /// Pods cannot be scheduled.
    Scheduling,
    /// Containers cannot be started.
    Runtime,
    /// Probes and hooks fail.
    Probe,
    /// Out of memory, and evictions.
    Memory,
    /// Nodes are not ready.
    Node,
    /// The network between pods, Services and nodes.
    Network,
    /// Names cannot be resolved.
    Dns,
    /// Volumes cannot be provisioned or mounted.
    Storage,
    /// Admission refuses objects.
    Admission,
    /// Quotas and limit ranges.
    Quota,
    /// The API server or etcd is slow or unavailable.
    ApiServer,
    /// Time limits, clocks and certificates.
    Time,
    /// Objects of earlier runs.
    Leftovers,
    /// The cluster does not meet the test's requirements.
    Prerequisites,
    /// The test's own tools and images are incomplete.
    TestTools,
    /// Permissions.
    Permissions,
    /// The product under test.
    Product,
}

impl Class {
    /// The word in rule files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Scheduling => "scheduling",
            Self::Runtime => "runtime",
            Self::Probe => "probe",
            Self::Memory => "memory",
            Self::Node => "node",
            Self::Network => "network",
            Self::Dns => "dns",
            Self::Storage => "storage",
            Self::Admission => "admission",
            Self::Quota => "quota",
            Self::ApiServer => "api-server",
            Self::Time => "time",
            Self::Leftovers => "leftovers",
            Self::Prerequisites => "prerequisites",
            Self::TestTools => "test-tools",
            Self::Permissions => "permissions",
            Self::Product => "product",
        }
    }

    /// Whether it is a condition of the cluster rather than of the product under test.
    pub fn is_infrastructure(self) -> bool {
        match self {
            Self::Image
            | Self::Scheduling
            | Self::Runtime
            | Self::Memory
            | Self::Node
            | Self::Network
            | Self::Dns
            | Self::Storage
            | Self::Quota
            | Self::ApiServer => true,
            Self::Probe
            | Self::Admission
            | Self::Time
            | Self::Leftovers
            | Self::Prerequisites
            | Self::TestTools
            | Self::Permissions
            | Self::Product => false,
        }
    }
}

/// Kind of text that a pattern applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Channel {
    /// Message of an event.
    Event,
    /// `PHASE CONDITIONS` of a pod that is not ready.
    Pod,
    /// `NODE CONDITION=STATUS REASON: MESSAGE` of a node.
    Node,
    /// Line of a failure message.
    Text,
    /// Line of a failure message or of a test's log.
    Log,
    /// Line of a container's log.
    Container,
    /// Line of the error of a plugin without a result.
    Plugin,
    /// Name of the test, for exceptions: some tests cause on purpose what other tests fail by.
    Test,
}

const CHANNELS: [Channel; 8] = [
    Channel::Event,
    Channel::Pod,
    Channel::Node,
    Channel::Text,
    Channel::Log,
    Channel::Container,
    Channel::Plugin,
    Channel::Test,
];

/// Required state of the pod that an event is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// Any.
    #[default]
    Any,
    /// Not ready when the test failed. If the pod had been deleted, the cause is only likely.
    Unready,
    /// Not ready when the test failed, and not deleted.
    ListedUnready,
}

/// A pattern and its conditions.
#[derive(Debug)]
pub(crate) struct Matcher {
    pub(crate) channel: Channel,
    pub(crate) pattern: String,
    /// Reasons of events; empty matches all.
    pub(crate) reasons: Vec<String>,
    pub(crate) state: State,
    /// Text of a later event of the same object that disproves the match. `{key}` is the captured key.
    pub(crate) resolved_by: Option<String>,
    /// Number of matches from which the cause is certain.
    pub(crate) times: usize,
    /// Compiled when it is needed first: most rules match nothing.
    regex: OnceLock<Option<Regex>>,
}

/// A rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Stable name.
    pub id: String,
    /// Kind of cause.
    pub class: Class,
    /// Certainty of a match.
    pub certainty: Certainty,
    /// Sentence about one failure. `{name}` is a captured group.
    pub sentence: String,
    /// Sentence about all failures with this cause.
    pub summary: String,
    /// Next command.
    pub next: String,
    /// Where the message is produced.
    pub produced: String,
    /// Evidence that the rule matches.
    pub examples: Vec<Example>,
    /// Similar evidence that it does not match.
    pub others: Vec<Example>,
    pub(crate) any: Vec<usize>,
    pub(crate) all: Vec<usize>,
    pub(crate) not: Vec<usize>,
}

/// Evidence in a rule file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Example {
    /// `REASON: MESSAGE`
    pub event: Option<String>,
    /// `REASON: MESSAGE` of a later event about the same object.
    pub then: Option<String>,
    /// State of the event's pod when the test failed: a phase, or `Ready`; `none` if it is not listed. Default: `Pending`.
    pub pod: Option<String>,
    /// Conditions of that pod.
    pub conditions: Option<String>,
    /// `NODE CONDITION=STATUS REASON: MESSAGE`
    pub node: Option<String>,
    /// Failure message.
    pub failure: Option<String>,
    /// Log of the test.
    pub log: Option<String>,
    /// Log of a container.
    pub container: Option<String>,
    /// Error of a plugin without a result.
    pub plugin: Option<String>,
    /// Name of the test.
    pub test: Option<String>,
    /// Expected key.
    pub key: Option<String>,
}

/// Error in a rule file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", position(*line, *column))]
pub struct RuleError {
    /// Line, from 1, if known.
    pub line: Option<u64>,
    /// Column, from 1, if known.
    pub column: Option<u64>,
    /// Problem.
    pub message: String,
}

fn position(line: Option<u64>, column: Option<u64>) -> String {
    match (line, column) {
        (Some(line), Some(column)) => format!("line {line}, column {column}: "),
        _ => String::new(),
    }
}

/// Compiled rules in the order in which they are tried.
#[derive(Debug)]
pub struct Rules {
    list: Vec<Rule>,
    matchers: Vec<Matcher>,
    /// For each channel: its matchers, and their patterns as one automaton.
    sets: Vec<(Channel, Vec<usize>, RegexSet)>,
}

impl Rules {
    /// The rules of this program.
    ///
    /// # Errors
    /// Never fails: a test compiles them.
    pub fn built_in() -> Result<Self, RuleError> {
        Self::compile(parse(BUILT_IN, false)?)
    }

    /// The rules in `text`, then those of this program with other ids.
    ///
    /// # Errors
    /// Fails with the first problem in the text.
    pub fn with(text: &str) -> Result<Self, RuleError> {
        let mut parsed = parse(text, true)?;
        let ids: BTreeSet<String> = parsed.iter().map(|parsed| parsed.rule.id.clone()).collect();
        let others = parse(BUILT_IN, false)?.into_iter();
        parsed.extend(others.filter(|parsed| !ids.contains(&parsed.rule.id)));
        Self::compile(parsed)
    }

    /// Only the rules in `text`.
    ///
    /// # Errors
    /// Fails with the first problem in the text.
    pub fn only(text: &str) -> Result<Self, RuleError> {
        Self::compile(parse(text, true)?)
    }

    /// All rules in their order.
    pub fn all(&self) -> &[Rule] {
        &self.list
    }

    pub(crate) fn matcher(&self, index: usize) -> Option<&Matcher> {
        self.matchers.get(index)
    }

    /// A matcher and its expression.
    pub(crate) fn compiled(&self, index: usize) -> Option<(&Matcher, &Regex)> {
        let matcher = self.matchers.get(index)?;
        let regex = matcher.regex.get_or_init(|| build(&matcher.pattern).ok());
        Some((matcher, regex.as_ref()?))
    }

    /// Matchers whose patterns occur in the text.
    pub(crate) fn candidates(&self, channel: Channel, text: &str) -> Vec<usize> {
        let set = self.sets.iter().find(|(of, ..)| *of == channel);
        let Some((_, indexes, set)) = set else {
            return Vec::new();
        };
        let matches = set.matches(text.as_bytes()).into_iter();
        matches.filter_map(|at| indexes.get(at).copied()).collect()
    }

    fn compile(parsed: Vec<Parsed>) -> Result<Self, RuleError> {
        let (mut rules, mut matchers) = (Vec::new(), Vec::new());
        for Parsed { mut rule, lists } in parsed {
            for (list, target) in lists.into_iter().zip([&mut rule.any, &mut rule.all, &mut rule.not]) {
                for matcher in list {
                    target.push(matchers.len());
                    matchers.push(matcher);
                }
            }
            rules.push(rule);
        }
        let mut sets = Vec::new();
        for channel in CHANNELS {
            let of_channel = matchers
                .iter()
                .enumerate()
                .filter(|(_, matcher)| matcher.channel == channel);
            let (indexes, patterns): (Vec<usize>, Vec<&str>) = of_channel
                .map(|(index, matcher)| (index, matcher.pattern.as_str()))
                .unzip();
            if indexes.is_empty() {
                continue;
            }
            let set = RegexSetBuilder::new(patterns)
                .unicode(false)
                .multi_line(true)
                .size_limit(limits::SET_BYTES)
                .build()
                .map_err(|error| unplaced(format!("the patterns are too large: {}", last_line(&error.to_string()))))?;
            sets.push((channel, indexes, set));
        }
        Ok(Self {
            list: rules,
            matchers,
            sets,
        })
    }
}

#[cfg(test)]
mod tests;
