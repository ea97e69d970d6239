//! Runs the examples of rules, which are the tests of rule files.

use std::{collections::BTreeSet, fmt};

use crate::{
    evidence::{Event, Evidence, Pod},
    explain::{apply_one, find},
    finding::Finding,
    limits,
    lines::pieces,
    output::{ContainerLog, NodeState, TestOutput},
    rules::{Example, Rule, Rules},
};

/// Failed example of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExampleProblem {
    /// Id of the rule.
    pub rule: String,
    /// List and number of the example, such as `examples 1`; empty for the rule itself.
    pub example: String,
    /// Problem.
    pub message: String,
}

impl fmt::Display for ExampleProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, example, message } = self;
        if example.is_empty() {
            write!(formatter, "rule `{rule}`: {message}")
        } else {
            write!(formatter, "rule `{rule}`, {example}: {message}")
        }
    }
}

/// Problems of all examples: each must be explained by its rule and no earlier one, and the rule must not match `others`.
pub fn check_examples(rules: &Rules) -> Vec<ExampleProblem> {
    rules.all().iter().flat_map(|rule| of_rule(rules, rule)).collect()
}

fn of_rule(rules: &Rules, rule: &Rule) -> Vec<ExampleProblem> {
    let problem = |example: String, message: String| ExampleProblem {
        rule: rule.id.clone(),
        example,
        message,
    };
    let mut problems = Vec::new();
    for (list, examples) in [("examples", &rule.examples), ("others", &rule.others)] {
        if examples.is_empty() {
            problems.push(problem(String::new(), format!("`{list}` is empty")));
        }
    }
    for (number, example) in (1..).zip(&rule.examples) {
        let place = format!("examples {number}");
        match found(example, |evidence| find(rules, evidence)) {
            None => problems.push(problem(place, "no rule matches".to_owned())),
            Some(found) if found.rule != rule.id => {
                problems.push(problem(place, format!("rule `{}` matches first", found.rule)));
            }
            Some(found) => {
                let key = found.keys.first().cloned();
                if key != example.key {
                    let name =
                        |key: Option<String>| key.map_or_else(|| "no key".to_owned(), |key| format!("key `{key}`"));
                    let message = format!("found {}, expected {}", name(key), name(example.key.clone()));
                    problems.push(problem(place, message));
                }
            }
        }
    }
    for (number, example) in (1..).zip(&rule.others) {
        if let Some(found) = found(example, |evidence| apply_one(&rule.id, rules, evidence)) {
            let quoted = found.proofs.first().map(|proof| proof.text.clone()).unwrap_or_default();
            problems.push(problem(
                format!("others {number}"),
                format!("the rule matches `{quoted}`"),
            ));
        }
    }
    problems
}

/// The finding in the evidence of an example.
fn found(example: &Example, find: impl Fn(&Evidence<'_>) -> Option<Finding>) -> Option<Finding> {
    let message = example
        .failure
        .clone()
        .or_else(|| example.plugin.clone())
        .unwrap_or_default();
    let node = example.node.as_deref().and_then(|node| node.split_once(' '));
    let output = TestOutput {
        plugin: "e2e".to_owned(),
        name: example
            .test
            .clone()
            .or_else(|| example.plugin.clone())
            .unwrap_or_default(),
        file: None,
        status: "failed".to_owned(),
        message,
        log_part: "system-err",
        nodes: node
            .map(|(name, condition)| NodeState {
                name: name.to_owned(),
                condition: condition.to_owned(),
            })
            .into_iter()
            .collect(),
        is_error_result: example.plugin.is_some(),
        log: pieces(example.log.as_deref().unwrap_or_default(), limits::LOG_END_BYTES),
    };
    let log = example.container.as_ref().map(|text| ContainerLog {
        file: "logs.txt".to_owned(),
        plugin: "e2e".to_owned(),
        namespace: "n".to_owned(),
        text: text.clone(),
    });
    let state = example.pod.as_deref().unwrap_or("Pending");
    let pod = Pod {
        name: "pod-1".to_owned(),
        node: "node1".to_owned(),
        phase: if state == "Ready" { "Running" } else { state }.to_owned(),
        ready: matches!(state, "Ready" | "Succeeded"),
        conditions: example.conditions.clone().unwrap_or_default(),
        line: 1,
    };
    let events = [&example.event, &example.then].into_iter().flatten().map(|text| {
        let (reason, message) = text.split_once(": ").unwrap_or((text, ""));
        Event {
            object: "pod-1".to_owned(),
            source: "kubelet node1".to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            ..Event::default()
        }
    });
    find(&Evidence {
        output: &output,
        namespace: Some("n".to_owned()),
        location: None,
        time: None,
        events: events.collect(),
        pods: Some(pod).filter(|_| state != "none").into_iter().collect(),
        logs: log.iter().collect(),
        rows: BTreeSet::new(),
    })
}
