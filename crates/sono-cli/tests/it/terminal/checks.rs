//! Checks of all printed output.

use regex::Regex;
use serde_json::Value;

use super::{
    pty::{Ends, Printed, run},
    scenarios::{Kind, Scenario},
    world::{COLOUR, LINE, TEXT, World},
};

/// Escape sequences that the program itself writes: styles, and those that redraw progress bars.
const OWN: &str = "\u{1b}\\[(?:[0-9;]*m|\\d*[ABGK]|\\?25[lh])|\r";

/// Runs a scenario on a terminal and in pipes, and returns all problems.
pub(super) fn check(scenario: &Scenario, world: &World) -> Vec<String> {
    let ways: &[Ends] = match scenario.kind {
        Kind::Json | Kind::Yaml | Kind::Xml => &[Ends::Terminal, Ends::Screen, Ends::Pipes],
        _ => &[Ends::Terminal, Ends::Pipes],
    };
    let mut outcomes = Vec::new();
    for ends in ways {
        // A command may change the world, so each run has a new one.
        let fresh;
        let world = if scenario.changes {
            fresh = World::for_scenario(scenario);
            &fresh
        } else {
            world
        };
        outcomes.push((
            *ends,
            run(*ends, world.directory(), &world.variables(), &world.arguments(scenario)),
            world.summary(),
        ));
    }
    let mut wrong = Vec::new();
    for (ends, printed, summary) in &outcomes {
        let mut problems = problems(scenario, *ends, printed);
        if let Some(summary) = summary {
            problems.extend(text_problems(summary, "summary", false));
            problems.extend(markdown_problems(summary));
        }
        wrong.extend(problems.into_iter().map(|problem| {
            format!(
                "sono {} {:?} ({ends:?}): {problem}\n  stdout: {:?}\n  stderr: {:?}",
                scenario.command, scenario.arguments, printed.stdout, printed.stderr
            )
        }));
    }
    if let [_, (_, screen, _), (_, piped, _)] = outcomes.as_slice() {
        wrong.extend(compare(scenario, &screen.stdout, &piped.stdout));
    }
    wrong
}

fn problems(scenario: &Scenario, ends: Ends, printed: &Printed) -> Vec<String> {
    let Printed { stdout, stderr } = printed;
    let mut problems = text_problems(stderr, "standard error", scenario.quotes);
    let everything = format!("{stdout}{stderr}");
    if scenario.shows && !everything.contains("EVIL") {
        problems.push("the foreign text is not shown at all".to_owned());
    }
    let is_pipe = ends == Ends::Pipes;
    match scenario.kind {
        Kind::Json | Kind::Yaml | Kind::Xml | Kind::Verbatim | Kind::Log if is_pipe => {
            // `compare` also checks the bytes.
            if scenario.kind == Kind::Log && !stdout.contains(LINE)
                || scenario.kind == Kind::Verbatim && scenario.shows && !stdout.contains('\u{202e}')
            {
                problems.push("a pipe does not get the bytes as they are".to_owned());
            }
        }
        Kind::Log => {
            if !stdout.contains(COLOUR) {
                problems.push("a log on a terminal has lost its colours".to_owned());
            }
            problems.extend(hidden(&stdout.replace(COLOUR, ""), "standard output"));
        }
        Kind::Json | Kind::Yaml | Kind::Xml | Kind::Verbatim => problems.extend(hidden(stdout, "standard output")),
        Kind::Markdown => {
            problems.extend(text_problems(stdout, "standard output", scenario.quotes));
            problems.extend(markdown_problems(stdout));
        }
        Kind::Text => problems.extend(text_problems(stdout, "standard output", scenario.quotes)),
    }
    problems
}

/// Reports control sequences, and lines of others that look like lines of the program.
fn text_problems(text: &str, place: &str, quotes: bool) -> Vec<String> {
    let mut problems = hidden(text, place);
    if quotes {
        return problems;
    }
    if let Some(line) = without_own(text)
        .lines()
        .find(|line| line.starts_with("FORGED") || line.starts_with("  hint:  FORGED"))
    {
        problems.push(format!("{place} has a forged line: {line:?}"));
    }
    problems
}

fn without_own(text: &str) -> String {
    Regex::new(OWN).unwrap().replace_all(text, "").into_owned()
}

fn hidden(text: &str, place: &str) -> Vec<String> {
    let rest = without_own(text);
    let found = rest.chars().find(|character| is_hidden(*character));
    let mut problems: Vec<String> = found
        .map(|character| format!("{place} has {character:?}"))
        .into_iter()
        .collect();
    if text.contains(COLOUR) {
        problems.push(format!("{place} has a colour of others"));
    }
    if text.contains("\rover") {
        problems.push(format!("{place} has a carriage return of others"));
    }
    problems
}

/// Whether a character is invisible or named by the issue. Independent of the program's list.
fn is_hidden(character: char) -> bool {
    (character.is_control() && !matches!(character, '\n' | '\t'))
        || matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn markdown_problems(text: &str) -> Vec<String> {
    let active = Regex::new(r"(?m)^# h|(?:^|[^\\])\]\(|[^\\]<img|[^\\`]http:|[^`@\w.+-]@m\b").unwrap();
    let outside = without_code(text);
    let mut problems: Vec<String> = active
        .find(&outside)
        .map(|found| format!("Markdown has {:?}", found.as_str()))
        .into_iter()
        .collect();
    let cells = Regex::new(r"\\.").unwrap();
    let widths: Vec<usize> = outside
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| cells.replace_all(line, "").matches('|').count())
        .collect();
    if widths.iter().any(|width| *width != widths[0]) {
        problems.push(format!("rows of a table differ: {widths:?}"));
    }
    problems
}

/// The Markdown without blocks and spans of code, which are not interpreted.
fn without_code(text: &str) -> String {
    let mut remaining = Vec::new();
    let mut fence: Option<&str> = None;
    // Comments contain the names of the summary's sections.
    for line in text.lines().filter(|line| !line.starts_with("<!-- sono: ")) {
        let ticks = line
            .trim_start()
            .split(|character| character != '`')
            .next()
            .unwrap_or_default();
        match fence {
            Some(open) if ticks.len() >= open.len() && line.trim_start() == ticks => fence = None,
            Some(_) => {}
            None if ticks.len() >= 3 && line.trim_start().strip_prefix(ticks) == Some("text") => fence = Some(ticks),
            None => remaining.push(line),
        }
    }
    let mut text = remaining.join("\n");
    for ticks in ["``", "`"] {
        // A backslash outside of code escapes a backtick.
        let span = Regex::new(&format!(
            r"(^|[^\\`]){ticks}([^`]|{})*{ticks}",
            if ticks.len() == 2 { "`[^`]" } else { "[^`]" }
        ))
        .unwrap();
        text = span.replace_all(&text, "${1}code").into_owned();
    }
    text
}

/// Checks that the data on a terminal and in a pipe is the same.
fn compare(scenario: &Scenario, screen: &str, piped: &str) -> Vec<String> {
    let values = |text: &str| -> Result<Vec<Value>, String> {
        match scenario.kind {
            Kind::Json => serde_json::Deserializer::from_str(text)
                .into_iter()
                .collect::<Result<_, _>>()
                .map_err(|error| error.to_string()),
            Kind::Yaml => sono_types::yaml::all_documents(text).map_err(|error| error.to_string()),
            _ => {
                let references = Regex::new(r"&#x([0-9a-f]+);").unwrap();
                let read = references.replace_all(text, |found: &regex::Captures<'_>| {
                    char::from_u32(u32::from_str_radix(&found[1], 16).unwrap())
                        .unwrap()
                        .to_string()
                });
                Ok(vec![Value::String(read.into_owned())])
            }
        }
    };
    match (values(screen), values(piped)) {
        (Ok(screen), Ok(piped)) if screen == piped => {
            let whole = |value: &Value| contains(value, TEXT) || contains(value, LINE) || scenario.kind == Kind::Xml;
            if scenario.shows && !piped.iter().any(whole) {
                return vec![format!(
                    "sono {} {:?}: no value is the foreign text: {piped:?}",
                    scenario.command, scenario.arguments
                )];
            }
            Vec::new()
        }
        other => vec![format!(
            "sono {} {:?}: terminal and pipe differ: {other:?}",
            scenario.command, scenario.arguments
        )],
    }
}

fn contains(value: &Value, text: &str) -> bool {
    match value {
        Value::String(string) => string.contains(text),
        Value::Array(values) => values.iter().any(|value| contains(value, text)),
        Value::Object(map) => map
            .iter()
            .any(|(key, value)| key.contains(text) || contains(value, text)),
        _ => false,
    }
}
