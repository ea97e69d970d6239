//! The README of a submission, from the description of the run.

use std::fmt::Write as _;

use super::{Refusal, Run, WHOLE_SUITE};
use crate::{log::LogFacts, minor::Minor, product::Product, strict::DRAFT};

/// Maximum number of nodes in the table. More nodes are counted.
const MAX_ROWS: usize = 100;
/// Variables of the suite that select tests or change how they run.
const SELECTING: [&str; 6] = [
    "E2E_FOCUS",
    "E2E_SKIP",
    "E2E_PARALLEL",
    "E2E_EXTRA_GINKGO_ARGS",
    "E2E_DRYRUN",
    "KUBE_TEST_REPO",
];

/// Renders the README. The text depends on the arguments alone. `added` is the user's text about installing the product;
/// `refusals` are the reasons of a draft.
pub fn render(
    run: &Run,
    product: &Product,
    minor: Minor,
    log: &LogFacts,
    added: Option<&str>,
    refusals: &[Refusal],
) -> String {
    let mut text = String::new();
    let mut line =
        |content: std::fmt::Arguments<'_>| writeln!(text, "{content}").expect("writing to a string cannot fail");
    let name = inline(product.text("name"));
    line(format_args!("# {name}\n"));
    if !refusals.is_empty() {
        line(format_args!("{DRAFT} these results are not a submission.\n>"));
        for Refusal { name, reason } in refusals {
            line(format_args!("> - {name}: {}", inline(reason)));
        }
        line(format_args!(""));
    }
    line(format_args!(
        "Conformance results of {} {name} {} for Kubernetes {minor}.\n",
        inline(product.text("vendor")),
        inline(product.text("version"))
    ));
    if let Some(added) = added {
        line(format_args!("{}\n", added.trim()));
    }
    line(format_args!(
        "## Reproduce the results\n\nRun the suite, and retrieve the archive:\n\n```sh"
    ));
    for command in commands(run) {
        line(format_args!("{command}"));
    }
    line(format_args!("```\n\n## Versions\n\n| | |\n|---|---|"));
    for (what, value) in [
        ("Kubernetes", &run.server),
        ("platform", &run.platform),
        ("image of the suite", &run.image),
        ("digest of that image", &run.image_id),
        ("tool", &run.tool),
        ("image of the tool", &run.tool_image),
        ("start of the run", &run.start),
    ] {
        if !value.is_empty() {
            line(format_args!("| {what} | {} |", cell(value)));
        }
    }
    if let (Some(ran), Some(summary)) = (log.ran, log.summary) {
        line(format_args!(
            "| tests | {ran} ran, {} passed, {} failed |",
            summary.passed, summary.failed
        ));
    }
    if !run.nodes.is_empty() {
        line(format_args!(
            "\n## Nodes\n\n| node | kubelet | system | kernel | runtime | architecture |\n|---|---|---|---|---|---|"
        ));
        for node in run.nodes.iter().take(MAX_ROWS) {
            let cells = [
                &node.name,
                &node.kubelet,
                &node.system,
                &node.kernel,
                &node.runtime,
                &node.architecture,
            ];
            line(format_args!("| {} |", cells.map(|text| cell(text)).join(" | ")));
        }
        if let Some(more) = run.nodes.len().checked_sub(MAX_ROWS).filter(|more| *more > 0) {
            line(format_args!("\n{more} more nodes are not listed."));
        }
    }
    text
}

/// The commands that reproduce the run.
fn commands(run: &Run) -> Vec<String> {
    let is_whole = run.variable("E2E_FOCUS") == WHOLE_SUITE && run.variable("E2E_SKIP").is_empty();
    let mut command = "sono run --plugin e2e".to_owned();
    if is_whole {
        command.push_str(" --mode certified-conformance");
    }
    if !run.image.is_empty() {
        command.push_str(" --kube-conformance-image ");
        command.push_str(&shell(&run.image));
    }
    for name in SELECTING {
        let value = run.variable(name);
        let is_default = match name {
            "E2E_FOCUS" | "E2E_SKIP" => is_whole,
            "E2E_PARALLEL" => matches!(value, "" | "false"),
            _ => value.is_empty(),
        };
        if !is_default {
            command.push_str(" \\\n  --plugin-env ");
            command.push_str(&shell(&format!("e2e.{name}={value}")));
        }
    }
    command.push_str(" --wait");
    vec![command, "sono retrieve".to_owned()]
}

/// A word of a shell command.
fn shell(text: &str) -> String {
    let plain = !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-./:=@,+".contains(&byte));
    if plain {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Foreign text within a paragraph: one line without markup.
fn inline(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '|' | '~' | '!' | '&' => {
                escaped.push('\\');
                escaped.push(letter);
            }
            letter if letter.is_control() => escaped.push(' '),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// Foreign text in a cell of a table, as code.
fn cell(text: &str) -> String {
    let text: String = text
        .chars()
        .filter(|letter| !letter.is_control() && !matches!(letter, '`' | '|'))
        .collect();
    if text.is_empty() {
        String::new()
    } else {
        format!("`{text}`")
    }
}
