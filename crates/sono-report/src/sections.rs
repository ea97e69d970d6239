//! The sections of the report, as static HTML.

use sono_analysis::{Card, Certainty, FailureView, RunDetails, TestStatus, Why};

use crate::{
    html::Html,
    page::Input,
    words::{badge, counted, duration, overall, tally},
};

/// Maximum number of keys of a cause, and of messages without a cause.
const MAX_KEYS: usize = 20;
/// Maximum number of failures.
const MAX_FAILURES: usize = 2_000;
/// Maximum number of rows and of groups of nodes in a matrix.
const MAX_ROWS: usize = 200;
const MAX_GROUPS: usize = 60;
/// Maximum number of nodes that a group names.
const MAX_NAMES: usize = 20;

/// A status as word and shape.
fn status(word: &str, html: &mut Html) {
    let badge = badge(word);
    html.own("<span class=\"status ")
        .own(badge.class)
        .own("\"><span aria-hidden=\"true\">");
    html.own(badge.shape).own("</span> ").text(word).own("</span>");
}

/// Verdict, facts about the run, and a row for each plugin.
pub(crate) fn summary(input: &Input<'_>, html: &mut Html) {
    let card = &input.run.card;
    let verdict = overall(card.plugins.iter().map(|plugin| plugin.status.as_str()));
    html.own("<header>\n<h1>Run ");
    status(verdict, html);
    html.own("</h1>\n<dl class=\"facts\">\n");
    let mut fact = |name: &'static str, value: &str| {
        if !value.is_empty() {
            html.own("<div>")
                .element("dt", name)
                .element("dd", value)
                .own("</div>\n");
        }
    };
    fact("Archive", input.archive);
    fact("Run", &card.run.id);
    fact(
        "Start",
        &card.run.start.map(|start| start.to_string()).unwrap_or_default(),
    );
    fact("Duration", &card.run.seconds.map(duration).unwrap_or_default());
    fact("Kubernetes", &card.cluster.server);
    fact(
        "Nodes",
        &Some(card.cluster.nodes)
            .filter(|nodes| *nodes > 0)
            .map(|nodes| nodes.to_string())
            .unwrap_or_default(),
    );
    fact("Redaction", input.redaction.unwrap_or_default());
    html.own("</dl>\n<nav aria-label=\"Sections\"><a href=\"#causes\">Causes</a> <a href=\"#failures\">Failures</a> ");
    html.own("<a href=\"#tests\">Tests</a> <a href=\"#cluster\">Cluster</a></nav>\n</header>\n<main id=\"main\">\n");
    for problem in input.problems {
        html.own("<p class=\"problem\" role=\"note\">")
            .text(problem)
            .own("</p>\n");
    }
    html.own("<section aria-labelledby=\"plugins\"><h2 id=\"plugins\">Plugins</h2>\n<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-labelledby=\"plugins\"><table>\n");
    html.own("<thead><tr><th scope=\"col\">Plugin</th><th scope=\"col\">Status</th><th scope=\"col\">Tests</th></tr></thead>\n<tbody>\n");
    for plugin in &card.plugins {
        html.own("<tr><th scope=\"row\">").text(&plugin.name).own("</th><td>");
        status(&plugin.status, html);
        let counts = tally(plugin.verdicts(), plugin.skipped);
        let counts: Vec<String> = counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
        html.own("</td><td>").text(&counts.join(", ")).own("</td></tr>\n");
    }
    html.own("</tbody></table></div></section>\n");
}

/// Causes of the failures, the most frequent first.
pub(crate) fn causes(why: &Why, html: &mut Html) {
    html.own("<section aria-labelledby=\"causes\"><h2 id=\"causes\">Causes</h2>\n<p>");
    if why.failed == 0 {
        html.own("No failures.</p></section>\n");
        return;
    }
    let unexplained = why.failed.saturating_sub(why.explained);
    html.text(&format!(
        "{}: {} explained by {}, {unexplained} unexplained.",
        counted(why.failed, "failure"),
        why.explained,
        counted(why.causes.len(), "cause")
    ));
    html.own("</p>\n<ol class=\"causes\">\n");
    for cause in &why.causes {
        html.own("<li><h3><span class=\"count\">")
            .number(cause.count)
            .own("</span> ");
        html.text(&cause.sentence)
            .own(" <span class=\"certainty\">")
            .own(cause.certainty.as_str());
        html.own("</span></h3>\n<ul>\n");
        for key in cause.keys.iter().take(MAX_KEYS) {
            html.own("<li>")
                .number(key.count)
                .own(" × <code>")
                .text(&key.key)
                .own("</code></li>\n");
        }
        if cause.keys.len() > MAX_KEYS {
            html.own("<li>")
                .text(&format!("and {} more", cause.keys.len() - MAX_KEYS))
                .own("</li>\n");
        }
        html.own("</ul>\n");
        if !cause.next.is_empty() {
            html.own("<p>Next: <code>").text(&cause.next).own("</code></p>\n");
        }
        html.own("<p>Failures: ");
        for (place, number) in cause.failures.iter().take(MAX_KEYS).enumerate() {
            if place > 0 {
                html.own(", ");
            }
            link(*number, html);
        }
        if cause.failures.len() > MAX_KEYS {
            html.text(&format!(", and {} more", cause.failures.len() - MAX_KEYS));
        }
        html.own("</p></li>\n");
    }
    html.own("</ol>\n");
    if unexplained > 0 {
        html.own("<h3>Without a known cause</h3>\n<ul>\n");
        for group in why.unexplained.iter().take(MAX_KEYS) {
            let message = if group.message.is_empty() {
                "(no message)"
            } else {
                &group.message
            };
            html.own("<li>")
                .number(group.count)
                .own(" × <code>")
                .text(message)
                .own("</code> ");
            if let Some(first) = group.failures.first() {
                link(*first, html);
            }
            html.own("</li>\n");
        }
        html.own("</ul>\n");
    }
    html.own("</section>\n");
}

/// A link to a failure.
fn link(number: usize, html: &mut Html) {
    html.own("<a href=\"#failure-")
        .number(number + 1)
        .own("\">failure ")
        .number(number + 1)
        .own("</a>");
}

/// Failures with message, cause and one proof.
pub(crate) fn failures(why: &Why, html: &mut Html) {
    html.own("<section aria-labelledby=\"failures\"><h2 id=\"failures\">Failures</h2>\n");
    if why.failures.is_empty() {
        html.own("<p>None.</p>");
    }
    for (number, failure) in why.failures.iter().take(MAX_FAILURES).enumerate() {
        one_failure(number, failure, html);
    }
    if why.failures.len() > MAX_FAILURES {
        html.own("<p>")
            .text(&format!(
                "{} more failures are in the archive.",
                why.failures.len() - MAX_FAILURES
            ))
            .own("</p>");
    }
    html.own("</section>\n");
}

fn one_failure(number: usize, failure: &FailureView, html: &mut Html) {
    html.own("<article class=\"failure\" id=\"failure-")
        .number(number + 1)
        .own("\" data-failure=\"")
        .number(number);
    html.own("\" data-test=\"").text(&failure.id.to_string()).own("\"><h3>");
    let about: Vec<String> = [Some(failure.about()), failure.file.clone()]
        .into_iter()
        .flatten()
        .collect();
    let about = about.join(", ");
    let word = if failure.status == "timeout" {
        "timed out"
    } else {
        &failure.status
    };
    status(word, html);
    html.own(" ")
        .text(&failure.name)
        .own("</h3>\n<p class=\"about\">")
        .text(&about)
        .own("</p>\n");
    match &failure.sentence {
        Some(sentence) => {
            let certainty = failure.certainty.unwrap_or(Certainty::Likely);
            html.own("<p><strong>Cause:</strong> ")
                .text(sentence)
                .own(" <span class=\"certainty\">");
            html.own(certainty.as_str()).own("</span></p>\n");
        }
        None => {
            html.own("<p><strong>Cause:</strong> not known</p>\n");
        }
    }
    if let Some(proof) = failure.proof.first() {
        html.own("<figure><figcaption>Proof: ")
            .text(&proof.place())
            .own("</figcaption>");
        html.own("<pre tabindex=\"0\">")
            .text(&proof.text)
            .own("</pre></figure>\n");
    }
    if let Some(next) = &failure.next {
        html.own("<p>Next: <code>").text(next).own("</code></p>\n");
    }
    if !failure.message.is_empty() {
        html.own("<pre tabindex=\"0\" class=\"message\">")
            .text(&failure.message)
            .own("</pre>\n");
    }
    html.own("</article>\n");
}

/// The place of the list of all tests, which the script makes.
pub(crate) fn tests(html: &mut Html) {
    html.own("<section aria-labelledby=\"tests\"><h2 id=\"tests\">Tests</h2>\n<div id=\"list\">");
    html.own("<p>The list of all tests requires scripts. Failures are listed above.</p></div></section>\n");
}

/// For each plugin with results of nodes, its tests and the nodes. Nodes with equal verdicts are one column.
pub(crate) fn nodes(run: &RunDetails, html: &mut Html) {
    for plugin in &run.card.plugins {
        let Some(groups) = run.nodes.get(&plugin.name) else {
            continue;
        };
        html.own("<section class=\"nodes\"><h2>Nodes of ")
            .text(&plugin.name)
            .own("</h2>\n");
        html.own("<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Verdicts by node\"><table>\n<thead><tr><th scope=\"col\">Test</th>");
        for group in groups.iter().take(MAX_GROUPS) {
            let names: Vec<&str> = group.nodes.iter().take(MAX_NAMES).map(String::as_str).collect();
            html.own("<th scope=\"col\">");
            if group.nodes.len() > 1 {
                html.text(&counted(group.nodes.len(), "node")).own(": ");
            }
            html.text(&names.join(", "));
            if group.nodes.len() > MAX_NAMES {
                html.text(&format!(" and {} more", group.nodes.len() - MAX_NAMES));
            }
            html.own("</th>");
        }
        html.own("</tr></thead>\n<tbody>\n");
        let columns: Vec<Vec<char>> = groups
            .iter()
            .take(MAX_GROUPS)
            .map(|group| group.statuses.chars().collect())
            .collect();
        for (row, test) in plugin.tests.iter().enumerate().take(MAX_ROWS) {
            html.own("<tr><th scope=\"row\">").text(test).own("</th>");
            for column in &columns {
                html.own("<td>");
                match column.get(row) {
                    Some('-') | None => {
                        html.own("–");
                    }
                    Some(letter) => status(TestStatus::from_letter(*letter).as_str(), html),
                }
                html.own("</td>");
            }
            html.own("</tr>\n");
        }
        html.own("</tbody></table></div>\n");
        let left_out = plugin.tests.len().saturating_sub(MAX_ROWS) + groups.len().saturating_sub(MAX_GROUPS);
        if left_out > 0 {
            html.own("<p>")
                .text(&format!("{left_out} more rows and columns are in the archive."))
                .own("</p>\n");
        }
        html.own("</section>\n");
    }
}

/// The run's log: when what happened.
pub(crate) fn log(run: &RunDetails, html: &mut Html) {
    if run.log.is_empty() {
        return;
    }
    html.own("<section aria-labelledby=\"timeline\"><h2 id=\"timeline\">Timeline</h2>\n<details><summary>Log of the run</summary>\n");
    html.own("<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-labelledby=\"timeline\"><table><tbody>\n");
    for line in &run.log {
        html.own("<tr><th scope=\"row\">")
            .text(&line.time.to_string())
            .own("</th><td>")
            .text(&line.message)
            .own("</td></tr>\n");
    }
    html.own("</tbody></table></div></details></section>\n");
}

/// Facts about the cluster. Ends the main part.
pub(crate) fn cluster(card: &Card, html: &mut Html) {
    html.own("<section aria-labelledby=\"cluster\"><h2 id=\"cluster\">Cluster</h2>\n");
    if card.cluster.facts.is_empty() {
        html.own("<p>The archive has no facts about the cluster.</p>");
    } else {
        html.own("<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-labelledby=\"cluster\"><table><tbody>\n");
        for (kind, values) in &card.cluster.facts {
            html.own("<tr><th scope=\"row\">").text(kind).own("</th><td>");
            for (place, value) in values.iter().enumerate() {
                if place > 0 {
                    html.own("<br>");
                }
                html.text(value);
            }
            html.own("</td></tr>\n");
        }
        html.own("</tbody></table></div>\n");
    }
    html.own("</section>\n</main>\n");
}
