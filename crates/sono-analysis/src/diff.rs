//! Comparison of two runs, test by test.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{
    card::{Card, CardPlugin},
    identity::{TestId, identities},
    rules::Class,
    signature::signature,
};

/// A test is slower if it takes at least this many times as long …
const SLOWER_FACTOR: f64 = 3.0;
/// … and at least this many seconds more.
const SLOWER_SECONDS: f64 = 10.0;

/// Tests of one run.
#[derive(Debug, Clone, Default)]
pub struct RunTests {
    /// Plugins by name.
    pub plugins: BTreeMap<String, PluginTests>,
}

/// Tests of one plugin in one run.
#[derive(Debug, Clone, Default)]
pub struct PluginTests {
    /// What selects the plugin's tests, such as `E2E_FOCUS`, by name. If it differs, an absent test means nothing.
    pub scope: BTreeMap<String, String>,
    /// The tests.
    pub tests: Vec<TestRun>,
}

/// Result of one test in one run.
#[derive(Debug, Clone, Default)]
pub struct TestRun {
    /// Full name.
    pub name: String,
    /// Node, unless the plugin runs once for the cluster.
    pub node: Option<String>,
    /// Result status.
    pub status: String,
    /// Failure message.
    pub message: String,
    /// Cause of the failure: its kind and its sentence.
    pub cause: Option<(Class, String)>,
    /// Duration, if known.
    pub seconds: Option<f64>,
    /// What two equal failures have in common, if the message is not whole.
    pub failure_key: Option<String>,
}

impl RunTests {
    /// The tests in a run's card, without nodes.
    pub fn of_card(card: &Card) -> Self {
        let plugins = card
            .plugins
            .iter()
            .map(|plugin| (plugin.name.clone(), PluginTests::of_card(plugin)));
        Self {
            plugins: plugins.collect(),
        }
    }
}

impl PluginTests {
    fn of_card(plugin: &CardPlugin) -> Self {
        let filter = plugin
            .filter
            .iter()
            .flat_map(|filter| [("E2E_FOCUS", &filter.focus), ("E2E_SKIP", &filter.skip)]);
        let tests = plugin.tests.iter().zip(plugin.verdicts());
        let mut tests: Vec<TestRun> = tests
            .map(|(name, verdict)| TestRun {
                name: name.clone(),
                status: verdict.status().to_owned(),
                ..TestRun::default()
            })
            .collect();
        for (test, milliseconds) in tests.iter_mut().zip(&plugin.milliseconds) {
            test.seconds = (*milliseconds > 0).then(|| f64::from(*milliseconds) / 1000.0);
        }
        for failure in &plugin.failures {
            if let Some(test) = tests.get_mut(failure.test) {
                test.message.clone_from(&failure.first);
                test.cause = failure.class.map(|class| (class, failure.first.clone()));
                test.failure_key = Some(failure.cause.as_ref().unwrap_or(&failure.signature).clone());
            }
        }
        Self {
            scope: filter.map(|(name, value)| (name.to_owned(), value.clone())).collect(),
            tests,
        }
    }
}

/// Class of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Passed before, fails now.
    Regression,
    /// Passed before, fails now because of the cluster: images, nodes, network, DNS, storage, memory, quota, API server.
    Infrastructure,
    /// A new test that fails.
    NewFailure,
    /// Failed before with another message or cause.
    FailsDifferently,
    /// Failed before in the same way.
    StillFailing,
    /// Passed before, fails now, and is known as flaky.
    KnownFlake,
    /// Only one of the runs has a result that can be compared.
    Incomparable,
    /// Failed before, passes now.
    Fixed,
    /// A new test that passes.
    New,
    /// Not part of the second run.
    Removed,
    /// Passes in both runs, and takes at least three times as long and ten seconds more.
    Slower,
}

impl Change {
    /// All classes, the worst first.
    pub const ALL: [Self; 11] = [
        Self::Regression,
        Self::Infrastructure,
        Self::NewFailure,
        Self::FailsDifferently,
        Self::StillFailing,
        Self::KnownFlake,
        Self::Incomparable,
        Self::Fixed,
        Self::New,
        Self::Removed,
        Self::Slower,
    ];

    /// The word on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Regression => "regression",
            Self::Infrastructure => "infrastructure",
            Self::NewFailure => "new-failure",
            Self::FailsDifferently => "fails-differently",
            Self::StillFailing => "still-failing",
            Self::KnownFlake => "known-flake",
            Self::Incomparable => "incomparable",
            Self::Fixed => "fixed",
            Self::New => "new",
            Self::Removed => "removed",
            Self::Slower => "slower",
        }
    }
}

/// Change of one test.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TestChange {
    /// Class.
    pub change: Change,
    /// Plugin.
    pub plugin: String,
    /// Identity of the test.
    pub id: TestId,
    /// Name in the second run, or in the first one if it was removed.
    pub name: String,
    /// Node, unless the plugin runs once for the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Status in the first run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Status in the second run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Cause of the present failure, or its normalized message; or why the runs cannot be compared.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// Changes between two runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Diff {
    /// Changes by class, plugin and name. Tests without a change are only counted.
    pub changes: Vec<TestChange>,
    /// Number of tests that passed in both runs, or were skipped in both.
    pub unchanged: usize,
}

impl Diff {
    /// Number of changes of a class.
    pub fn count(&self, change: Change) -> usize {
        self.changes.iter().filter(|one| one.change == change).count()
    }
}

/// Outcome of a test for the comparison.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Passed,
    Failed,
    /// Skipped or unknown: no verdict.
    Undecided,
}

impl TestRun {
    fn state(&self) -> State {
        match self.status.as_str() {
            "passed" => State::Passed,
            "failed" | "timeout" => State::Failed,
            _ => State::Undecided,
        }
    }

    /// Cause, or normalized message, of a failure.
    fn reason(&self) -> String {
        self.cause
            .as_ref()
            .map_or_else(|| signature(&self.message), |(_, sentence)| sentence.clone())
    }

    /// Equal for failures that are the same.
    fn failure_key(&self) -> String {
        self.failure_key.clone().unwrap_or_else(|| signature(&self.reason()))
    }
}

/// A test in a run: its identity and its node.
type TestKey<'a> = (TestId, Option<&'a str>);

/// Compares two runs. `flaky` are the tests that are known as flaky.
pub fn compare(before: &RunTests, after: &RunTests, flaky: &BTreeSet<TestId>) -> Diff {
    let mut diff = Diff::default();
    let names: BTreeSet<&String> = before.plugins.keys().chain(after.plugins.keys()).collect();
    let empty = PluginTests::default();
    for name in names {
        let (old, new) = (before.plugins.get(name), after.plugins.get(name));
        let absent = match (old, new) {
            (None, _) => Some("the plugin is not part of the first run".to_owned()),
            (_, None) => Some("the plugin is not part of the second run".to_owned()),
            (Some(old), Some(new)) => scope_difference(old, new),
        };
        let pair = Pair {
            plugin: name,
            before: by_key(name, old.unwrap_or(&empty)),
            after: by_key(name, new.unwrap_or(&empty)),
            absent,
            flaky,
        };
        pair.compare(&mut diff);
    }
    diff.changes.sort_by(|one, other| {
        let key = |change: &TestChange| {
            (
                change.change,
                change.plugin.clone(),
                change.name.clone(),
                change.node.clone(),
            )
        };
        key(one).cmp(&key(other))
    });
    diff
}

/// Why absent tests mean nothing, if the plugin selected its tests differently.
fn scope_difference(old: &PluginTests, new: &PluginTests) -> Option<String> {
    let names: BTreeSet<&String> = old.scope.keys().chain(new.scope.keys()).collect();
    let differing: Vec<&str> = names
        .into_iter()
        .filter(|name| old.scope.get(*name) != new.scope.get(*name))
        .map(String::as_str)
        .collect();
    (!differing.is_empty()).then(|| format!("another {}", differing.join(", ")))
}

/// Tests by key. Of several results of one test the worst one counts.
fn by_key<'a>(plugin: &str, tests: &'a PluginTests) -> BTreeMap<TestKey<'a>, &'a TestRun> {
    let names: Vec<&str> = tests.tests.iter().map(|test| test.name.as_str()).collect();
    let mut found: BTreeMap<TestKey<'a>, &TestRun> = BTreeMap::new();
    let rank = |test: &TestRun| match test.state() {
        State::Failed => 2,
        State::Passed => 1,
        State::Undecided => 0,
    };
    for (id, test) in identities(plugin, &names).into_iter().zip(&tests.tests) {
        let entry = found.entry((id, test.node.as_deref())).or_insert(test);
        if rank(test) > rank(entry) {
            *entry = test;
        }
    }
    found
}

/// Tests of one plugin in both runs.
struct Pair<'a> {
    plugin: &'a str,
    before: BTreeMap<TestKey<'a>, &'a TestRun>,
    after: BTreeMap<TestKey<'a>, &'a TestRun>,
    /// Why an absent test means nothing.
    absent: Option<String>,
    flaky: &'a BTreeSet<TestId>,
}

impl Pair<'_> {
    fn compare(&self, diff: &mut Diff) {
        let keys: BTreeSet<&TestKey<'_>> = self.before.keys().chain(self.after.keys()).collect();
        let nodes = |tests: &BTreeMap<TestKey<'_>, &TestRun>| -> BTreeSet<String> {
            tests.keys().filter_map(|(_, node)| node.map(str::to_owned)).collect()
        };
        let (old_nodes, new_nodes) = (nodes(&self.before), nodes(&self.after));
        for key in keys {
            let (old, new) = (self.before.get(key).copied(), self.after.get(key).copied());
            let is_node_known = key
                .1
                .is_none_or(|node| old_nodes.contains(node) && new_nodes.contains(node));
            let found = match (old, new) {
                (Some(old), Some(new)) => self.both(&key.0, old, new),
                (None, Some(one)) | (Some(one), None) => self.only(one, new.is_some(), is_node_known),
                (None, None) => None,
            };
            let (Some((change, reason)), Some(shown)) = (found, new.or(old)) else {
                diff.unchanged += 1;
                continue;
            };
            diff.changes.push(TestChange {
                change,
                plugin: self.plugin.to_owned(),
                id: key.0.clone(),
                name: shown.name.clone(),
                node: shown.node.clone(),
                before: old.map(|test| test.status.clone()),
                after: new.map(|test| test.status.clone()),
                reason,
            });
        }
    }

    /// Change of a test that both runs have; `None` without a change.
    fn both(&self, id: &TestId, old: &TestRun, new: &TestRun) -> Option<(Change, String)> {
        let reason = || new.reason();
        Some(match (old.state(), new.state()) {
            (State::Passed, State::Failed) => {
                let is_infrastructure = new.cause.as_ref().is_some_and(|(class, _)| class.is_infrastructure());
                let change = if is_infrastructure {
                    Change::Infrastructure
                } else if self.flaky.contains(id) {
                    Change::KnownFlake
                } else {
                    Change::Regression
                };
                (change, reason())
            }
            (State::Failed, State::Failed) if old.failure_key() == new.failure_key() => {
                (Change::StillFailing, reason())
            }
            (State::Failed, State::Failed) => (Change::FailsDifferently, reason()),
            (State::Failed, State::Passed) => (Change::Fixed, old.reason()),
            (State::Passed, State::Passed) if is_slower(old, new) => (
                Change::Slower,
                format!(
                    "{:.0} s, before {:.0} s",
                    new.seconds.unwrap_or_default(),
                    old.seconds.unwrap_or_default()
                ),
            ),
            (State::Passed, State::Passed) | (State::Undecided, State::Undecided) => return None,
            (State::Undecided, _) => (Change::Incomparable, format!("{} in the first run", old.status)),
            (_, State::Undecided) => (Change::Incomparable, format!("{} in the second run", new.status)),
        })
    }

    /// Change of a test that only one run has; `None` without a verdict.
    fn only(&self, test: &TestRun, is_new: bool, is_node_known: bool) -> Option<(Change, String)> {
        if test.state() == State::Undecided {
            return None;
        }
        let incomparable = |reason: &str| Some((Change::Incomparable, reason.to_owned()));
        if let Some(reason) = &self.absent {
            return incomparable(reason);
        }
        if !is_node_known {
            return incomparable("the node has no results in the other run");
        }
        Some(match (is_new, test.state()) {
            (true, State::Failed) => (Change::NewFailure, test.reason()),
            (true, _) => (Change::New, String::new()),
            (false, _) => (Change::Removed, String::new()),
        })
    }
}

fn is_slower(old: &TestRun, new: &TestRun) -> bool {
    matches!((old.seconds, new.seconds), (Some(old), Some(new)) if new >= old * SLOWER_FACTOR && new - old >= SLOWER_SECONDS)
}
