//! Reads rule files, with the position of the first problem.

use std::{collections::BTreeSet, sync::OnceLock};

use regex::bytes::{Regex, RegexBuilder};
use serde::Deserialize;
use sono_types::yaml;

use super::{Channel, Class, Example, Matcher, Rule, RuleError, State};
use crate::{finding::Certainty, limits};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileDocument {
    rules: Vec<RuleDocument>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RuleDocument {
    id: String,
    class: Class,
    #[serde(default)]
    certainty: Certainty,
    #[serde(default)]
    any: Vec<MatcherDocument>,
    #[serde(default)]
    all: Vec<MatcherDocument>,
    #[serde(default)]
    not: Vec<MatcherDocument>,
    sentence: String,
    summary: String,
    next: String,
    produced: String,
    #[serde(default)]
    examples: Vec<Example>,
    #[serde(default)]
    others: Vec<Example>,
}

/// One of the fields other than `times`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct MatcherDocument {
    event: Option<String>,
    reason: Vec<String>,
    state: State,
    resolved_by: Option<String>,
    pod: Option<String>,
    node: Option<String>,
    text: Option<String>,
    log: Option<String>,
    container: Option<String>,
    plugin: Option<String>,
    test: Option<String>,
    times: Option<usize>,
}

/// A rule of a file with its matchers.
pub(super) struct Parsed {
    pub(super) rule: Rule,
    pub(super) lists: [Vec<Matcher>; 3],
}

pub(super) fn unplaced(message: String) -> RuleError {
    RuleError {
        line: None,
        column: None,
        message,
    }
}

pub(super) fn last_line(text: &str) -> String {
    let last = text.lines().last().unwrap_or(text).trim();
    last.trim_start_matches("error: ").to_owned()
}

pub(super) fn build(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern)
        .unicode(false)
        .multi_line(true)
        .size_limit(limits::COMPILED_BYTES)
        .build()
}

/// Parses a rule file. `check` compiles each pattern, to report the position of a wrong one.
pub(super) fn parse(text: &str, check: bool) -> Result<Vec<Parsed>, RuleError> {
    if text.len() as u64 > limits::MAX_RULE_FILE_BYTES {
        return Err(unplaced(format!(
            "the file exceeds {} bytes",
            limits::MAX_RULE_FILE_BYTES
        )));
    }
    let document: FileDocument = yaml::first_document(text).map_err(|error| RuleError {
        line: error.position.map(|position| position.line),
        column: error.position.map(|position| position.column),
        message: error.message,
    })?;
    if document.rules.len() > limits::RULES {
        return Err(unplaced(format!("the file has more than {} rules", limits::RULES)));
    }
    let mut ids = BTreeSet::new();
    let mut parsed = Vec::new();
    for (number, rule) in document.rules.into_iter().enumerate() {
        let number = number.to_string();
        let at = |path: &[&str], message: String| {
            let path: Vec<&str> = ["rules", &number].into_iter().chain(path.iter().copied()).collect();
            let position = yaml::locate(text, &path);
            RuleError {
                line: position.map(|position| position.line),
                column: position.map(|position| position.column),
                message,
            }
        };
        let id = rule.id.clone();
        let is_name = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        if id.is_empty() || id.len() > 63 || !id.chars().all(is_name) {
            return Err(at(
                &["id"],
                format!("invalid id `{id}`: use lower-case letters, digits and -"),
            ));
        }
        if !ids.insert(id.clone()) {
            return Err(at(&["id"], format!("duplicate id `{id}`")));
        }
        parsed.push(of_document(rule, check).map_err(|(path, message)| {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            at(&path, message)
        })?);
    }
    Ok(parsed)
}

/// Path within the rule, and message.
type Problem = (Vec<String>, String);

fn of_document(document: RuleDocument, check: bool) -> Result<Parsed, Problem> {
    let RuleDocument {
        id,
        class,
        certainty,
        any,
        all,
        not,
        sentence,
        summary,
        next,
        produced,
        examples,
        others,
    } = document;
    if any.is_empty() && all.is_empty() {
        return Err((Vec::new(), format!("rule `{id}` has neither `any` nor `all`")));
    }
    let texts = [
        ("sentence", &sentence),
        ("summary", &summary),
        ("next", &next),
        ("produced", &produced),
    ];
    for (field, text) in texts {
        if text.len() > limits::PATTERN_BYTES {
            let message = format!("`{field}` exceeds {} bytes", limits::PATTERN_BYTES);
            return Err((vec![field.to_owned()], message));
        }
        if text.trim().is_empty() && field != "next" {
            return Err((vec![field.to_owned()], format!("`{field}` is empty")));
        }
    }
    let mut names: BTreeSet<String> = ["namespace", "plugin", "object", "node"].map(str::to_owned).into();
    let mut list = |field: &str, documents: Vec<MatcherDocument>| {
        let matchers = documents.into_iter().enumerate().map(|(number, document)| {
            let path = vec![field.to_owned(), number.to_string()];
            let matcher = document.matcher().map_err(|message| (path.clone(), message))?;
            if check {
                let regex = build(&matcher.pattern);
                let regex = regex.map_err(|error| {
                    let message = format!("invalid pattern: {}", last_line(&error.to_string()));
                    (path.clone(), message)
                })?;
                names.extend(regex.capture_names().flatten().map(str::to_owned));
            }
            Ok(matcher)
        });
        matchers.collect::<Result<Vec<Matcher>, Problem>>()
    };
    let lists = [list("any", any)?, list("all", all)?, list("not", not)?];
    for (field, text) in [("sentence", &sentence), ("next", &next)] {
        let unknown = placeholders(text).into_iter().find(|name| !names.contains(*name));
        if let Some(name) = unknown.filter(|_| check) {
            let message = format!("no pattern captures `{name}`: add a group (?P<{name}>…)");
            return Err((vec![field.to_owned()], message));
        }
    }
    Ok(Parsed {
        rule: Rule {
            id,
            class,
            certainty,
            sentence,
            summary,
            next,
            produced,
            examples,
            others,
            any: Vec::new(),
            all: Vec::new(),
            not: Vec::new(),
        },
        lists,
    })
}

/// Names in braces.
fn placeholders(template: &str) -> Vec<&str> {
    let parts = template.split('{').skip(1);
    parts
        .filter_map(|part| part.split_once('}').map(|(name, _)| name))
        .collect()
}

impl MatcherDocument {
    fn matcher(self) -> Result<Matcher, String> {
        let fields = [
            (Channel::Event, self.event),
            (Channel::Pod, self.pod),
            (Channel::Node, self.node),
            (Channel::Text, self.text),
            (Channel::Log, self.log),
            (Channel::Container, self.container),
            (Channel::Plugin, self.plugin),
            (Channel::Test, self.test),
        ];
        let mut given = fields
            .into_iter()
            .filter_map(|(channel, pattern)| Some((channel, pattern?)));
        let (channel, pattern) = given
            .next()
            .ok_or("a matcher requires one of event, pod, node, text, log, container, plugin, test")?;
        if given.next().is_some() {
            return Err("a matcher has only one of event, pod, node, text, log, container, plugin, test".to_owned());
        }
        let is_of_event = !self.reason.is_empty() || self.state != State::Any || self.resolved_by.is_some();
        if channel != Channel::Event && is_of_event {
            return Err("reason, state and resolved-by require event".to_owned());
        }
        if pattern.len() > limits::PATTERN_BYTES {
            return Err(format!("the pattern exceeds {} bytes", limits::PATTERN_BYTES));
        }
        Ok(Matcher {
            channel,
            pattern,
            reasons: self.reason,
            state: self.state,
            resolved_by: self.resolved_by,
            times: self.times.unwrap_or(1),
            regex: OnceLock::new(),
        })
    }
}
