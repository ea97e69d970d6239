//! The last lines of a failed container's log, wherever its failure is shown. Pure.

use serde::Serialize;
use sono_kube::FailedOutput;

use super::obstacles::Obstacle;
use crate::output::{Markdown, markdown};

/// The last lines of a failed container's log, and the command that prints all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct FailedLog {
    /// Plugin of the container; `sonobuoy` for the aggregator.
    #[serde(skip)]
    pub(crate) plugin: String,
    #[serde(skip)]
    pub(crate) node: Option<String>,
    container: String,
    /// Whether the container was restarted since.
    previous: bool,
    /// At most ten lines without secrets of a known shape.
    pub(crate) lines: Vec<String>,
    /// Command that prints all of the log.
    command: String,
}

impl FailedLog {
    pub(crate) fn new(obstacle: &Obstacle, output: FailedOutput, command_hint: &dyn Fn(&str) -> String) -> Self {
        let plugin = obstacle.plugin.as_deref().unwrap_or("sonobuoy");
        let FailedOutput {
            container,
            previous,
            lines,
        } = output;
        Self {
            plugin: plugin.to_owned(),
            node: obstacle.node.clone(),
            container,
            previous,
            lines,
            command: command_hint(&format!("logs -p {plugin} --failed")),
        }
    }

    /// `p on n1: end of the log of container plugin, before its restart:`
    fn title(&self) -> String {
        let node = self.node.as_ref().map(|node| format!(" on {node}")).unwrap_or_default();
        let before = if self.previous { ", before its restart" } else { "" };
        let Self { plugin, container, .. } = self;
        format!("{plugin}{node}: end of the log of container {container}{before}:")
    }

    /// Lines for a terminal or a log.
    pub(crate) fn lines(&self) -> Vec<String> {
        let lines = self.lines.iter().map(|line| format!("  | {line}"));
        let last = format!("  full log: {}", self.command);
        [self.title()].into_iter().chain(lines).chain([last]).collect()
    }
}

/// Section of a Markdown document; empty without logs.
pub(crate) fn section(logs: &[FailedLog]) -> Markdown {
    if logs.is_empty() {
        return Markdown::default();
    }
    let mut lines: Vec<Markdown> = ["", "### Logs of failed containers", ""].map(Markdown::from).into();
    for log in logs {
        lines.push(markdown!["- ", Markdown::text(&log.title())]);
        lines.extend(Markdown::quoted(log.lines.iter().map(String::as_str), "  "));
        lines.push(markdown!["  full log: ", Markdown::code(&log.command)]);
    }
    markdown![Markdown::lines(lines), "\n"]
}

#[cfg(test)]
mod tests {
    use sono_kube::stuck::Explanation;

    use super::*;

    #[test]
    fn log_is_quoted_with_the_command_for_all_of_it() {
        let obstacle = Obstacle {
            plugin: Some("p".to_owned()),
            node: Some("n1".to_owned()),
            pending: false,
            failed_pod: Some("p-1".to_owned()),
            why: Explanation::new("Error", "container c ended with exit code 1", None),
        };
        let output = FailedOutput {
            container: "c".to_owned(),
            previous: true,
            lines: vec!["one".to_owned(), "```two".to_owned()],
        };
        let log = FailedLog::new(&obstacle, output, &|command| format!("sono {command}"));
        assert_eq!(
            log.lines(),
            [
                "p on n1: end of the log of container c, before its restart:",
                "  | one",
                "  | ```two",
                "  full log: sono logs -p p --failed"
            ]
        );
        assert_eq!(
            section(&[log]).as_str(),
            "\n### Logs of failed containers\n\n- p on n1: end of the log of container c, before its restart:\n  \
             ````text\n  one\n  ```two\n  ````\n  full log: `sono logs -p p --failed`\n"
        );
        assert_eq!(section(&[]), Markdown::default());
    }
}
