//! What changed between two runs. Pure.

use sono_analysis::{Change, ClusterChange, Diff, TestChange};
use sono_report::{Html, static_page};

use super::words::grouped;
use crate::output::{Markdown, Text, Tone, markdown, text};

/// Maximum number of changes of one class in a table.
const MAX_ROWS: usize = 200;
/// Maximum number of changes of one class in Markdown. The size of comments is limited.
const MAX_MARKDOWN_ROWS: usize = 50;

/// Maximum number of changes of one class on a page.
const MAX_PAGE_ROWS: usize = 5_000;

/// A comparison to be shown.
pub(crate) struct Comparison<'a> {
    /// All changes, for the headline.
    pub(crate) counts: &'a Diff,
    /// Changes to be listed.
    pub(crate) shown: &'a Diff,
    /// Whether the user selected classes. Otherwise failures that did not change are only counted.
    pub(crate) is_selected: bool,
    /// What changed in the cluster.
    pub(crate) cluster: &'a [ClusterChange],
}

impl Comparison<'_> {
    /// `Kubernetes v1.36.3 → v1.37.2`, `storage class: removed slow`
    fn cluster(&self) -> Vec<String> {
        self.cluster.iter().flat_map(cluster_lines).collect()
    }

    /// Changes by class.
    fn groups(&self) -> Vec<(Change, Vec<&TestChange>)> {
        let classes = Change::ALL.into_iter();
        let classes = classes.filter(|change| self.is_selected || *change != Change::StillFailing);
        let of = |class: Change| self.shown.changes.iter().filter(move |change| change.change == class);
        let groups = classes.map(|class| (class, of(class).collect::<Vec<_>>()));
        groups.filter(|(_, changes)| !changes.is_empty()).collect()
    }
}

/// A line for each value, or one for a value that replaces another.
fn cluster_lines(change: &ClusterChange) -> Vec<String> {
    let ClusterChange { kind, before, after } = change;
    if let ([before], [after]) = (before.as_slice(), after.as_slice()) {
        return vec![format!("{kind} {before} → {after}")];
    }
    // A workload with another image or another number of replicas has the same name.
    let name = |value: &str| value.split_once(": ").map(|(name, _)| name.to_owned());
    let mut lines = Vec::new();
    let mut added: Vec<&String> = after.iter().collect();
    for value in before {
        let same = added
            .iter()
            .position(|other| name(value).is_some() && name(value) == name(other));
        match same.map(|at| added.remove(at)) {
            Some(other) => lines.push(format!("{kind} {value} → {other}")),
            None => lines.push(format!("{kind}: removed {value}")),
        }
    }
    lines.extend(added.iter().map(|value| format!("{kind}: added {value}")));
    lines.truncate(MAX_ROWS);
    lines
}

/// `2 regressions, 1 fixed`
pub(crate) fn headline(diff: &Diff) -> String {
    let counts = Change::ALL.into_iter().filter(|change| *change != Change::StillFailing);
    let mut words: Vec<String> = counts
        .filter_map(|change| {
            let count = diff.count(change);
            (count > 0).then(|| format!("{} {}", grouped(count as u64), noun(change, count)))
        })
        .collect();
    if words.is_empty() {
        words.push("no differences".to_owned());
    }
    let failing = diff.count(Change::StillFailing);
    if failing > 0 {
        words.push(format!("{} still failing", grouped(failing as u64)));
    }
    words.join(", ")
}

/// What an earlier run says about a failure of this class; `None` for a class without a failure.
pub(crate) fn class_words(change: Change, run: &str) -> Option<String> {
    Some(match change {
        Change::Regression => format!("passed in {run}"),
        Change::Infrastructure => format!("passed in {run}; caused by the cluster"),
        Change::NewFailure => format!("new since {run}"),
        Change::FailsDifferently => format!("failed differently in {run}"),
        Change::StillFailing => format!("failed in {run} too"),
        Change::KnownFlake => "known flake".to_owned(),
        Change::Incomparable => format!("not comparable with {run}"),
        Change::Fixed | Change::New | Change::Removed | Change::Slower => return None,
    })
}

fn noun(change: Change, count: usize) -> &'static str {
    match (change, count) {
        (Change::Regression, 1) => "regression",
        (Change::Regression, _) => "regressions",
        (Change::Infrastructure, 1) => "infrastructure failure",
        (Change::Infrastructure, _) => "infrastructure failures",
        (Change::NewFailure, 1) => "new failure",
        (Change::NewFailure, _) => "new failures",
        (Change::FailsDifferently, 1) => "fails differently",
        (Change::FailsDifferently, _) => "fail differently",
        (Change::StillFailing, _) => "still failing",
        (Change::KnownFlake, 1) => "known flake",
        (Change::KnownFlake, _) => "known flakes",
        (Change::Incomparable, _) => "incomparable",
        (Change::Fixed, _) => "fixed",
        (Change::New, _) => "new",
        (Change::Removed, _) => "removed",
        (Change::Slower, _) => "slower",
    }
}

/// For the terminal.
pub(crate) fn table(comparison: &Comparison<'_>) -> Text {
    let mut lines = vec![Text::from(headline(comparison.counts))];
    lines.extend(comparison.cluster().into_iter().map(Text::from));
    for (class, changes) in comparison.groups() {
        lines.push(Text::default());
        let tone = match class {
            Change::Regression | Change::Infrastructure | Change::NewFailure | Change::FailsDifferently => Tone::Bad,
            Change::Fixed => Tone::Good,
            _ => Tone::Plain,
        };
        lines.push(text![tone.paint(class.as_str()), ":"]);
        for change in changes.iter().take(MAX_ROWS) {
            lines.push(text!["  ", &change.plugin, "  ", &change.name, node(change)]);
            if !change.reason.is_empty() {
                lines.push(text!["    ", &change.reason]);
            }
        }
        if changes.len() > MAX_ROWS {
            lines.push(text!["  and ", grouped((changes.len() - MAX_ROWS) as u64), " more"]);
        }
    }
    Text::lines(lines)
}

fn node(change: &TestChange) -> String {
    (change.node.as_ref()).map_or_else(String::new, |node| format!(" on {node}"))
}

/// For a comment or an issue.
pub(crate) fn markdown(comparison: &Comparison<'_>) -> Markdown {
    let mut lines = vec![
        "### Changes".into(),
        Markdown::default(),
        Markdown::text(&headline(comparison.counts)),
    ];
    for line in comparison.cluster() {
        lines.extend([Markdown::default(), Markdown::text(&line)]);
    }
    for (class, changes) in comparison.groups() {
        lines.push(Markdown::default());
        for change in changes.iter().take(MAX_MARKDOWN_ROWS) {
            let mut line = markdown!["- ", Markdown::text(class.as_str()), ": ", Markdown::code(&change.name)];
            line.push(Markdown::text(&node(change)));
            if !change.reason.is_empty() {
                line.push(markdown![": ", Markdown::text(&change.reason)]);
            }
            lines.push(line);
        }
        if changes.len() > MAX_MARKDOWN_ROWS {
            lines.push(markdown!["- and ", (changes.len() - MAX_MARKDOWN_ROWS) as u64, " more"]);
        }
    }
    markdown![Markdown::lines(lines), "\n"]
}

/// One page that needs no network, in the form of a report.
pub(crate) fn page(comparison: &Comparison<'_>, before: &str, after: &str) -> String {
    let mut body = Html::default();
    body.own("<main id=\"main\">\n")
        .element("h1", "Changes between two runs");
    body.own("<dl class=\"facts\">\n");
    for (term, text) in [
        ("before", before),
        ("after", after),
        ("result", &headline(comparison.counts)),
    ] {
        body.own("<div>")
            .element("dt", term)
            .element("dd", text)
            .own("</div>\n");
    }
    body.own("</dl>\n");
    let cluster = comparison.cluster();
    if !cluster.is_empty() {
        body.element("h2", "Cluster").own("\n<ul>\n");
        for line in &cluster {
            body.element("li", line).own("\n");
        }
        body.own("</ul>\n");
    }
    for (class, changes) in comparison.groups() {
        let title = format!("{} {}", grouped(changes.len() as u64), noun(class, changes.len()));
        body.element("h2", &title).own("\n<ul>\n");
        for change in changes.iter().take(MAX_PAGE_ROWS) {
            body.own("<li>").element("code", &change.name);
            body.text(&format!(" ({}{})", change.plugin, node(change)));
            if !change.reason.is_empty() {
                body.own("<p class=\"about\">").text(&change.reason).own("</p>");
            }
            body.own("</li>\n");
        }
        body.own("</ul>\n");
        if changes.len() > MAX_PAGE_ROWS {
            let more = changes.len() - MAX_PAGE_ROWS;
            body.element("p", &format!("and {} more", grouped(more as u64)))
                .own("\n");
        }
    }
    body.own("</main>\n");
    static_page("Changes between two runs", &body)
}
