//! Reads the tests of a run from its archive.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::{self, Read},
    ops::ControlFlow,
};

use serde_json::Value;
use sono_analysis::{Card, CardCluster, Class, PluginTests, Rules, RunTests, TestOutput, TestRun, explain, test_name};
use sono_bundle::{Bundle, ReadError};
use sono_history::run_id;
use sono_results::{Leaf, visit_leaves};
use sono_types::layout;

use crate::{commands::failures, error::CliError, trees};

/// Maximum size of a definition in bytes.
const MAX_SMALL_BYTES: u64 = 4 << 20;
/// Variables that select tests.
const SELECTION: [&str; 2] = ["E2E_FOCUS", "E2E_SKIP"];
/// File with a plugin's definition: that of sono, and that of Sonobuoy.
const DEFINITIONS: [&str; 2] = ["definition.json", "defintion.json"];

/// Tests of a run, and facts about it.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) tests: RunTests,
    /// Id of the run; empty if not known.
    pub(super) id: String,
    /// Facts about the cluster.
    pub(super) cluster: CardCluster,
    /// Plugins that cannot be read.
    pub(super) problems: Vec<CliError>,
}

impl Run {
    /// The tests in a card, which have no nodes.
    pub(super) fn of_card(card: Card, plugin: Option<&str>) -> Self {
        let mut tests = RunTests::of_card(&card);
        if let Some(only) = plugin {
            tests.plugins.retain(|name, _| name == only);
        }
        Self {
            tests,
            id: card.run.id,
            cluster: card.cluster,
            problems: Vec::new(),
        }
    }
}

/// Kind and sentence of the cause of a failure, by plugin, file and name.
type Causes = BTreeMap<(String, Option<String>, String), (Class, String)>;

/// Durations of tests in seconds, by plugin and name without the prefix of Ginkgo.
type Durations = BTreeMap<String, HashMap<String, f64>>;

/// Reads the tests of all plugins or of one.
pub(super) fn run(bundle: &Bundle, plugin: Option<&str>) -> Result<Run, CliError> {
    let unreadable = |error: &ReadError| CliError::of_archive(error.to_string(), error);
    let mut found = Run::default();
    let rules = Rules::built_in().map_err(|error| CliError::new("cannot read the rules").caused_by(&error))?;
    // Fails if the archive has no results.
    let read = failures::with_card(bundle, plugin)?;
    let why = explain(&rules, &read.texts.outputs, &read.texts.logs);
    let card = read.texts.card.map(|parts| parts.card(&why)).unwrap_or_default();
    let mut seconds = Durations::new();
    for of_plugin in &card.plugins {
        let timed = of_plugin.tests.iter().zip(&of_plugin.milliseconds);
        let timed = timed.filter(|(_, milliseconds)| **milliseconds > 0);
        let timed = timed.map(|(name, milliseconds)| (name.clone(), f64::from(*milliseconds) / 1000.0));
        seconds.insert(of_plugin.name.clone(), timed.collect());
    }
    let classes: BTreeMap<&str, Class> = why
        .causes
        .iter()
        .map(|cause| (cause.id.as_str(), cause.class))
        .collect();
    let mut causes = Causes::new();
    for failure in &why.failures {
        let class = failure.cause.as_deref().and_then(|id| classes.get(id));
        if let (Some(class), Some(sentence)) = (class, &failure.sentence) {
            let key = (failure.plugin.clone(), failure.file.clone(), failure.name.clone());
            causes.insert(key, (*class, sentence.clone()));
        }
    }
    let mut plugins = BTreeSet::new();
    let mut scopes: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let visited = bundle.visit(&mut |name, content| {
        let parts = name.strip_prefix("plugins/").and_then(|rest| rest.split_once('/'));
        let Some((of, file)) = parts.filter(|(of, _)| plugin.is_none_or(|only| only == *of)) else {
            return Ok(ControlFlow::Continue(()));
        };
        if DEFINITIONS.contains(&file) {
            let mut scope = BTreeMap::new();
            selection(&json(content)?, &mut scope);
            scopes.insert(of.to_owned(), scope);
        } else if name == layout::results_file_named(of) {
            plugins.insert(of.to_owned());
        }
        Ok(ControlFlow::Continue(()))
    });
    visited.map_err(|error| unreadable(&error))?;
    let names: Vec<&str> = plugins.iter().map(String::as_str).collect();
    let trees = trees::of_plugins(bundle, &names).map_err(|error| unreadable(&error))?;
    for (name, files) in trees {
        match files.tree() {
            Ok(root) => {
                let mut tests = Vec::new();
                let durations = seconds.get(&name);
                visit_leaves(&root, &mut |leaf| tests.push(test(&name, leaf, durations, &mut causes)));
                let scope = scopes.remove(&name).unwrap_or_default();
                found.tests.plugins.insert(name, PluginTests { scope, tests });
            }
            Err(error) => found
                .problems
                .push(CliError::new(format!("cannot read the results of plugin `{name}`")).caused_by(&error)),
        }
    }
    found.id = run_id(&card).map_err(|error| CliError::new("cannot read the card").caused_by(&error))?;
    found.cluster = card.cluster;
    Ok(found)
}

fn test(plugin: &str, leaf: Leaf<'_>, durations: Option<&HashMap<String, f64>>, causes: &mut Causes) -> TestRun {
    let (name, status) = (leaf.item.name.clone(), leaf.item.status.clone());
    let seconds = durations.and_then(|durations| durations.get(test_name(&name)).copied());
    let node = leaf.file.and_then(node);
    let output = TestOutput::of(plugin, leaf).filter(TestOutput::is_failed);
    let (message, cause) = match output {
        Some(output) => {
            let key = (plugin.to_owned(), output.file, output.name);
            (output.message, causes.remove(&key))
        }
        None => Default::default(),
    };
    TestRun {
        name,
        node,
        status,
        message,
        cause,
        seconds,
        failure_key: None,
    }
}

/// Node of `results/NODE/…` and `errors/NODE/…`, unless it is `global`.
fn node(file: &str) -> Option<String> {
    let node = file.split('/').nth(1)?;
    (node != "global" && file.split('/').count() > 2).then(|| node.to_owned())
}

fn json(content: &mut dyn Read) -> io::Result<Value> {
    let mut text = Vec::new();
    content.take(MAX_SMALL_BYTES).read_to_end(&mut text)?;
    // A damaged file states nothing.
    Ok(serde_json::from_slice(&text).unwrap_or_default())
}

/// Collects the values of the variables that select tests: objects with `name` and `value`.
fn selection(value: &Value, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Array(list) => list.iter().for_each(|value| selection(value, found)),
        Value::Object(map) => {
            let text = |key: &str| map.get(key).and_then(Value::as_str);
            if let (Some(name), Some(value)) = (text("name"), text("value"))
                && SELECTION.contains(&name)
            {
                found.insert(name.to_owned(), value.to_owned());
            }
            map.values().for_each(|value| selection(value, found));
        }
        _ => {}
    }
}
