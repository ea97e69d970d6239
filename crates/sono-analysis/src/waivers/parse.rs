//! Reads waiver files, with the position of each problem.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde::Deserialize;
use serde_json::Value;
use sono_types::yaml;

use super::{Glob, TestPattern, Versions, Waiver, WaiverError};
use crate::{identity::TestId, limits, signature::signature_hash};

/// Prefix of an identity in `test`.
const ID_PREFIX: &str = "id:";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileDocument {
    waivers: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WaiverDocument {
    id: String,
    plugin: String,
    test: String,
    because: String,
    owner: String,
    ticket: Option<String>,
    until: String,
    signature: Option<String>,
    #[serde(default)]
    when: Conditions,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Conditions {
    kubernetes: Option<String>,
    cluster: Option<String>,
}

pub(super) fn parse(text: &str) -> Result<Vec<Waiver>, Vec<WaiverError>> {
    let unplaced = |message: String| {
        vec![WaiverError {
            line: 1,
            column: 1,
            message,
        }]
    };
    if text.len() as u64 > limits::MAX_WAIVER_FILE_BYTES {
        let message = format!("the file exceeds {} bytes", limits::MAX_WAIVER_FILE_BYTES);
        return Err(unplaced(message));
    }
    let document: FileDocument = yaml::first_document(text).map_err(|error| {
        let (line, column) = error.position.map_or((1, 1), |at| (at.line, at.column));
        vec![WaiverError {
            line,
            column,
            message: error.message,
        }]
    })?;
    if document.waivers.len() > limits::WAIVERS {
        return Err(unplaced(format!("the file has more than {} waivers", limits::WAIVERS)));
    }
    let mut errors = Vec::new();
    let mut ids = BTreeSet::new();
    let mut list = Vec::new();
    for (number, value) in document.waivers.into_iter().enumerate() {
        let number = number.to_string();
        let place = |field: &str| {
            let paths: [&[&str]; 2] = [&["waivers", &number, field], &["waivers", &number]];
            paths.into_iter().find_map(|path| yaml::locate(text, path))
        };
        let found = of_value(value).and_then(|waiver| {
            if ids.insert(waiver.id.clone()) {
                Ok(waiver)
            } else {
                Err(("id", format!("duplicate id `{}`", waiver.id)))
            }
        });
        let field = found.as_ref().map_or_else(|(field, _)| *field, |_| "id");
        let (line, column) = place(field).map_or((1, 1), |at| (at.line, at.column));
        match found {
            Ok(waiver) => list.push(Waiver { line, column, ..waiver }),
            Err((_, message)) => errors.push(WaiverError { line, column, message }),
        }
    }
    if errors.is_empty() { Ok(list) } else { Err(errors) }
}

/// Field, and message.
type FieldProblem = (&'static str, String);

fn of_value(value: Value) -> Result<Waiver, FieldProblem> {
    let document: WaiverDocument = serde_json::from_value(value).map_err(|error| ("", error.to_string()))?;
    let WaiverDocument {
        id,
        plugin,
        test,
        because,
        owner,
        ticket,
        until,
        signature: expected,
        when,
    } = document;
    let texts = [
        ("id", Some(&id)),
        ("plugin", Some(&plugin)),
        ("test", Some(&test)),
        ("because", Some(&because)),
        ("owner", Some(&owner)),
        ("ticket", ticket.as_ref()),
        ("until", Some(&until)),
        ("signature", expected.as_ref()),
        ("when", when.kubernetes.as_ref()),
        ("when", when.cluster.as_ref()),
    ];
    for (field, text) in texts {
        let Some(text) = text else { continue };
        if text.trim().is_empty() {
            return Err((field, format!("`{field}` is empty")));
        }
        if text.len() > limits::WAIVER_TEXT_BYTES {
            let message = format!("`{field}` exceeds {} bytes", limits::WAIVER_TEXT_BYTES);
            return Err((field, message));
        }
    }
    let until: Date = until
        .parse()
        .map_err(|_| ("until", format!("invalid date `{until}`: use for example 2027-03-01")))?;
    let test = pattern(&plugin, &test)?;
    let kubernetes = when.kubernetes.as_deref().map(Versions::parse).transpose();
    Ok(Waiver {
        id,
        plugin,
        because,
        owner,
        ticket,
        until,
        test,
        kubernetes: kubernetes.map_err(|message| ("when", message))?,
        cluster: when.cluster.as_deref().map(Glob::new),
        // A message as printed and its normalized form are equal.
        signature: expected.as_deref().map(signature_hash),
        line: 0,
        column: 0,
    })
}

fn pattern(plugin: &str, test: &str) -> Result<TestPattern, FieldProblem> {
    if let Some(id) = test.strip_prefix(ID_PREFIX) {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if id.len() == 12 && id.bytes().all(is_digit) {
            return Ok(TestPattern::Id(id.to_owned()));
        }
        let message = format!("invalid identity `{id}`: it has twelve digits from 0 to f");
        return Err(("test", message));
    }
    if !test.contains('*') {
        return Ok(TestPattern::Name(TestId::of(plugin, test)));
    }
    if test.chars().all(|letter| letter == '*' || letter.is_whitespace()) {
        return Err(("test", format!("`{test}` matches every test: name the tests")));
    }
    Ok(TestPattern::Glob(Glob::new(test)))
}
