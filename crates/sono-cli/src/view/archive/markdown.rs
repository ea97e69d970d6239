//! Results of an archive as Markdown, for the summary of a CI job.

use sono_results::Summary;

use super::{FailureGroup, Overview, cluster_line, groups};
use crate::output::{Markdown, markdown};

/// Maximum number of failures. The size of summaries is limited.
pub(crate) const MAX_FAILURES: usize = 100;

/// Verdict, table, and the first `shown` failures with the first lines of their messages.
pub(crate) fn markdown(overview: &Overview<'_>, shown: usize) -> Markdown {
    let mut lines = vec![
        markdown!["## Run ", Markdown::text(overview.status)],
        Markdown::default(),
    ];
    let run = overview.run.map(|run| markdown!["run ", Markdown::code(run)]);
    let cluster = Some(overview.cluster()).filter(|text| !text.is_empty());
    let about: Vec<Markdown> = run
        .into_iter()
        .chain(cluster.map(|cluster| Markdown::text(&cluster)))
        .chain(overview.archive.map(|name| markdown!["archive ", Markdown::code(name)]))
        .collect();
    if !about.is_empty() {
        lines.extend([Markdown::joined(about, ", "), Markdown::default()]);
    }
    lines.push("| plugin | result | passed | failed | skipped | other |".into());
    lines.push("| --- | --- | ---: | ---: | ---: | --- |".into());
    for plugin in &overview.plugins {
        let Summary {
            status: _,
            passed,
            failed,
            skipped,
            other,
            ..
        } = plugin.summary;
        let other: Vec<String> = other.iter().map(|(word, count)| format!("{word}: {count}")).collect();
        lines.push(markdown![
            "| ",
            Markdown::text(plugin.name),
            " | ",
            Markdown::text(plugin.status),
            " | ",
            *passed,
            " | ",
            *failed,
            " | ",
            *skipped,
            " | ",
            Markdown::text(&other.join(", ")),
            " |"
        ]);
    }
    for note in overview.notes() {
        lines.extend([Markdown::default(), Markdown::text(note)]);
    }
    if let Some((word, text)) = overview.health.and_then(cluster_line) {
        lines.extend([
            Markdown::default(),
            markdown!["Cluster ", word, ": ", Markdown::text(&text)],
        ]);
    }
    let failures: Vec<(&str, FailureGroup<'_>)> = overview
        .plugins
        .iter()
        .flat_map(|plugin| {
            let groups = groups(&plugin.summary.failures).into_iter();
            groups.map(|group| (plugin.name, group))
        })
        .collect();
    if !failures.is_empty() {
        lines.extend(["", "### Failures", ""].map(Markdown::from));
        for (plugin, group) in failures.iter().take(shown) {
            let mark = overview.mark(plugin, group.first);
            let name = Markdown::code(&group.first.name);
            lines.push(markdown![
                "- ",
                Markdown::text(plugin),
                ": ",
                if mark.waiver.is_some() { name.struck() } else { name },
                Markdown::text(&group.nodes()),
                Markdown::text(&mark.words())
            ]);
            lines.extend(Markdown::quoted(
                group.first.message_first_lines.iter().map(String::as_str),
                "  ",
            ));
        }
        let more: usize = failures.iter().skip(shown).map(|(_, group)| group.count).sum();
        if more > 0 {
            lines.push(markdown!["- and ", more as u64, " more"]);
        }
        if let Some(archive) = overview.archive.filter(|_| overview.has_logs()) {
            let command = format!("sono logs --archive {archive} --failed");
            lines.extend([Markdown::default(), markdown!["Full logs: ", Markdown::code(&command)]]);
        }
    }
    markdown![Markdown::lines(lines), "\n"]
}
