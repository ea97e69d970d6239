//! Applies all patterns to the evidence of one failure, each kind of text in one pass.

use std::collections::BTreeMap;

use regex::bytes::Regex;

use crate::{
    evidence::{Event, Evidence},
    finding::Proof,
    limits,
    lines::head,
    rules::{Channel, Matcher, Rules, State},
};

/// Match of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) proof: Proof,
    /// Named groups, and `object` and `node` of an event or pod.
    pub(crate) captures: BTreeMap<String, String>,
    /// Whether the state of the object confirms the match.
    pub(crate) is_sure: bool,
}

impl Hit {
    /// The captured key; empty without one.
    pub(crate) fn key(&self) -> &str {
        self.captures.get("key").map_or("", String::as_str)
    }
}

/// All matches in the evidence of a failure.
#[derive(Debug)]
pub(crate) struct Scan(BTreeMap<usize, Vec<Hit>>);

/// A text to search.
struct Line<'a> {
    text: &'a str,
    proof: &'a dyn Fn() -> Proof,
}

impl Scan {
    pub(crate) fn of(rules: &Rules, evidence: &Evidence<'_>) -> Self {
        let mut scan = Self(BTreeMap::new());
        scan.rows(rules, evidence);
        scan.texts(rules, evidence);
        scan
    }

    /// Matches of a pattern.
    pub(crate) fn hits(&self, matcher: usize) -> &[Hit] {
        self.0.get(&matcher).map_or(&[], Vec::as_slice)
    }

    /// Events, pods and nodes.
    fn rows(&mut self, rules: &Rules, evidence: &Evidence<'_>) {
        let output = evidence.output;
        let proof = |line: usize, text: String| Proof {
            file: output.file.clone(),
            part: output.log_part.to_owned(),
            line,
            text: head(&text, limits::QUOTE_BYTES).to_owned(),
        };
        for (at, event) in evidence.events.iter().enumerate() {
            let make = || {
                let Event {
                    object,
                    source,
                    reason,
                    message,
                    ..
                } = event;
                proof(event.line, format!("{object}: {{{source}}} {reason}: {message}"))
            };
            for index in rules.candidates(Channel::Event, &event.message) {
                let Some((matcher, regex)) = rules.compiled(index) else {
                    continue;
                };
                if !matcher.reasons.is_empty() && !matcher.reasons.contains(&event.reason) {
                    continue;
                }
                let Some(mut captures) = captures(regex, &event.message) else {
                    continue;
                };
                captures.insert("object".to_owned(), event.object.clone());
                let node = event.source.split(' ').nth(1).unwrap_or_default();
                captures.insert("node".to_owned(), node.to_owned());
                let Some(is_sure) = confirmed(matcher, event, evidence) else {
                    continue;
                };
                if is_resolved(matcher, &captures, evidence.events.get(at..).unwrap_or_default(), event) {
                    continue;
                }
                self.add(index, make(), captures, is_sure);
            }
        }
        for pod in evidence.pods.iter().filter(|pod| !pod.ready) {
            let text = format!("{} {}", pod.phase, pod.conditions);
            for index in rules.candidates(Channel::Pod, &text) {
                let Some(mut captures) = rules.compiled(index).and_then(|(_, regex)| captures(regex, &text)) else {
                    continue;
                };
                captures.insert("object".to_owned(), pod.name.clone());
                captures.insert("node".to_owned(), pod.node.clone());
                self.add(index, proof(pod.line, format!("{} {text}", pod.name)), captures, true);
            }
        }
        // A node without a pod of the test that is not ready did not cause its failure.
        let has_waiting_pod = |node: &str| evidence.pods.iter().any(|pod| !pod.ready && pod.node == node);
        for node in output.nodes.iter().filter(|node| has_waiting_pod(&node.name)) {
            let text = format!("{} {}", node.name, node.condition);
            let make = || Proof {
                text: head(&text, limits::QUOTE_BYTES).to_owned(),
                line: 0,
                ..proof(0, String::new())
            };
            self.line(
                rules,
                Channel::Node,
                &rules.candidates(Channel::Node, &text),
                &Line {
                    text: &text,
                    proof: &make,
                },
            );
        }
    }

    /// Message, log, and logs of containers.
    fn texts(&mut self, rules: &Rules, evidence: &Evidence<'_>) {
        let output = evidence.output;
        let at = |part: &str, line: usize, text: &str| Proof {
            file: output.file.clone(),
            part: part.to_owned(),
            line,
            text: head(text.trim(), limits::QUOTE_BYTES).to_owned(),
        };
        // The name of an error result is its message.
        if !output.is_error_result {
            let name = || at("name", 1, &output.name);
            let candidates = rules.candidates(Channel::Test, &output.name);
            let line = Line {
                text: &output.name,
                proof: &name,
            };
            self.line(rules, Channel::Test, &candidates, &line);
        }
        let mut of_message = vec![Channel::Text, Channel::Log];
        if output.is_error_result {
            of_message.push(Channel::Plugin);
        }
        for channel in of_message {
            let candidates = rules.candidates(channel, &output.message);
            if candidates.is_empty() {
                continue;
            }
            for (number, text) in (1..).zip(output.message.lines()) {
                let proof = || at("failure", number, text);
                self.line(rules, channel, &candidates, &Line { text, proof: &proof });
            }
        }
        for piece in &output.log {
            let candidates = rules.candidates(Channel::Log, &piece.text);
            if candidates.is_empty() {
                continue;
            }
            for (number, text) in (piece.first_line..).zip(piece.text.lines()) {
                if evidence.rows.contains(&number) {
                    continue;
                }
                let proof = || at(output.log_part, number, text);
                self.line(rules, Channel::Log, &candidates, &Line { text, proof: &proof });
            }
        }
        for log in &evidence.logs {
            let candidates = rules.candidates(Channel::Container, &log.text);
            if candidates.is_empty() {
                continue;
            }
            for (number, text) in (1..).zip(log.text.lines()) {
                let proof = || Proof {
                    file: Some(log.file.clone()),
                    part: String::new(),
                    line: number,
                    text: head(text.trim(), limits::QUOTE_BYTES).to_owned(),
                };
                self.line(rules, Channel::Container, &candidates, &Line { text, proof: &proof });
            }
        }
    }

    fn line(&mut self, rules: &Rules, channel: Channel, candidates: &[usize], line: &Line<'_>) {
        for index in candidates {
            let Some((matcher, regex)) = rules.compiled(*index) else {
                continue;
            };
            if matcher.channel == channel
                && self.hits(*index).len() < limits::HITS
                && let Some(captures) = captures(regex, line.text)
            {
                self.add(*index, (line.proof)(), captures, true);
            }
        }
    }

    fn add(&mut self, index: usize, proof: Proof, captures: BTreeMap<String, String>, is_sure: bool) {
        let hits = self.0.entry(index).or_default();
        if hits.len() < limits::HITS {
            hits.push(Hit {
                proof,
                captures,
                is_sure,
            });
        }
    }
}

/// Named groups of the first match.
fn captures(regex: &Regex, text: &str) -> Option<BTreeMap<String, String>> {
    let found = regex.captures(text.as_bytes())?;
    let named = regex.capture_names().flatten().filter_map(|name| {
        let value = String::from_utf8_lossy(found.name(name)?.as_bytes()).into_owned();
        Some((name.to_owned(), head(&value, limits::KEY_BYTES).to_owned()))
    });
    Some(named.collect())
}

/// Whether the state of the event's pod confirms the match; `None` if it disproves it.
fn confirmed(matcher: &Matcher, event: &Event, evidence: &Evidence<'_>) -> Option<bool> {
    match matcher.state {
        State::Any => Some(true),
        State::Unready => match evidence.pod(&event.object) {
            Some(pod) => (!pod.ready).then_some(true),
            // The pod was deleted before the table was printed.
            None => Some(false),
        },
        State::ListedUnready => evidence.pod(&event.object).filter(|pod| !pod.ready).map(|_| true),
    }
}

/// Whether a later event of the same object resolves the match.
fn is_resolved(matcher: &Matcher, captures: &BTreeMap<String, String>, later: &[Event], event: &Event) -> bool {
    let Some(template) = &matcher.resolved_by else {
        return false;
    };
    let key = captures.get("key").map_or("", String::as_str);
    let text = template.replace("{key}", key);
    later
        .iter()
        .any(|other| other.object == event.object && other.message.contains(&text))
}
