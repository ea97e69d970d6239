//! The page: head, sections, data and script.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use sono_analysis::{FailureView, RunDetails, Why};

use crate::{
    html::{Html, json_block, visible},
    sections,
};

const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");
/// Maximum number of failures with evidence.
const MAX_EVIDENCE: usize = 1_000;
/// Maximum size of the evidence of all failures in bytes.
const MAX_EVIDENCE_BYTES: usize = 2 << 20;

/// Input of a report.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Name of the archive.
    pub archive: &'a str,
    /// The run's card, nodes and log.
    pub run: &'a RunDetails,
    /// Causes, and failures with their evidence.
    pub why: &'a Why,
    /// What is proved about secrets in the archive, in a sentence.
    pub redaction: Option<&'a str>,
    /// What could not be read.
    pub problems: &'a [String],
}

/// The report of a run.
///
/// # Errors
/// Never fails for texts; the error is that of the JSON library.
pub fn report(input: &Input<'_>) -> Result<String, serde_json::Error> {
    let mut body = Html::default();
    sections::summary(input, &mut body);
    sections::causes(input.why, &mut body);
    sections::failures(input.why, &mut body);
    sections::tests(&mut body);
    sections::nodes(input.run, &mut body);
    sections::log(input.run, &mut body);
    sections::cluster(&input.run.card, &mut body);
    let data = serde_json::to_string(&Data::of(input))?;
    Ok(page(&format!("Report of {}", input.archive), &body, Some(&data)))
}

/// A page in the form of the report, without a script.
pub fn static_page(title: &str, body: &Html) -> String {
    page(title, body, None)
}

/// A page. `data` is the JSON for its script, if it has one.
fn page(title: &str, body: &Html, data: Option<&str>) -> String {
    let mut html = Html::default();
    html.own("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    html.own("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src ");
    html.text(&source(STYLE));
    if data.is_some() {
        html.own("; script-src ").text(&source(SCRIPT));
    }
    html.own("; base-uri 'none'; form-action 'none'\">\n");
    html.own("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    html.own("<meta name=\"generator\" content=\"sono\">\n<title>")
        .text(title)
        .own("</title>\n");
    html.own("<style>").own(STYLE).own("</style>\n</head>\n<body>\n");
    html.own("<a class=\"skip\" href=\"#main\">Skip to the results</a>\n");
    html.html(body);
    if let Some(data) = data {
        html.own("<script type=\"application/json\" id=\"data\">");
        json_block(data, &mut html);
        html.own("</script>\n<script>").own(SCRIPT).own("</script>\n");
    }
    html.own("</body>\n</html>\n");
    html.finish()
}

/// Hash of a style or script for the policy.
fn source(text: &str) -> String {
    format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)))
}

/// What the script shows.
#[derive(Serialize)]
struct Data {
    plugins: Vec<PluginTests>,
    /// By the position of the failure; shorter than the list of failures if limits apply.
    evidence: Vec<Evidence>,
}

#[derive(Serialize)]
struct PluginTests {
    name: String,
    tests: Vec<String>,
    ids: Vec<String>,
    statuses: String,
    milliseconds: Vec<u32>,
}

#[derive(Default, Serialize)]
struct Evidence {
    /// Titles, and lines of text.
    parts: Vec<(&'static str, Vec<String>)>,
}

impl Data {
    fn of(input: &Input<'_>) -> Self {
        let plugins = input.run.card.plugins.iter().map(|plugin| PluginTests {
            name: visible(&plugin.name),
            tests: plugin.tests.iter().map(|name| visible(name)).collect(),
            ids: plugin.ids().iter().map(ToString::to_string).collect(),
            statuses: plugin.statuses.clone(),
            milliseconds: plugin.milliseconds.clone(),
        });
        let mut bytes = 0;
        let evidence = input.why.failures.iter().take(MAX_EVIDENCE).map_while(|failure| {
            let evidence = Evidence::of(failure);
            bytes += evidence.bytes();
            (bytes <= MAX_EVIDENCE_BYTES).then_some(evidence)
        });
        Self {
            plugins: plugins.collect(),
            evidence: evidence.collect(),
        }
    }
}

impl Evidence {
    fn of(failure: &FailureView) -> Self {
        // The message is in the page itself.
        let parts = failure.evidence().into_iter().filter(|(title, _)| *title != "message");
        let shown = parts.map(|(title, lines)| (title, lines.iter().map(|line| visible(line)).collect()));
        Self { parts: shown.collect() }
    }

    fn bytes(&self) -> usize {
        let lines = self.parts.iter().flat_map(|(_, lines)| lines);
        lines.map(|line| line.len() + 8).sum::<usize>() + 16
    }
}

#[cfg(test)]
mod tests;
