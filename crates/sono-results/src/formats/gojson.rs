//! The `gojson` format: the output of `go test -json`.
//!
//! Deviations from Sonobuoy:
//! - Lines of plain text and objects without a known action are skipped; they do not end the file.
//! - An invalid event is an `unknown` item, and so is a test or package that started and did not finish (weakness W-16).
//! - A package that failed without a failed test is an item.
//! - A stream without tests is `unknown` (weakness W-42).
//! - Items that did not pass contain their output.

mod event;

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use sono_types::{Item, item::status, text::decode_with_replacement};

use self::event::Event;
use super::ParsedFile;
use crate::{Compatibility, limits, measure::too_many_items, tree::meta};

/// Maximum size of a test's output in bytes. The end is retained, as it usually has the reason of a failure.
const MAX_OUTPUT: usize = 64 << 10;

/// Key of a test's output in the details.
const OUTPUT: &str = "output";

/// Parses the events into one item per finished test, in order. `file` is the file's name, used for events without a
/// package.
pub(crate) fn read(content: &[u8], file: &str, compatibility: Compatibility) -> ParsedFile {
    let decoded = decode_with_replacement(content);
    let text = decoded.text;
    let mut stream = Stream::default();
    let (mut at, mut line) = (0, 1);
    while at < text.len() {
        let rest = &text[at..];
        let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\u{feff}']).len();
        let mut end = blank;
        if let Some((before, event, length)) = event_after_text(&rest[blank..line_end(rest)]) {
            stream.line(before);
            end += before.len() + length;
            stream.event(event);
        } else if rest[blank..].starts_with('{') {
            let mut events = serde_json::Deserializer::from_str(&rest[blank..]).into_iter::<Event>();
            let event = events.next().unwrap_or_else(|| Ok(Event::default()));
            match event.map_err(|error| without_position(&error)) {
                Ok(event) => {
                    end += events.byte_offset();
                    stream.event(event);
                }
                Err(message) => {
                    end = line_end(rest);
                    // Other text in braces is output of the tests.
                    if rest[..end].to_ascii_lowercase().contains("\"action\"") {
                        stream.unreadable(line, &message);
                    }
                }
            }
        } else {
            end = line_end(rest);
            stream.line(&rest[..end]);
        }
        if stream.size() > limits::FILE_ITEMS {
            return ParsedFile::unreadable(too_many_items());
        }
        line += rest[..end].bytes().filter(|byte| *byte == b'\n').count();
        at += end;
    }
    if let Some(error) = decoded.error {
        stream.error.get_or_insert_with(|| error.to_string());
    }
    stream.finish(file, compatibility)
}

/// An event after other text in its line: the text, the event and its length in bytes. Other writers to the stream may not end
/// their line, and logs add timestamps.
fn event_after_text(line: &str) -> Option<(&str, Event, usize)> {
    let at = line.find("{\"").filter(|at| *at > 0)?;
    if line.starts_with('{') {
        return None;
    }
    let mut events = serde_json::Deserializer::from_str(&line[at..]).into_iter::<Event>();
    let event = events.next()?.ok().filter(|event| !event.action.is_empty())?;
    Some((&line[..at], event, events.byte_offset()))
}

fn line_end(text: &str) -> usize {
    text.find('\n').map_or(text.len(), |end| end + 1)
}

/// The message without its position, which is relative to the start of the event.
fn without_position(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&position).unwrap_or(&message).to_owned()
}

/// A package and a test; the test is empty for the package itself.
type Key = (String, String);

#[derive(Default)]
struct Stream {
    items: Vec<Item>,
    outputs: BTreeMap<Key, String>,
    /// Running tests with their start order.
    running: BTreeMap<Key, usize>,
    started: usize,
    /// Failed packages with their failed build.
    failed_packages: BTreeMap<String, String>,
    passed_packages: BTreeSet<String>,
    /// Packages that started and have not finished.
    open_packages: BTreeSet<String>,
    ended_packages: BTreeSet<String>,
    failed_builds: BTreeSet<String>,
    packages_with_failed_tests: BTreeSet<String>,
    /// A plain text line of the go command was `FAIL`.
    has_fail_line: bool,
    /// Items of invalid events, with their position.
    broken: Vec<(usize, Item)>,
    error: Option<String>,
}

impl Stream {
    /// Number of stored elements, for the limit of items.
    fn size(&self) -> usize {
        [
            self.items.len(),
            self.outputs.len(),
            self.running.len(),
            self.failed_packages.len(),
            self.passed_packages.len(),
            self.open_packages.len(),
            self.ended_packages.len(),
            self.failed_builds.len(),
            self.packages_with_failed_tests.len(),
            self.broken.len(),
        ]
        .into_iter()
        .sum()
    }

    fn event(&mut self, event: Event) {
        let key = (event.package, event.test);
        let begins = matches!(event.action.as_str(), "start" | "run");
        match event.action.as_str() {
            "" => return,
            "build-output" | "build-fail" => {}
            _ if begins || !self.ended_packages.contains(&key.0) => {
                self.open_packages.insert(key.0.clone());
            }
            _ => {}
        }
        let status = match event.action.as_str() {
            "output" => {
                self.output(key, &event.output);
                return;
            }
            "build-output" => {
                self.output((event.import_path, String::new()), &event.output);
                return;
            }
            "run" => {
                self.started += 1;
                self.running.insert(key, self.started);
                return;
            }
            // A benchmark has no other event for its end.
            "bench" => {
                self.running.remove(&key);
                return;
            }
            "build-fail" => {
                self.failed_builds.insert(event.import_path);
                return;
            }
            "pass" => status::PASSED,
            "fail" => status::FAILED,
            "skip" => status::SKIPPED,
            _ => return,
        };
        self.running.remove(&key);
        let output = self.outputs.remove(&key).unwrap_or_default();
        let (package, test) = key;
        if test.is_empty() {
            self.open_packages.remove(&package);
            self.ended_packages.insert(package.clone());
            match status {
                status::FAILED => {
                    self.outputs.insert((package.clone(), test), output);
                    self.failed_packages.insert(package, event.failed_build);
                }
                status::PASSED => {
                    self.passed_packages.insert(package);
                }
                _ => {}
            }
            return;
        }
        if status == status::FAILED {
            self.packages_with_failed_tests.insert(package);
        }
        let has_output = status == status::FAILED;
        self.items
            .push(item(&test, status, if has_output { &output } else { "" }));
    }

    /// Adds a line of plain text: before Go 1.24 the go command reports packages that it cannot build or set up only there.
    fn line(&mut self, text: &str) {
        let Some(rest) = text.trim_end().strip_prefix("FAIL") else {
            return;
        };
        match rest.strip_prefix('\t').and_then(|rest| rest.split_whitespace().next()) {
            Some(package) => {
                self.open_packages.remove(package);
                self.ended_packages.insert(package.to_owned());
                self.failed_packages.entry(package.to_owned()).or_default();
            }
            None => self.has_fail_line |= rest.is_empty(),
        }
    }

    fn output(&mut self, key: Key, text: &str) {
        let output = self.outputs.entry(key).or_default();
        output.push_str(text);
        if output.len() > 2 * MAX_OUTPUT {
            *output = tail(output).to_owned();
        }
    }

    fn unreadable(&mut self, line: usize, message: &str) {
        let error = format!("line {line}: {message}");
        let mut item = item(&format!("line {line}"), status::UNKNOWN, "");
        item.meta.insert(meta::ERROR.to_owned(), error.clone());
        self.broken.push((self.items.len(), item));
        self.error.get_or_insert(error);
    }

    fn finish(mut self, file: &str, compatibility: Compatibility) -> ParsedFile {
        let name_of = |package: &str| {
            if package.is_empty() {
                file.to_owned()
            } else {
                package.to_owned()
            }
        };
        let assigned: BTreeSet<String> = self.failed_packages.values().cloned().collect();
        for (package, build) in mem::take(&mut self.failed_packages) {
            // The name of a failed build may be that of its package.
            self.failed_builds.remove(&package);
            if !self.packages_with_failed_tests.contains(&package) {
                let mut output = self.outputs.remove(&(build, String::new())).unwrap_or_default();
                let own = self.outputs.remove(&(package.clone(), String::new()));
                output.push_str(&own.unwrap_or_default());
                self.items.push(item(&name_of(&package), status::FAILED, &output));
            }
        }
        for build in mem::take(&mut self.failed_builds).difference(&assigned) {
            let output = self.outputs.remove(&(build.clone(), String::new())).unwrap_or_default();
            self.items.push(item(&name_of(build), status::FAILED, &output));
        }
        if self.has_fail_line && self.items.iter().all(|item| item.status != status::FAILED) {
            self.items.push(item(file, status::FAILED, ""));
        }
        self.benchmarks();
        if !compatibility.broken_streams_pass {
            self.unfinished();
            for package in mem::take(&mut self.open_packages) {
                let output = self
                    .outputs
                    .remove(&(package.clone(), String::new()))
                    .unwrap_or_default();
                self.items.push(unfinished_item(
                    &name_of(&package),
                    "the package did not finish",
                    &output,
                ));
            }
            // In reverse order, so that earlier positions remain valid.
            for (position, item) in mem::take(&mut self.broken).into_iter().rev() {
                self.items.insert(position, item);
            }
        }
        if self.items.is_empty() && !compatibility.empty_passes {
            let error = self
                .error
                .unwrap_or_else(|| "the file has no finished tests".to_owned());
            return ParsedFile::unreadable(error);
        }
        // An unreadable file is unknown, also with compatibility.
        let is_unreadable = self.items.is_empty() && self.error.is_some();
        let status = if is_unreadable { status::UNKNOWN } else { status::PASSED };
        ParsedFile {
            status: status.to_owned(),
            items: self.items,
            error: self.error,
            ..ParsedFile::default()
        }
    }

    /// Adds items for tests that started and did not finish, except in packages that passed.
    fn unfinished(&mut self) {
        let mut running: Vec<(Key, usize)> = mem::take(&mut self.running).into_iter().collect();
        running.sort_by_key(|(_, order)| *order);
        for (key, _) in running {
            if key.1.is_empty() || self.passed_packages.contains(&key.0) {
                continue;
            }
            let output = self.outputs.remove(&key).unwrap_or_default();
            self.items
                .push(unfinished_item(&key.1, "the test did not finish", &output));
        }
    }

    /// Adds items for benchmarks that printed a result. They have finished, but without an event.
    fn benchmarks(&mut self) {
        let measured: Vec<(Key, usize)> = self
            .running
            .iter()
            .filter(|(key, _)| {
                key.1.starts_with("Benchmark") && self.outputs.get(*key).is_some_and(|output| has_measurement(output))
            })
            .map(|(key, order)| (key.clone(), *order))
            .collect();
        let mut names: Vec<(usize, String)> = Vec::new();
        for (key, order) in measured {
            self.running.remove(&key);
            // Parent benchmarks print no results of their own.
            for (at, _) in key.1.match_indices('/') {
                self.running.remove(&(key.0.clone(), key.1[..at].to_owned()));
            }
            names.push((order, key.1));
        }
        names.sort();
        self.items
            .extend(names.iter().map(|(_, name)| item(name, status::PASSED, "")));
    }
}

/// Whether a line has a benchmark result: number of iterations, value and unit.
fn has_measurement(output: &str) -> bool {
    output.lines().any(|line| {
        let words: Vec<&str> = line
            .split_whitespace()
            .skip_while(|word| word.starts_with("Benchmark"))
            .collect();
        matches!(words.as_slice(), [runs, value, unit, ..]
            if runs.parse::<u64>().is_ok() && value.parse::<f64>().is_ok() && unit.parse::<f64>().is_err())
    })
}

fn unfinished_item(name: &str, error: &str, output: &str) -> Item {
    let mut item = item(name, status::UNKNOWN, output);
    item.meta.insert(meta::ERROR.to_owned(), error.to_owned());
    item
}

fn item(name: &str, status: &str, output: &str) -> Item {
    let mut item = Item {
        name: name.to_owned(),
        status: status.to_owned(),
        ..Item::default()
    };
    if !output.is_empty() {
        item.details.insert(OUTPUT.to_owned(), tail(output).into());
    }
    item
}

/// The last complete lines within the limit.
fn tail(output: &str) -> &str {
    let Some(mut start) = output.len().checked_sub(MAX_OUTPUT).filter(|start| *start > 0) else {
        return output;
    };
    while !output.is_char_boundary(start) {
        start += 1;
    }
    let rest = &output[start..];
    rest.split_once('\n').map_or(rest, |(_, lines)| lines)
}

#[cfg(test)]
mod tests;
