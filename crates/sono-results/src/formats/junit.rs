//! The `junit` format: JUnit XML of any dialect (core spec §6.3).
//!
//! Deviations from Sonobuoy: suites within suites are read (weakness W-15), so are test cases right below
//! `testsuites`; numbers in attributes are not looked at, so that `time="1,234.5"` does no harm; encodings other than
//! UTF-8 are read. A file that ends too early is `unknown` as a whole, and so is one without any test (weakness W-42).

use std::{borrow::Cow, collections::BTreeMap};

use quick_xml::{
    Reader,
    escape::{resolve_predefined_entity, unescape},
    events::{BytesRef, BytesStart, Event},
};
use serde_json::Value;
use sono_types::{Item, item::status};

use super::{Outcome, text::decode};
use crate::{Compatibility, tree::meta};

/// How deep suites may stand in each other.
const MAX_DEPTH: usize = 100;

/// Reads the suites and their cases.
pub(crate) fn read(content: &[u8], compatibility: Compatibility) -> Outcome {
    let mut items = match parse(&decode(content)) {
        Ok(items) => items,
        Err(message) => return Outcome::unreadable(message),
    };
    if compatibility.empty_passes {
        judge_empty(&mut items, status::PASSED, true);
    } else if has_case(&items) {
        judge_empty(&mut items, status::SKIPPED, false);
    } else {
        judge_empty(&mut items, status::UNKNOWN, false);
        return Outcome {
            items,
            ..Outcome::unreadable("the file has no test cases")
        };
    }
    Outcome {
        status: roll_up(&items).to_owned(),
        items,
        ..Outcome::default()
    }
}

/// Suites without anything in them have no status until the whole file is known.
fn has_case(items: &[Item]) -> bool {
    items.iter().any(|item| {
        if item.items.is_empty() {
            !item.status.is_empty()
        } else {
            has_case(&item.items)
        }
    })
}

/// Gives suites without anything in them a status: that one, or `unknown` where they claim to have tests, unless
/// claims do not count.
fn judge_empty(items: &mut [Item], empty: &str, ignore_claims: bool) {
    for item in items {
        judge_empty(&mut item.items, empty, ignore_claims);
        if !item.items.is_empty() {
            roll_up(&item.items).clone_into(&mut item.status);
        } else if item.status.is_empty() {
            if ignore_claims {
                item.meta.clear();
            }
            let claims = item.meta.contains_key(meta::ERROR);
            let status = if claims { status::UNKNOWN } else { empty };
            status.clone_into(&mut item.status);
        }
    }
}

/// Items without children keep this; all others are judged again once the whole tree is known.
fn roll_up(items: &[Item]) -> &'static str {
    if items.iter().any(|item| item.status == status::FAILED) {
        status::FAILED
    } else if items.iter().any(|item| item.status == status::UNKNOWN) {
        status::UNKNOWN
    } else {
        status::PASSED
    }
}

/// An element that is open.
enum Frame {
    /// `testsuites`, or the file around a root that is a suite.
    Suites(Children),
    Suite(String, Children),
    Case(Case),
    /// A part of a case, with its `message` attribute and its text.
    Part(Part, String, String),
    /// Anything else; its content is passed over.
    Other,
}

#[derive(Default)]
struct Children {
    items: Vec<Item>,
    suites: usize,
    /// How many tests were run, by a suite's own account.
    claimed: u64,
}

#[derive(Default)]
struct Case {
    name: String,
    is_skipped: bool,
    is_failed: bool,
    details: BTreeMap<String, Value>,
}

#[derive(Clone, Copy)]
enum Part {
    Skipped,
    Failure,
    Error,
    SystemOut,
    SystemErr,
}

impl Part {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "skipped" => Self::Skipped,
            "failure" => Self::Failure,
            "error" => Self::Error,
            "system-out" => Self::SystemOut,
            "system-err" => Self::SystemErr,
            _ => return None,
        })
    }
}

fn parse(text: &str) -> Result<Vec<Item>, String> {
    let mut reader = Reader::from_str(text);
    let config = reader.config_mut();
    config.expand_empty_elements = true;
    let at_line = |position: u64, message: String| {
        let end = usize::try_from(position).unwrap_or(text.len()).min(text.len());
        let line = text.as_bytes()[..end].split(|byte| *byte == b'\n').count();
        format!("line {line}: {message}")
    };
    let mut stack: Vec<Frame> = Vec::new();
    loop {
        let event = match reader.read_event() {
            Ok(event) => event,
            Err(error) => return Err(at_line(reader.error_position(), error.to_string())),
        };
        match event {
            Event::Start(element) => {
                let frame = match open(&mut stack, &element) {
                    Ok(frame) => frame,
                    // A root of another kind needs no line to be found.
                    Err(message) if stack.is_empty() => return Err(message),
                    Err(message) => return Err(at_line(reader.buffer_position(), message)),
                };
                if stack.len() > MAX_DEPTH {
                    return Err(at_line(
                        reader.buffer_position(),
                        format!("elements are nested more than {MAX_DEPTH} deep"),
                    ));
                }
                stack.push(frame);
            }
            Event::End(_) => {
                let Some(frame) = stack.pop() else { continue };
                if let Some(items) = close(frame, stack.last_mut()) {
                    return Ok(items);
                }
            }
            Event::Text(content) => append(&mut stack, &content.xml10_content()),
            Event::CData(content) => append(&mut stack, &content.xml10_content()),
            Event::GeneralRef(reference) => append(&mut stack, &resolve(&reference)),
            Event::Eof if stack.is_empty() => return Err("EOF".to_owned()),
            Event::Eof => {
                return Err(at_line(
                    reader.buffer_position(),
                    "the file ends before its root element does".to_owned(),
                ));
            }
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

fn open(stack: &mut [Frame], element: &BytesStart<'_>) -> Result<Frame, String> {
    let local_name = element.local_name();
    let name: &str = local_name.as_ref();
    Ok(match (stack.last_mut(), name) {
        (None, "testsuites") => Frame::Suites(Children::default()),
        (None, "testsuite") => suite(element, 1)?,
        (None, other) => return Err(format!("expected element type <testsuite> but have <{other}>")),
        (Some(Frame::Suites(children) | Frame::Suite(_, children)), "testsuite") => {
            children.suites += 1;
            suite(element, children.suites)?
        }
        (Some(Frame::Suites(_) | Frame::Suite(..)), "testcase") => Frame::Case(Case {
            name: attribute(element, "name")?.unwrap_or_default(),
            ..Case::default()
        }),
        (Some(Frame::Case(_)), name) => match Part::from_name(name) {
            Some(part) => Frame::Part(part, attribute(element, "message")?.unwrap_or_default(), String::new()),
            None => Frame::Other,
        },
        (Some(_), _) => Frame::Other,
    })
}

fn suite(element: &BytesStart<'_>, position: usize) -> Result<Frame, String> {
    let name = attribute(element, "name")?.filter(|name| !name.is_empty());
    Ok(Frame::Suite(
        name.unwrap_or_else(|| format!("testsuite-{position:03}")),
        Children {
            claimed: number(element, "tests")?
                .saturating_sub(number(element, "skipped")?)
                .saturating_sub(number(element, "disabled")?),
            ..Children::default()
        },
    ))
}

/// Hands a finished element to the one around it. The root's children are the result.
fn close(frame: Frame, parent: Option<&mut Frame>) -> Option<Vec<Item>> {
    let item = match (frame, parent) {
        (Frame::Suites(children), _) => return Some(children.items),
        (Frame::Suite(name, children), parent) => {
            let mut item = Item {
                name,
                items: children.items,
                ..Item::default()
            };
            if item.items.is_empty() && children.claimed > 0 {
                let error = format!("the suite has no test cases and claims to have {}", children.claimed);
                item.meta.insert(meta::ERROR.to_owned(), error);
            }
            match parent {
                None => return Some(vec![item]),
                Some(parent) => (parent, item),
            }
        }
        (Frame::Case(case), Some(parent)) => (parent, case.finish()),
        (Frame::Part(part, message, text), Some(Frame::Case(case))) => {
            case.add(part, &message, text);
            return None;
        }
        (Frame::Case(_) | Frame::Part(..) | Frame::Other, _) => return None,
    };
    if let (Frame::Suites(children) | Frame::Suite(_, children), item) = item {
        children.items.push(item);
    }
    None
}

impl Case {
    fn add(&mut self, part: Part, message: &str, text: String) {
        let complaint = || format!("{message} {text}").trim().to_owned();
        let (key, value) = match part {
            Part::Skipped => {
                self.is_skipped = true;
                return;
            }
            Part::Failure => {
                self.is_failed = true;
                ("failure", complaint())
            }
            Part::Error => {
                self.is_failed = true;
                ("error", complaint())
            }
            Part::SystemOut => ("system-out", text),
            Part::SystemErr => ("system-err", text),
        };
        if !value.is_empty() {
            self.details.insert(key.to_owned(), Value::String(value));
        }
    }

    fn finish(self) -> Item {
        let status = if self.is_skipped {
            status::SKIPPED
        } else if self.is_failed {
            status::FAILED
        } else {
            status::PASSED
        };
        Item {
            name: self.name,
            status: status.to_owned(),
            details: self.details,
            ..Item::default()
        }
    }
}

/// A number that counts only where it is one.
fn number(element: &BytesStart<'_>, name: &str) -> Result<u64, String> {
    let text = attribute(element, name)?.unwrap_or_default();
    Ok(text.trim().parse().unwrap_or(0))
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Result<Option<String>, String> {
    let found = element.try_get_attribute(name).map_err(|error| error.to_string())?;
    Ok(found.map(|attribute| {
        // Line ends stay line ends (XML would make them spaces): messages of several lines are common.
        let value = attribute.value.replace("\r\n", "\n");
        // An entity that nobody declared stays as it is written.
        unescape(&value).map_or_else(|_| value.clone(), Cow::into_owned)
    }))
}

/// Text counts only right inside the part of a case.
fn append(stack: &mut [Frame], content: &str) {
    if let Some(Frame::Part(_, _, text)) = stack.last_mut() {
        text.push_str(content);
    }
}

fn resolve(reference: &BytesRef<'_>) -> String {
    match reference.resolve_char_ref() {
        Ok(Some(character)) => return character.into(),
        Ok(None) => {
            if let Some(text) = resolve_predefined_entity(reference) {
                return text.to_owned();
            }
        }
        Err(_) => {}
    }
    let name: &str = reference;
    format!("&{name};")
}

#[cfg(test)]
mod tests;
