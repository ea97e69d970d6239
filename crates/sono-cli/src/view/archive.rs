//! Results of an archive for people: the verdict, then details. Pure.

mod failures;
mod markdown;
mod marks;

pub(crate) use failures::logs;
use failures::{FailureGroup, groups};
pub(crate) use markdown::{MAX_FAILURES as MAX_FAILURES_IN_MARKDOWN, markdown};
use marks::Mark;
pub(crate) use marks::{Marks, Waived};
use sono_results::{Failure, Health, Summary};
use sono_types::{item, status::reason};

use super::words::grouped;
use crate::output::{Text, Tone, text};

/// Maximum number of failures shown per plugin.
const MAX_FAILURES: usize = 200;

/// Overview of an archive.
#[derive(Debug)]
pub(crate) struct Overview<'a> {
    /// The run's UUID.
    pub(crate) run: Option<&'a str>,
    /// Verdict of the run.
    pub(crate) status: &'a str,
    pub(crate) plugins: Vec<PluginOverview<'a>>,
    pub(crate) health: Option<&'a Health>,
    /// File name of the archive, if any.
    pub(crate) archive: Option<&'a str>,
    /// Marks of failures, if waivers or an earlier run are given.
    pub(crate) marks: Option<&'a Marks>,
}

/// Overview of one plugin.
#[derive(Debug)]
pub(crate) struct PluginOverview<'a> {
    pub(crate) name: &'a str,
    /// Status of the plugin, without its waived failures.
    pub(crate) status: &'a str,
    pub(crate) summary: &'a Summary,
    /// Statuses and names of requested items.
    pub(crate) listed: &'a [(String, String)],
}

impl Overview<'_> {
    pub(crate) fn has_failures(&self) -> bool {
        self.plugins.iter().any(|plugin| !plugin.summary.failures.is_empty())
    }

    /// Whether failures contain ends of logs.
    pub(crate) fn has_logs(&self) -> bool {
        let mut failures = self.plugins.iter().flat_map(|plugin| &plugin.summary.failures);
        failures.any(|failure| failure.has_log)
    }

    fn mark(&self, plugin: &str, failure: &Failure) -> Mark<'_> {
        self.marks.map(|marks| marks.of(plugin, failure)).unwrap_or_default()
    }

    /// Number of waived failures of a plugin.
    fn waived(&self, plugin: &str) -> u64 {
        self.marks.map_or(0, |marks| marks.waived.count(plugin))
    }

    fn notes(&self) -> &[String] {
        self.marks.map(|marks| marks.notes.as_slice()).unwrap_or_default()
    }

    /// `v1.37.2, 3 nodes`
    fn cluster(&self) -> String {
        let Some(health) = self.health else {
            return String::new();
        };
        let nodes = match health.node_health.total_nodes {
            0 => None,
            1 => Some("1 node".to_owned()),
            number => Some(format!("{number} nodes")),
        };
        let version = Some(health.api_version.clone()).filter(|version| !version.is_empty());
        version.into_iter().chain(nodes).collect::<Vec<_>>().join(", ")
    }
}

/// Health of the cluster, and its counts. `None` for a run without a cluster.
fn cluster_line(health: &Health) -> Option<(&'static str, String)> {
    let Health {
        node_health,
        pod_health,
        api_version: _,
        error_summary,
    } = health;
    if node_health.total_nodes == 0 && pod_health.total_nodes == 0 && error_summary.is_empty() {
        return None;
    }
    let well =
        node_health.healthy_nodes == node_health.total_nodes && pod_health.healthy_nodes == pod_health.total_nodes;
    let mut text = format!(
        "{}/{} nodes ready, {}/{} pods ready",
        node_health.healthy_nodes, node_health.total_nodes, pod_health.healthy_nodes, pod_health.total_nodes
    );
    let counts: Vec<String> = error_summary
        .iter()
        .map(|(class, files)| {
            let lines = files.values().fold(0_u64, |sum, count| sum.saturating_add(*count));
            let class = class.to_lowercase();
            let class = if lines == 1 {
                class.trim_end_matches('s')
            } else {
                &class
            };
            let logs = if files.len() == 1 { "log" } else { "logs" };
            format!("{lines} {class} in {} {logs}", files.len())
        })
        .collect();
    if !counts.is_empty() {
        text = format!("{text}; {}", counts.join(", "));
    }
    Some((if well { "healthy" } else { "not healthy" }, text))
}

/// `414 run: 412 passed, 2 failed, 1 of these waived   (2,799 skipped)`
fn counts(summary: &Summary, waived: u64, number: &dyn Fn(u64) -> String) -> String {
    let Summary {
        passed,
        failed,
        skipped,
        other,
        ..
    } = summary;
    let run = passed + failed + other.values().sum::<u64>();
    let mut parts = Vec::new();
    for (word, count) in [(item::status::PASSED, passed), (item::status::FAILED, failed)] {
        if *count > 0 {
            parts.push(format!("{} {word}", number(*count)));
        }
    }
    if waived > 0 {
        parts.push(format!("{} of these waived", number(waived)));
    }
    for (word, count) in other {
        let word = if word.is_empty() { "without status" } else { word };
        parts.push(format!("{} {word}", number(*count)));
    }
    let mut text = format!("{} run", number(run));
    if !parts.is_empty() {
        text = format!("{text}: {}", parts.join(", "));
    }
    if *skipped > 0 {
        text = format!("{text}   ({} skipped)", number(*skipped));
    }
    text
}

fn tone(status: &str) -> Tone {
    match status {
        item::status::PASSED | "healthy" => Tone::Good,
        item::status::FAILED | item::status::TIMEOUT => Tone::Bad,
        _ => Tone::Plain,
    }
}

/// Output of `sono results`. `for_people`: separators in large numbers.
pub(crate) fn table(overview: &Overview<'_>, for_people: bool) -> Text {
    let number = |count: u64| {
        if for_people { grouped(count) } else { count.to_string() }
    };
    let run = overview
        .run
        .map_or_else(|| "run".to_owned(), |run| format!("run {run}"));
    let mut first = text![run, "   ", tone(overview.status).paint(overview.status)];
    let cluster = overview.cluster();
    if !cluster.is_empty() {
        first.push(format!("   {cluster}"));
    }
    let mut lines = vec![first];
    lines.extend(overview.notes().iter().map(Text::from));
    lines.push(Text::default());
    let health = overview.health.and_then(cluster_line);
    let names = overview
        .plugins
        .iter()
        .map(|plugin| Text::from(plugin.name).width())
        .chain(["cluster".len()]);
    let width = names.max().unwrap_or_default();
    let words = overview.plugins.iter().map(|plugin| Text::from(plugin.status).width());
    let words = words.chain(health.iter().map(|(word, _)| word.len()));
    let word_width = words.max().unwrap_or_default();
    let row = |name: &str, word: &str, about: &str| {
        text![
            Text::from(name).padded(width),
            "   ",
            tone(word).paint(word).padded(word_width),
            "   ",
            about
        ]
    };
    for plugin in &overview.plugins {
        let PluginOverview {
            name,
            status,
            summary,
            listed,
        } = plugin;
        lines.push(row(name, status, &counts(summary, overview.waived(name), &number)));
        if listed.is_empty() {
            let groups = groups(&summary.failures);
            let shown = groups.iter().take(MAX_FAILURES);
            lines.extend(shown.flat_map(|group| failure(group, overview.mark(name, group.first))));
            let more: usize = groups.iter().skip(MAX_FAILURES).map(|group| group.count).sum();
            if more > 0 {
                lines.push(format!("  … and {} more", number(more as u64)).into());
            }
        } else {
            lines.extend(
                listed
                    .iter()
                    .map(|(status, name)| text!["  ", mark(status), " ", name.trim(), "   ", status]),
            );
        }
    }
    if let Some((word, text)) = health {
        lines.push(row("cluster", word, &text));
    }
    Text::lines(lines)
}

fn mark(status: &str) -> Text {
    match status {
        item::status::PASSED => Tone::Good.paint("✓"),
        item::status::FAILED | item::status::TIMEOUT => Tone::Bad.paint("✗"),
        _ => "-".into(),
    }
}

fn failure(group: &FailureGroup<'_>, mark: Mark<'_>) -> Vec<Text> {
    let Failure {
        name,
        message_first_lines,
        ..
    } = group.first;
    let name = Text::from(reason(name));
    let (shape, name) = match mark.waiver {
        Some(_) => (Text::from("-"), name.struck()),
        None => (Tone::Bad.paint("✗"), name),
    };
    let mut lines = vec![text!["  ", shape, " ", name, group.nodes(), mark.words()]];
    lines.extend(message_first_lines.iter().map(|line| text!["      ", line]));
    lines
}

#[cfg(test)]
mod tests;
