//! The `junit` format: JUnit XML in any dialect (core §6.3).
//!
//! Deviations from Sonobuoy, with details in `docs/results.md`:
//! - Nested suites are read (weakness W-15), and so is every other root and element that may contain a test case.
//! - Outcomes in attributes and failures of suites are evaluated.
//! - A damaged file has an `unknown` item in addition to the readable items.
//! - A file without tests is `unknown` (weakness W-42).

mod attributes;
mod durations;
mod frame;
mod outcomes;

use quick_xml::{Reader, events::Event};
use sono_types::{Item, item::status, text::decode_with_replacement};

pub use self::durations::test_durations;
use self::{
    attributes::{Attributes, is_known},
    frame::{Frame, Kind},
};
use super::ParsedFile;
use crate::{Compatibility, limits, measure::too_many_items, tree::meta};

/// Maximum nesting of elements.
const MAX_DEPTH: usize = 100;

/// Parses the suites and their cases.
pub(crate) fn read(content: &[u8], compatibility: Compatibility) -> ParsedFile {
    let decoded = decode_with_replacement(content);
    let undecoded = decoded.error.map(|error| error.to_string());
    let mut found = parse(&decoded.text, compatibility);
    if found.has_too_many_items {
        return ParsedFile::unreadable(too_many_items());
    }
    let has_replaced_name = undecoded.is_some() && has_replacement(&found.items);
    if has_replaced_name {
        found.problem.clone_from(&undecoded);
    }
    if !has_case(&found.items) && !compatibility.empty_passes {
        judge_empty(&mut found.items, status::UNKNOWN, false);
        let (items, message) = match undecoded.or(found.problem) {
            // The suites of a damaged file are incomplete.
            Some(problem) => (Vec::new(), problem),
            None => (found.items, found.other_root.unwrap_or_else(|| NO_CASES.to_owned())),
        };
        return ParsedFile {
            items,
            ..ParsedFile::unreadable(message)
        };
    }
    judge_empty(
        &mut found.items,
        if compatibility.empty_passes {
            status::PASSED
        } else {
            status::SKIPPED
        },
        compatibility.empty_passes,
    );
    if let Some(message) = found
        .problem
        .as_ref()
        .or_else(|| found.other_root.as_ref().filter(|_| found.items.is_empty()))
    {
        if found.items.is_empty() {
            return ParsedFile::unreadable(message);
        }
        let name = message.split_once(':').map_or("the file", |(line, _)| line);
        found.items.push(Item {
            name: name.to_owned(),
            status: status::UNKNOWN.to_owned(),
            meta: [(meta::ERROR.to_owned(), message.clone())].into(),
            ..Item::default()
        });
    }
    ParsedFile {
        status: roll_up(&found.items).to_owned(),
        items: found.items,
        error: found.problem.or(undecoded),
        ..ParsedFile::default()
    }
}

const NO_CASES: &str = "the file has no test cases";

/// Whether a name contains U+FFFD: damaged names may be equal to others.
fn has_replacement(items: &[Item]) -> bool {
    items
        .iter()
        .any(|item| item.name.contains('\u{fffd}') || has_replacement(&item.items))
}

/// Whether there is a test case. Empty suites have no status until the whole file has been read.
fn has_case(items: &[Item]) -> bool {
    items.iter().any(|item| {
        if item.items.is_empty() {
            !item.status.is_empty()
        } else {
            has_case(&item.items)
        }
    })
}

/// Sets the status of empty suites: `empty`, or `unknown` if their attributes report tests, unless `ignore_claims`.
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

/// Preliminary status of an item with children. It is computed again when the whole tree is rolled up.
fn roll_up(items: &[Item]) -> &'static str {
    if items.iter().any(|item| item.status == status::FAILED) {
        status::FAILED
    } else if items.iter().any(|item| item.status == status::UNKNOWN) {
        status::UNKNOWN
    } else {
        status::PASSED
    }
}

/// Content of a file.
#[derive(Default)]
struct Found {
    items: Vec<Item>,
    /// The first error with its line.
    problem: Option<String>,
    /// Error message if the first root is not a JUnit element.
    other_root: Option<String>,
    has_too_many_items: bool,
}

impl Found {
    fn problem(&mut self, text: &str, position: u64, message: impl AsRef<str>) {
        if self.problem.is_none() {
            let end = usize::try_from(position).unwrap_or(text.len()).min(text.len());
            let line = text.as_bytes()[..end].split(|byte| *byte == b'\n').count();
            self.problem = Some(format!("line {line}: {}", message.as_ref()));
        }
    }
}

fn parse(text: &str, compatibility: Compatibility) -> Found {
    let mut reader = Reader::from_str(text);
    let config = reader.config_mut();
    config.expand_empty_elements = true;
    config.allow_dangling_amp = true;
    let mut found = Found::default();
    // The file itself, the parent of all roots.
    let mut stack = vec![Frame::new(Kind::Container, "the file", Attributes::default(), None)];
    let (mut roots, mut items) = (0, 0);
    loop {
        let event = match reader.read_event() {
            Ok(event) => event,
            Err(error) => {
                found.problem(text, reader.error_position(), error.to_string());
                break;
            }
        };
        let position = reader.buffer_position();
        match event {
            Event::Start(element) => {
                if stack.len() > MAX_DEPTH {
                    let message = format!("elements are nested more than {MAX_DEPTH} levels deep");
                    found.problem(text, position, message);
                    break;
                }
                let local_name = element.local_name();
                let name: &str = local_name.as_ref();
                let attributes = match Attributes::of(&element) {
                    Ok(attributes) => attributes,
                    Err(message) => {
                        found.problem(text, position, message);
                        Attributes::default()
                    }
                };
                if stack.len() == 1 {
                    roots += 1;
                    let is_known = ["testsuites", "testsuite", "testcase"]
                        .iter()
                        .any(|known| name.eq_ignore_ascii_case(known));
                    if roots == 1 && !is_known {
                        found.other_root = Some(format!("expected element type <testsuite> but have <{name}>"));
                    }
                }
                let kind = frame::kind(&name.to_ascii_lowercase(), &stack);
                // Counts all elements that may become items.
                items += usize::from(!matches!(kind, Kind::PartContent | Kind::Ignored));
                if items > limits::FILE_ITEMS {
                    return Found {
                        has_too_many_items: true,
                        ..Found::default()
                    };
                }
                let frame = Frame::new(kind, name, attributes, stack.last_mut());
                stack.push(frame);
            }
            Event::End(_) => end(&mut stack, compatibility),
            Event::Text(content) => text_of(&mut stack, &content.xml10_content(), roots, &mut |message| {
                found.problem(text, position, message);
            }),
            Event::CData(content) => {
                if let Some(part) = part(&mut stack) {
                    part.push_text(&content.xml10_content());
                }
            }
            Event::GeneralRef(reference) => {
                let name: &str = &reference;
                let is_ignored = stack.last().is_some_and(|frame| frame.kind == Kind::Ignored);
                match part(&mut stack) {
                    Some(part) => part.push_reference(name),
                    None if is_ignored || is_known(name) => {}
                    // The entity may contain a whole report.
                    None => found.problem(text, position, format!("unsupported entity `{name}`")),
                }
            }
            Event::Eof => {
                if stack.len() > 1 {
                    found.problem(text, position, "unexpected end of file within the root element");
                } else if roots == 0 && found.problem.is_none() {
                    found.problem = Some("EOF".to_owned());
                }
                break;
            }
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
    end_all(&mut stack, compatibility);
    if let Some(file) = stack.pop() {
        let was_read = found.problem.is_some();
        found.items = file.container(compatibility).0;
        // Only cases of a damaged file are evaluated, not its suites.
        if was_read && !has_case(&found.items) {
            found.items.clear();
        }
    }
    found
}

/// Ends the innermost element.
fn end(stack: &mut Vec<Frame>, compatibility: Compatibility) {
    if stack.len() < 2 {
        return;
    }
    if let (Some(ended), Some(parent)) = (stack.pop(), stack.last_mut()) {
        parent.add(ended, compatibility);
    }
}

/// Ends all open elements of a truncated file. An open case that has not failed is omitted, as its outcome is not known.
fn end_all(stack: &mut Vec<Frame>, compatibility: Compatibility) {
    while stack.len() > 1 {
        if let Some(ended) = stack.pop_if(|frame| frame.kind == Kind::Case && !frame.is_failed()) {
            if let Some(parent) = stack.last_mut() {
                parent.items.extend(ended.items);
            }
        } else {
            end(stack, compatibility);
        }
    }
}

/// The part of a case or suite to which text belongs.
fn part(stack: &mut [Frame]) -> Option<&mut Frame> {
    stack
        .last_mut()
        .filter(|frame| matches!(frame.kind, Kind::Part(_) | Kind::PartContent))
}

/// Handles text: it belongs to a part; after a root it is an error.
fn text_of(stack: &mut [Frame], content: &str, roots: usize, problem: &mut dyn FnMut(&str)) {
    if let Some(part) = part(stack) {
        part.push_text(content);
    } else if stack.len() == 1 && roots > 0 {
        let is_blank = |character: char| character.is_whitespace() || matches!(character, '\0' | '\u{1a}' | '\u{feff}');
        if !content.chars().all(is_blank) {
            problem("unexpected content after the root element");
        }
    }
}

#[cfg(test)]
mod tests;
