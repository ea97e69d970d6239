//! The card of a run: what later runs are compared with, in some kilobytes (`meta/card.json`).

mod changes;
mod log;

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, BufRead as _, BufReader, Read},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sono_results::test_durations;
use sono_types::layout;

use self::log::log_line;
pub use self::{
    changes::{ClusterChange, cluster_changes},
    log::LogLine,
};
use crate::{
    facts::Facts,
    finding::Certainty,
    identity::{TestId, identities},
    limits,
    lines::{content, head},
    rules::Class,
    signature::signature_hash,
    verdicts::{NodeGroup, TestList, TestStatus, test_name},
    why::Why,
};

/// Version of the document. A reader refuses later versions.
const SCHEMA: u32 = 1;
/// Maximum length of a line of the run log that is parsed.
const LOG_LINE_BYTES: u64 = 64 << 10;

/// The card of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Card {
    /// Version of the document.
    pub schema: u32,
    /// When and by which program.
    #[serde(flatten)]
    pub run: CardRun,
    /// The cluster.
    pub cluster: CardCluster,
    /// Plugins with results, by name.
    pub plugins: Vec<CardPlugin>,
}

/// Identity and time of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CardRun {
    /// UUID of the run; empty if not known.
    #[serde(rename = "run")]
    pub id: String,
    /// Start: the time of the first line of the run's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Timestamp>,
    /// Duration in seconds, until the results were packed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
}

/// Facts about the cluster of a run. No names of nodes, no addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CardCluster {
    /// UID of the namespace `kube-system`; empty if not known.
    pub id: String,
    /// Version of the API server, such as `v1.37.2`.
    pub server: String,
    /// Number of nodes.
    pub nodes: u64,
    /// SHA-256 of the server's version and the facts, as hexadecimal digits.
    pub fingerprint: String,
    /// Sorted values by kind of fact.
    pub facts: BTreeMap<String, Vec<String>>,
}

/// Filter of the Kubernetes tests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CardFilter {
    /// Regular expression of the tests that ran.
    pub focus: String,
    /// Regular expression of the tests that did not run.
    pub skip: String,
}

/// Results of one plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CardPlugin {
    /// Name.
    pub name: String,
    /// Image, if the archive names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Status of the plugin.
    pub status: String,
    /// Filter of the Kubernetes tests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<CardFilter>,
    /// Names of the tests that ran. A test of several nodes occurs once.
    pub tests: Vec<String>,
    /// One letter for each test: p(assed), f(ailed), t(imed out), u(nknown), o(ther). The most severe of several nodes.
    pub statuses: String,
    /// Durations of the tests in milliseconds, 0 if not known; empty if none is known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub milliseconds: Vec<u32>,
    /// Number of tests that were skipped.
    pub skipped: u64,
    /// Number of tests that are left out, because a card is small.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: u64,
    /// Failed tests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<CardFailure>,
}

/// A failed test.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CardFailure {
    /// Position in the list of tests.
    pub test: usize,
    /// First 8 hexadecimal digits of a SHA-256 of the normalized message.
    pub signature: String,
    /// Id of the cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Kind of the cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// Certainty of the cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certainty: Option<Certainty>,
    /// First line of the message, at most 200 characters.
    pub first: String,
}

/// Why a card cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// Another program wrote it, or it is damaged.
    #[error("the card is damaged")]
    Damaged(#[from] serde_json::Error),
    /// A later version of sono wrote it.
    #[error("the card has version {0}, and this program reads versions up to {SCHEMA}")]
    Newer(u32),
    /// Its lists do not belong together.
    #[error("the card is damaged: {0}")]
    Inconsistent(&'static str),
}

impl Card {
    /// Parses a card.
    ///
    /// # Errors
    /// Fails if a later version of sono wrote it, or if it is damaged.
    pub fn parse(text: &[u8]) -> Result<Self, CardError> {
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        let card: Result<Self, _> = serde_json::from_slice(text);
        let schema = match &card {
            Ok(card) => card.schema,
            // A later version may have another form.
            Err(_) => serde_json::from_slice(text).map_or(0, |Version { schema }| schema),
        };
        if schema > SCHEMA {
            return Err(CardError::Newer(schema));
        }
        let card = card?;
        card.check()?;
        Ok(card)
    }

    fn check(&self) -> Result<(), CardError> {
        let wrong = |problem| Err(CardError::Inconsistent(problem));
        if self.schema == 0 {
            return wrong("the version is missing");
        }
        if self.plugins.len() > limits::CARD_PLUGINS {
            return wrong("it has too many plugins");
        }
        for plugin in &self.plugins {
            let tests = plugin.tests.len();
            if tests > limits::CARD_TESTS {
                return wrong("a plugin has too many tests");
            }
            if plugin.statuses.chars().count() != tests {
                return wrong("a test has no status");
            }
            if !plugin.milliseconds.is_empty() && plugin.milliseconds.len() != tests {
                return wrong("a test has no duration");
            }
            if plugin.failures.iter().any(|failure| failure.test >= tests) {
                return wrong("a failure has no test");
            }
        }
        Ok(())
    }

    /// The card as JSON in one line.
    ///
    /// # Errors
    /// Never fails for a card made here; the error is that of the JSON library.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self).map(|text| text + "\n")
    }
}

impl CardPlugin {
    /// Identities of the tests, in their order.
    pub fn ids(&self) -> Vec<TestId> {
        let names: Vec<&str> = self.tests.iter().map(String::as_str).collect();
        identities(&self.name, &names)
    }

    /// Verdicts of the tests, in their order.
    pub fn verdicts(&self) -> impl Iterator<Item = TestStatus> {
        self.statuses.chars().map(TestStatus::from_letter)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What an archive contains for the card of its run.
#[derive(Debug, Default)]
pub struct CardParts {
    facts: Facts,
    run: String,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    plugins: BTreeMap<String, PluginParts>,
    duration_bytes: u64,
    /// Lines of the run's log, if they are requested.
    lines: Option<Vec<LogLine>>,
}

/// What a report shows about a run, in addition to the causes of failures.
#[derive(Debug, Clone, Default)]
pub struct RunDetails {
    /// The card.
    pub card: Card,
    /// Nodes by their verdicts, for each plugin with results of nodes.
    pub nodes: BTreeMap<String, Vec<NodeGroup>>,
    /// The first lines of the run's log.
    pub log: Vec<LogLine>,
}

#[derive(Debug, Default)]
struct PluginParts {
    status: String,
    tests: TestList,
    image: Option<String>,
    filter: Option<CardFilter>,
    durations: HashMap<String, u32>,
    has_results: bool,
}

impl CardParts {
    pub(crate) fn with_details() -> Self {
        Self {
            lines: Some(Vec::new()),
            ..Self::default()
        }
    }

    /// Reads a file outside of `plugins/`.
    pub(crate) fn file(&mut self, name: &str, content: &mut dyn Read) -> io::Result<()> {
        match name {
            layout::CONFIG => {
                #[derive(Deserialize)]
                struct Config {
                    #[serde(rename = "UUID")]
                    uuid: String,
                }
                let config: Option<Config> = serde_json::from_reader(content.take(limits::SMALL_FILE_BYTES)).ok();
                self.run = config.map(|config| config.uuid).unwrap_or_default();
                self.run.truncate(self.run.floor_char_boundary(limits::KEY_BYTES));
            }
            layout::RUN_LOG => self.log(content)?,
            _ => self.facts.file(name, content),
        }
        Ok(())
    }

    /// The times of the first and the last line of the run's log.
    fn log(&mut self, content: &mut dyn Read) -> io::Result<()> {
        let mut lines = BufReader::new(content);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut lines).take(LOG_LINE_BYTES).read_until(b'\n', &mut line)?;
            if read == 0 {
                return Ok(());
            }
            let Some((time, message)) = log_line(&line) else {
                continue;
            };
            self.start.get_or_insert(time);
            self.end = Some(time);
            if let Some(lines) = self.lines.as_mut().filter(|lines| lines.len() < limits::RUN_LOG_LINES) {
                lines.push(LogLine { time, message });
            }
        }
    }

    /// Reads a file of a plugin other than its tree.
    pub(crate) fn plugin_file(&mut self, plugin: &str, name: &str, content: &mut dyn Read) -> io::Result<()> {
        if self.plugins.len() >= limits::CARD_PLUGINS && !self.plugins.contains_key(plugin) {
            return Ok(());
        }
        let rest = name.strip_prefix(&layout::plugin_dir_named(plugin)).unwrap_or_default();
        if rest == "/definition.json" {
            let definition: Option<Value> = serde_json::from_reader(content.take(limits::SMALL_FILE_BYTES)).ok();
            let spec = definition.as_ref().and_then(|value| value.pointer("/Definition/spec"));
            let parts = self.plugins.entry(plugin.to_owned()).or_default();
            parts.image = spec.and_then(|spec| text(spec.get("image")));
            let of_environment = |name: &str| {
                let all = spec?.get("env")?.as_array()?;
                let one = all
                    .iter()
                    .find(|one| one.get("name").and_then(Value::as_str) == Some(name))?;
                text(one.get("value"))
            };
            let (focus, skip) = (of_environment("E2E_FOCUS"), of_environment("E2E_SKIP"));
            parts.filter = (focus.is_some() || skip.is_some()).then(|| CardFilter {
                focus: focus.unwrap_or_default(),
                skip: skip.unwrap_or_default(),
            });
        } else if rest.starts_with("/results/global/")
            && std::path::Path::new(rest)
                .extension()
                .is_some_and(|extension| extension.eq_ignore_ascii_case("xml"))
        {
            let left = limits::DURATION_FILE_BYTES.saturating_sub(self.duration_bytes);
            let mut bytes = Vec::new();
            content.take(left).read_to_end(&mut bytes)?;
            self.duration_bytes += bytes.len() as u64;
            let durations = &mut self.plugins.entry(plugin.to_owned()).or_default().durations;
            test_durations(&bytes, &mut |name, duration| {
                if durations.len() < limits::CARD_TESTS {
                    let milliseconds = u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
                    durations.insert(test_name(name).to_owned(), milliseconds);
                }
            });
        }
        Ok(())
    }

    /// Stores the tests of a plugin.
    pub(crate) fn results(&mut self, plugin: &str, status: String, tests: TestList) {
        if self.plugins.len() >= limits::CARD_PLUGINS && !self.plugins.contains_key(plugin) {
            return;
        }
        let parts = self.plugins.entry(plugin.to_owned()).or_default();
        parts.status = status;
        parts.tests = tests;
        parts.has_results = true;
    }

    /// What a report shows, with the causes of the failures of all plugins.
    pub fn details(mut self, why: &Why) -> RunDetails {
        let groups = self
            .plugins
            .iter()
            .map(|(name, parts)| (name.clone(), parts.tests.node_groups()));
        let nodes = groups.filter(|(_, groups)| !groups.is_empty()).collect();
        let log = self.lines.take().unwrap_or_default();
        RunDetails {
            nodes,
            log,
            card: self.card(why),
        }
    }

    /// The card, with the causes of the failures of all plugins.
    pub fn card(self, why: &Why) -> Card {
        let Self {
            facts,
            run,
            start,
            end,
            plugins,
            duration_bytes: _,
            lines: _,
        } = self;
        let (by_kind, fingerprint) = facts.finish();
        let seconds = start.zip(end).map(|(start, end)| end.duration_since(start).as_secs());
        Card {
            schema: SCHEMA,
            run: CardRun {
                id: run,
                start,
                seconds: seconds.and_then(|seconds| u64::try_from(seconds).ok()),
            },
            cluster: CardCluster {
                id: facts.id,
                server: facts.server,
                nodes: facts.nodes,
                fingerprint,
                facts: by_kind,
            },
            plugins: plugins
                .into_iter()
                .filter(|(_, parts)| parts.has_results)
                .map(|(name, parts)| plugin_card(name, parts, why))
                .collect(),
        }
    }
}

fn plugin_card(name: String, parts: PluginParts, why: &Why) -> CardPlugin {
    let (skipped, left_out) = (parts.tests.skipped, parts.tests.left_out);
    let (tests, verdicts): (Vec<String>, Vec<TestStatus>) = parts.tests.into_tests().into_iter().unzip();
    let durations = |test: &String| parts.durations.get(test).copied().unwrap_or_default();
    let milliseconds: Vec<u32> = tests.iter().map(durations).collect();
    let is_timed = milliseconds.iter().any(|duration| *duration > 0);
    let mut views = HashMap::new();
    for view in why.failures.iter().filter(|view| view.plugin == name) {
        views.entry(view.name.as_str()).or_insert(view);
    }
    let failed = verdicts.iter().enumerate().filter(|(_, verdict)| verdict.is_failed());
    let failures = failed.take(limits::CARD_FAILURES).filter_map(|(test, _)| {
        let full = tests.get(test)?;
        // A name with its suite ends with the name in the failure's view.
        let view = views
            .get(full.as_str())
            .or_else(|| views.get(full.rsplit_once('/').map_or(full.as_str(), |(_, name)| name)));
        let message = view.map(|view| view.message.as_str()).unwrap_or_default();
        let cause = view.and_then(|view| view.cause.clone());
        let class = why.causes.iter().find(|one| Some(&one.id) == cause.as_ref());
        let first = message
            .lines()
            .map(|line| content(line).trim())
            .find(|line| !line.is_empty());
        let first = first
            .unwrap_or_default()
            .chars()
            .take(limits::CARD_LINE_CHARACTERS)
            .collect();
        Some(CardFailure {
            test,
            signature: signature_hash(message),
            class: class.map(|cause| cause.class),
            certainty: view.and_then(|view| view.certainty),
            cause,
            first,
        })
    });
    CardPlugin {
        failures: failures.collect(),
        name,
        image: parts.image,
        status: parts.status,
        filter: parts.filter,
        statuses: verdicts.iter().map(|verdict| verdict.letter()).collect(),
        milliseconds: if is_timed { milliseconds } else { Vec::new() },
        tests,
        skipped,
        left_out,
    }
}

fn text(value: Option<&Value>) -> Option<String> {
    let text = value?.as_str()?;
    Some(head(text, limits::NAME_BYTES).to_owned())
}

#[cfg(test)]
mod tests;
