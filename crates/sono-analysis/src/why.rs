//! Causes of all failures of an archive, and the evidence of one failure.

mod view;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    evidence::{Event, Evidence, Pod},
    explain::find,
    finding::{Certainty, Finding, Proof},
    identity::{TestId, identities},
    limits,
    lines::head,
    output::{ContainerLog, NodeState, TestOutput},
    rules::{Class, Rules},
    signature::signature,
};

/// Version of the document.
const SCHEMA: u32 = 1;
/// Maximum number of lines of a failure message in a view.
const MESSAGE_LINES: usize = 12;
/// Reasons of events that are part of every pod's life.
const ORDINARY: [&str; 10] = [
    "Created",
    "Killing",
    "LeaderElection",
    "Pulled",
    "Pulling",
    "ScalingReplicaSet",
    "Scheduled",
    "Started",
    "SuccessfulCreate",
    "SuccessfulDelete",
];

/// Causes of all failures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    schema: u32,
    /// Number of failed tests, and of plugins without a result.
    pub failed: usize,
    /// Number of failures with a cause.
    pub explained: usize,
    /// Causes, the most frequent first.
    pub causes: Vec<Cause>,
    /// Failures without a cause, by their normalized messages, the most frequent first.
    pub unexplained: Vec<Unexplained>,
    /// Failures in the order of the archive.
    pub failures: Vec<FailureView>,
}

/// Cause of several failures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// Id of the rule.
    pub id: String,
    /// Kind.
    pub class: Class,
    /// `likely` if it is only likely for all of its failures.
    pub certainty: Certainty,
    /// Number of failures.
    pub count: usize,
    /// Sentence about all of them.
    pub sentence: String,
    /// Next command, for the most frequent key.
    pub next: String,
    /// Keys, such as images, the most frequent first.
    pub keys: Vec<Key>,
    /// Positions in the list of failures.
    #[serde(skip)]
    pub failures: Vec<usize>,
}

/// Key of a cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Captured text.
    pub key: String,
    /// Number of failures.
    pub count: usize,
}

/// Failures with the same normalized message and without a cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unexplained {
    /// Normalized message; may be empty.
    pub message: String,
    /// Number of failures.
    pub count: usize,
    /// Positions in the list of failures.
    #[serde(skip)]
    pub failures: Vec<usize>,
}

/// A failure with its cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureView {
    /// Plugin that reported it.
    pub plugin: String,
    /// Identity of the test.
    pub id: TestId,
    /// Name of the test.
    pub name: String,
    /// `failed` or `timeout`.
    pub status: String,
    /// File in the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Namespace of the test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Source file and line of the failed assertion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Time of the failure as printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// First lines of the failure message.
    pub message: String,
    /// Id of the cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Certainty of the cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certainty: Option<Certainty>,
    /// Sentence about this failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentence: Option<String>,
    /// Next command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Keys of the cause.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Lines that prove the cause.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proof: Vec<Proof>,
    /// Events that are not part of every pod's life; only in the view of one failure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Event>,
    /// Pods when the test had failed; only in the view of one failure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pods: Vec<Pod>,
    /// End of the test's log; only in the view of one failure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    /// Nodes with a bad condition; only in the view of one failure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
}

/// Causes of the failures in `outputs`, which may include passed tests: a cause that they share is only likely. Logs of
/// containers are those of all tests.
pub fn explain(rules: &Rules, outputs: &[TestOutput], logs: &[ContainerLog]) -> Why {
    let mut in_passed: BTreeSet<(String, String)> = BTreeSet::new();
    for output in outputs
        .iter()
        .filter(|output| !output.is_failed())
        .take(limits::FAILURES)
    {
        if let Some(found) = find(rules, &Evidence::of(output, logs)) {
            in_passed.extend(keys(&found).into_iter().map(|key| (found.rule.clone(), key.to_owned())));
        }
    }
    let failed: Vec<&TestOutput> = outputs.iter().filter(|output| output.is_failed()).collect();
    let ids = identities_of(&failed);
    let mut failures = Vec::with_capacity(failed.len());
    let mut findings = Vec::with_capacity(failed.len());
    for (number, (output, id)) in failed.iter().zip(ids).enumerate() {
        let evidence = Evidence::of(output, logs);
        let mut found = Some(())
            .filter(|()| number < limits::FAILURES)
            .and_then(|()| find(rules, &evidence));
        if let Some(found) = &mut found {
            let is_shared = |key: &&str| in_passed.contains(&(found.rule.clone(), (*key).to_owned()));
            if keys(found).iter().any(is_shared) {
                found.certainty = Certainty::Likely;
            }
        }
        failures.push(FailureView::new(output, id, &evidence, found.as_ref()));
        findings.push(found);
    }
    let causes = causes(rules, &findings);
    let unexplained = unexplained(&failed, &findings);
    Why {
        schema: SCHEMA,
        failed: failures.len(),
        explained: findings.iter().flatten().count(),
        causes,
        unexplained,
        failures,
    }
}

/// Why the causes in an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum WhyError {
    /// Another program wrote them, or they are damaged.
    #[error("the causes are damaged")]
    Damaged(#[from] serde_json::Error),
    /// A later version of sono wrote them.
    #[error("the causes have version {0}, and this program reads versions up to {SCHEMA}")]
    Newer(u32),
}

impl Default for Why {
    /// No failures.
    fn default() -> Self {
        Self {
            schema: SCHEMA,
            failed: 0,
            explained: 0,
            causes: Vec::new(),
            unexplained: Vec::new(),
            failures: Vec::new(),
        }
    }
}

impl Why {
    /// Parses the causes of a plugin in an archive (`plugins/NAME/why.json`).
    ///
    /// # Errors
    /// Fails if a later version of sono wrote them, or if they are damaged.
    pub fn parse(text: &[u8]) -> Result<Self, WhyError> {
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        let Version { schema } = serde_json::from_slice(text)?;
        if schema > SCHEMA {
            return Err(WhyError::Newer(schema));
        }
        let mut why: Self = serde_json::from_slice(text)?;
        why.failed = why.failures.len();
        why.number_failures();
        Ok(why)
    }

    /// Adds the causes of another plugin.
    pub fn merge(&mut self, other: Self) {
        self.failed += other.failed;
        self.explained += other.explained;
        self.failures.extend(other.failures);
        for cause in other.causes {
            match self.causes.iter_mut().find(|mine| mine.id == cause.id) {
                Some(mine) => mine.merge(cause),
                None => self.causes.push(cause),
            }
        }
        self.causes.sort_by_key(|cause| std::cmp::Reverse(cause.count));
        for group in other.unexplained {
            match self.unexplained.iter_mut().find(|mine| mine.message == group.message) {
                Some(mine) => mine.count += group.count,
                None => self.unexplained.push(group),
            }
        }
        self.unexplained.sort_by_key(|group| std::cmp::Reverse(group.count));
        self.number_failures();
    }

    /// The causes as JSON in one line.
    ///
    /// # Errors
    /// Never fails for causes made here; the error is that of the JSON library.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self).map(|text| text + "\n")
    }

    /// Sets the positions of the failures of each cause and of each group without one.
    fn number_failures(&mut self) {
        let numbers = |is_of: &dyn Fn(&FailureView) -> bool| -> Vec<usize> {
            let all = self.failures.iter().enumerate();
            all.filter(|(_, failure)| is_of(failure))
                .map(|(number, _)| number)
                .collect()
        };
        let of_causes: Vec<Vec<usize>> = self
            .causes
            .iter()
            .map(|cause| numbers(&|failure| failure.cause.as_ref() == Some(&cause.id)))
            .collect();
        let of_groups: Vec<Vec<usize>> = self
            .unexplained
            .iter()
            .map(|group| numbers(&|failure| failure.cause.is_none() && signature(&failure.message) == group.message))
            .collect();
        for (cause, failures) in self.causes.iter_mut().zip(of_causes) {
            cause.failures = failures;
        }
        for (group, failures) in self.unexplained.iter_mut().zip(of_groups) {
            group.failures = failures;
        }
    }

    /// Adds the evidence of a failure to its view. `outputs` and `logs` are those of [`explain`].
    pub fn add_evidence(&mut self, number: usize, outputs: &[TestOutput], logs: &[ContainerLog]) {
        let output = outputs.iter().filter(|output| output.is_failed()).nth(number);
        if let (Some(output), Some(view)) = (output, self.failures.get_mut(number)) {
            view.add(&Evidence::of(output, logs));
        }
    }
}

impl Cause {
    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.certainty = self.certainty.min(other.certainty);
        for key in other.keys {
            match self.keys.iter_mut().find(|mine| mine.key == key.key) {
                Some(mine) => mine.count += key.count,
                None => self.keys.push(key),
            }
        }
        self.keys
            .sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.key.cmp(&other.key)));
    }
}

/// Keys of a finding; one empty key without any.
fn keys(found: &Finding) -> Vec<&str> {
    if found.keys.is_empty() {
        vec![""]
    } else {
        found.keys.iter().map(String::as_str).collect()
    }
}

fn identities_of(failed: &[&TestOutput]) -> Vec<TestId> {
    let mut by_plugin: BTreeMap<&str, Vec<(usize, &str)>> = BTreeMap::new();
    for (number, output) in failed.iter().enumerate() {
        by_plugin
            .entry(&output.plugin)
            .or_default()
            .push((number, &output.name));
    }
    let mut found: Vec<(usize, TestId)> = Vec::with_capacity(failed.len());
    for (plugin, tests) in by_plugin {
        let names: Vec<&str> = tests.iter().map(|(_, name)| *name).collect();
        let numbers = tests.iter().map(|(number, _)| *number);
        found.extend(numbers.zip(identities(plugin, &names)));
    }
    found.sort();
    found.into_iter().map(|(_, id)| id).collect()
}

fn causes(rules: &Rules, findings: &[Option<Finding>]) -> Vec<Cause> {
    let mut by_rule: BTreeMap<usize, Vec<(usize, &Finding)>> = BTreeMap::new();
    for (number, found) in findings.iter().enumerate() {
        if let Some(found) = found {
            by_rule.entry(found.index).or_default().push((number, found));
        }
    }
    let mut causes = Vec::with_capacity(by_rule.len());
    for (index, found) in by_rule {
        let Some(rule) = rules.all().get(index) else { continue };
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for key in found.iter().flat_map(|(_, finding)| &finding.keys) {
            *counts.entry(key).or_default() += 1;
        }
        let mut keys: Vec<Key> = counts
            .into_iter()
            .map(|(key, count)| Key {
                key: key.to_owned(),
                count,
            })
            .collect();
        keys.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.key.cmp(&other.key)));
        let most = keys.first().map(|key| &key.key);
        let next = found
            .iter()
            .find(|(_, finding)| finding.keys.first() == most)
            .or_else(|| found.first())
            .map(|(_, finding)| finding.next.clone());
        let certainty = found.iter().map(|(_, finding)| finding.certainty).min();
        causes.push(Cause {
            id: rule.id.clone(),
            class: rule.class,
            certainty: certainty.unwrap_or(Certainty::Likely),
            count: found.len(),
            sentence: rule.summary.clone(),
            next: next.unwrap_or_default(),
            keys,
            failures: found.into_iter().map(|(number, _)| number).collect(),
        });
    }
    // Sorting is stable: equally frequent causes stay in the order of their rules.
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.count));
    causes
}

fn unexplained(failed: &[&TestOutput], findings: &[Option<Finding>]) -> Vec<Unexplained> {
    let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (number, (output, found)) in failed.iter().zip(findings).enumerate() {
        if found.is_none() {
            groups.entry(signature(&output.message)).or_default().push(number);
        }
    }
    let groups = groups.into_iter().map(|(message, failures)| Unexplained {
        message,
        count: failures.len(),
        failures,
    });
    let mut groups: Vec<Unexplained> = groups.collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    groups
}

impl FailureView {
    fn new(output: &TestOutput, id: TestId, evidence: &Evidence<'_>, found: Option<&Finding>) -> Self {
        let lines = output
            .message
            .lines()
            .map(str::trim_end)
            .filter(|line| !line.is_empty());
        let lines: Vec<&str> = lines
            .take(MESSAGE_LINES)
            .map(|line| head(line, limits::QUOTE_BYTES))
            .collect();
        Self {
            plugin: output.plugin.clone(),
            id,
            name: output.name.clone(),
            status: output.status.clone(),
            file: output.file.clone(),
            namespace: evidence.namespace.clone(),
            location: evidence.location.clone(),
            time: evidence.time.clone(),
            message: lines.join("\n"),
            cause: found.map(|found| found.rule.clone()),
            certainty: found.map(|found| found.certainty),
            sentence: found.map(|found| found.sentence.clone()),
            next: found.map(|found| found.next.clone()).filter(|next| !next.is_empty()),
            keys: found.map(|found| found.keys.clone()).unwrap_or_default(),
            proof: found.map(|found| found.proofs.clone()).unwrap_or_default(),
            events: Vec::new(),
            pods: Vec::new(),
            log: Vec::new(),
            nodes: Vec::new(),
        }
    }

    fn add(&mut self, evidence: &Evidence<'_>) {
        let events = evidence.events.iter().rev();
        let events = events.filter(|event| !ORDINARY.contains(&event.reason.as_str()));
        self.events = events.take(limits::VIEW_ROWS).cloned().collect();
        self.events.reverse();
        // Pods that are not ready first.
        let mut pods: Vec<Pod> = evidence.pods.clone();
        pods.sort_by_key(|pod| pod.ready);
        pods.truncate(limits::VIEW_ROWS);
        self.pods = pods;
        let is_shown = |(number, line): &(usize, &str)| !evidence.rows.contains(number) && !line.trim().is_empty();
        let lines = evidence.output.log_lines().filter(is_shown);
        let lines: Vec<&str> = lines.map(|(_, line)| line).collect();
        let start = lines.len().saturating_sub(limits::VIEW_LINES);
        let end = lines.get(start..).unwrap_or_default();
        self.log = end
            .iter()
            .map(|line| head(line, limits::QUOTE_BYTES).to_owned())
            .collect();
        let node = |state: &NodeState| format!("{} {}", state.name, state.condition);
        self.nodes = evidence.output.nodes.iter().take(limits::VIEW_ROWS).map(node).collect();
    }
}

#[cfg(test)]
mod tests;
