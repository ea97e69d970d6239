//! Renders results as JUnit XML: one suite per plugin, one case per leaf.

use std::fmt::{self, Write};

use sono_types::{Item, item::status};

use crate::{
    report::GINKGO_PREFIX,
    select::Leaf,
    summary::{failure_message, has_log},
};

/// JUnit suite of one plugin, to which leaves are added one by one.
///
/// `failed` and `timeout` are failures, `skipped` is skipped, `unknown` and an empty status are errors; a custom status is a
/// property of a case that passed.
#[derive(Debug, Default)]
pub struct JunitSuite {
    cases: String,
    tests: u64,
    failures: u64,
    errors: u64,
    skipped: u64,
    /// Command that prints the logs of failed containers.
    log_command: String,
}

impl JunitSuite {
    /// Suite without cases. `log_command` follows the end of each log.
    pub fn new(log_command: &str) -> Self {
        Self {
            log_command: log_command.to_owned(),
            ..Self::default()
        }
    }

    /// Adds a leaf.
    pub fn add(&mut self, leaf: Leaf<'_>) {
        let outcome = outcome(leaf.item);
        self.tests += 1;
        match outcome {
            Outcome::Failure => self.failures += 1,
            Outcome::Error => self.errors += 1,
            Outcome::Skipped => self.skipped += 1,
            Outcome::Passed | Outcome::Other => {}
        }
        case(&mut self.cases, leaf, outcome, &self.log_command).expect("writing to a string cannot fail");
    }

    fn write(&self, name: &str, text: &mut String) -> fmt::Result {
        writeln!(
            text,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">\n{}  </testsuite>",
            Escaped(name),
            self.tests,
            self.failures,
            self.errors,
            self.skipped,
            self.cases,
        )
    }
}

/// The JUnit file, with suites named by their plugins.
pub fn junit_report<'a>(suites: impl IntoIterator<Item = (&'a str, &'a JunitSuite)>) -> String {
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n".to_owned();
    for (name, suite) in suites {
        suite.write(name, &mut text).expect("writing to a string cannot fail");
    }
    text.push_str("</testsuites>\n");
    text
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failure,
    Error,
    Skipped,
    Other,
}

fn outcome(item: &Item) -> Outcome {
    match item.status.as_str() {
        status::PASSED => Outcome::Passed,
        status::FAILED | status::TIMEOUT => Outcome::Failure,
        status::SKIPPED => Outcome::Skipped,
        status::UNKNOWN | "" => Outcome::Error,
        _ => Outcome::Other,
    }
}

fn case(text: &mut String, leaf: Leaf<'_>, outcome: Outcome, log_command: &str) -> fmt::Result {
    let Leaf { item, path, .. } = leaf;
    let name = item.name.strip_prefix(GINKGO_PREFIX).unwrap_or(&item.name).trim();
    let class = path.join("|");
    write!(
        text,
        "    <testcase classname=\"{}\" name=\"{}\"",
        Escaped(&class),
        Escaped(name)
    )?;
    let mut message = failure_message(item);
    if has_log(item) && !log_command.is_empty() {
        message = format!("{message}\nfull logs: {log_command}");
    }
    let message = message.as_str();
    let first = message.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let status = Escaped(&item.status);
    match outcome {
        Outcome::Passed => writeln!(text, "/>"),
        Outcome::Skipped => writeln!(text, "><skipped/></testcase>"),
        Outcome::Failure => writeln!(
            text,
            "><failure type=\"{status}\" message=\"{}\">{}</failure></testcase>",
            Escaped(first.trim()),
            Escaped(message)
        ),
        Outcome::Error => writeln!(
            text,
            "><error type=\"unknown\" message=\"{}\">{}</error></testcase>",
            Escaped(if first.is_empty() {
                "the result is unknown"
            } else {
                first.trim()
            }),
            Escaped(message)
        ),
        Outcome::Other => writeln!(
            text,
            "><properties><property name=\"status\" value=\"{status}\"/></properties></testcase>"
        ),
    }
}

/// Escapes text for attributes and content. Characters that XML does not allow become U+FFFD.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut start = 0;
        for (at, character) in self.0.char_indices() {
            let replacement = match character {
                '&' => "&amp;",
                '<' => "&lt;",
                '>' => "&gt;",
                '"' => "&quot;",
                '\n' => "&#10;",
                '\t' => "&#9;",
                '\r' => "&#13;",
                '\0'..'\x20' | '\u{fffe}' | '\u{ffff}' => "\u{fffd}",
                _ => continue,
            };
            formatter.write_str(&self.0[start..at])?;
            formatter.write_str(replacement)?;
            start = at + character.len_utf8();
        }
        formatter.write_str(&self.0[start..])
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tree() -> Item {
        serde_json::from_value(json!({"name": "p <1>", "status": "failed", "items": [
            {"name": "suite", "status": "failed", "items": [
                {"name": "[It] fine", "status": "passed"},
                {"name": "broken", "status": "failed",
                    "details": {"failure": "\n  a < b & \"c\"\u{1b}[0m\nsecond"}},
                {"name": "late", "status": "timeout"},
                {"name": "left out", "status": "skipped"}]},
            {"name": "odd", "status": "complete"},
            {"name": "who knows", "status": "unknown"}]}))
        .unwrap()
    }

    fn whole() -> String {
        let (tree, mut suite) = (tree(), JunitSuite::default());
        crate::visit_leaves(&tree, &mut |leaf| suite.add(leaf));
        junit_report([(tree.name.as_str(), &suite)])
    }

    #[test]
    fn every_leaf_is_a_case() {
        assert_eq!(
            whole(),
            r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
  <testsuite name="p &lt;1&gt;" tests="6" failures="2" errors="1" skipped="1">
    <testcase classname="p &lt;1&gt;|suite" name="fine"/>
    <testcase classname="p &lt;1&gt;|suite" name="broken"><failure type="failed" message="a &lt; b &amp; &quot;c&quot;�[0m">&#10;  a &lt; b &amp; &quot;c&quot;�[0m&#10;second</failure></testcase>
    <testcase classname="p &lt;1&gt;|suite" name="late"><failure type="timeout" message=""></failure></testcase>
    <testcase classname="p &lt;1&gt;|suite" name="left out"><skipped/></testcase>
    <testcase classname="p &lt;1&gt;" name="odd"><properties><property name="status" value="complete"/></properties></testcase>
    <testcase classname="p &lt;1&gt;" name="who knows"><error type="unknown" message="the result is unknown"></error></testcase>
  </testsuite>
</testsuites>
"#
        );
    }

    /// The JUnit reader returns the same statuses, except that errors are failures.
    #[test]
    fn junit_report_reads_back() {
        let text = whole();
        let (item, problem) = crate::read_result_file(
            sono_types::ResultFormat::Junit,
            "j.xml",
            text.as_bytes(),
            crate::Compatibility::default(),
        );
        assert!(problem.is_none(), "{problem:?}");
        let statuses: Vec<(&str, &str)> = item
            .leaves()
            .into_iter()
            .map(|leaf| (leaf.name.as_str(), leaf.status.as_str()))
            .collect();
        assert_eq!(
            statuses,
            [
                ("fine", "passed"),
                ("broken", "failed"),
                ("late", "failed"),
                ("left out", "skipped"),
                ("odd", "passed"),
                ("who knows", "failed"),
            ]
        );
    }
}
