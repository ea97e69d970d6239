//! Summary of a CI step: results are written to the file named by the environment variable [`VARIABLE`].
//!
//! Best effort: if the file cannot be written, the command prints a warning and continues.

use std::path::{Path, PathBuf};

use sono_results::{Failure, Summary};
use sono_types::{RunStatus, item};

use super::results;
use crate::{
    error::CliError,
    identity::run_of,
    output::{Markdown, Printer, markdown},
    view::{
        archive::{self, Overview, PluginOverview},
        counts::{self, PluginView},
        failed_log::{self, FailedLog},
        sections::{Section, with_section},
    },
};

/// Variable of GitHub Actions, also used by other CI systems.
const VARIABLE: &str = "GITHUB_STEP_SUMMARY";
/// Maximum size of a summary on GitHub.
const MAX_SUMMARY_BYTES: usize = 1 << 20;
/// Numbers of failures in shorter forms.
const SHORTER_LIMITS: [usize; 2] = [10, 0];

/// Path of the summary, if set.
fn file() -> Option<PathBuf> {
    std::env::var_os(VARIABLE)
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
}

/// Forms of an overview in Markdown, the longest first.
pub(super) fn forms(overview: &Overview<'_>) -> Vec<Markdown> {
    let numbers = [archive::MAX_FAILURES_IN_MARKDOWN].into_iter().chain(SHORTER_LIMITS);
    numbers.map(|shown| archive::markdown(overview, shown)).collect()
}

/// Writes the results of an archive. Replaces an earlier section about its run.
pub(super) fn of_archive(archive: &Path, printer: &Printer) {
    let Some(file) = file() else { return };
    match results::in_markdown(archive) {
        Ok(results::MarkdownForms { run, forms }) => {
            let name = archive.display().to_string();
            let about = [run.as_deref().unwrap_or(&name)];
            write(&file, &about, &forms, printer);
        }
        Err(error) => warn(&file, &error.lines().join(": "), printer),
    }
}

/// Writes the status of a complete run.
pub(super) fn of_status(status: &RunStatus, logs: &[FailedLog], namespace: &str, printer: &Printer) {
    let Some(file) = file() else { return };
    let archive = status.archive().map(|archive| archive.name.as_str());
    let run = archive.and_then(run_of);
    let views = counts::plugins(status);
    let summaries: Vec<Summary> = views.iter().map(|view| summary(view, status, logs)).collect();
    let verdict = counts::verdict(status);
    let overview = Overview {
        run,
        status: &verdict,
        plugins: summaries
            .iter()
            .map(|summary| PluginOverview {
                name: &summary.name,
                status: &summary.status,
                summary,
                listed: &[],
            })
            .collect(),
        health: None,
        archive,
        marks: None,
    };
    let about: Vec<&str> = run.into_iter().chain([namespace]).collect();
    write(&file, &about, &forms(&overview), printer);
}

/// Writes the reason for a missing result.
pub(super) fn of_error(error: &CliError, logs: &[FailedLog], namespace: &str, printer: &Printer) {
    let Some(file) = file() else { return };
    let lines = error.text_lines();
    let quoted = Markdown::quoted(lines.iter().map(String::as_str), "");
    let text = markdown![
        "## No result\n\n",
        Markdown::lines(quoted),
        "\n",
        failed_log::section(logs)
    ];
    write(&file, &[namespace], &[text], printer);
}

/// Summary of a plugin's rows. Rows contain only the names of failures.
fn summary(view: &PluginView, status: &RunStatus, logs: &[FailedLog]) -> Summary {
    let count = |word: &str| {
        view.leaves
            .get(word)
            .map_or(0, |count| u64::try_from(*count).unwrap_or(0))
    };
    let known = [
        item::status::PASSED,
        item::status::FAILED,
        item::status::TIMEOUT,
        item::status::SKIPPED,
    ];
    let other = view
        .leaves
        .iter()
        .filter(|(word, count)| **count > 0 && !known.contains(&word.as_str()))
        .map(|(word, count)| (word.clone(), u64::try_from(*count).unwrap_or(0)));
    let rows = status.rows().iter().filter(|row| row.plugin == view.name);
    let reported = rows.filter_map(|row| row.progress.as_ref());
    let named = reported.flat_map(|progress| progress.failures.iter().cloned());
    let broken = view.broken.iter().map(|(node, error)| {
        let is_here = |log: &&FailedLog| view.is_global || log.node.as_ref() == Some(node);
        let log = logs.iter().filter(|log| log.plugin == view.name).find(is_here);
        Failure {
            name: match error.as_str() {
                "" => format!("no result from {node}"),
                error => format!("no result from {node}: {error}"),
            },
            message_first_lines: log.map(|log| log.lines.clone()).unwrap_or_default(),
            has_log: log.is_some(),
            ..Failure::default()
        }
    });
    let named = named.map(|name| Failure {
        name,
        ..Failure::default()
    });
    Summary {
        name: view.name.clone(),
        status: view.results.first().cloned().unwrap_or_default(),
        passed: count(item::status::PASSED),
        failed: count(item::status::FAILED) + count(item::status::TIMEOUT),
        skipped: count(item::status::SKIPPED),
        other: other.collect(),
        failures: broken.chain(named).collect(),
    }
}

fn write(file: &Path, about: &[&str], forms: &[Markdown], printer: &Printer) {
    let before = match fs_err::read_to_string(file) {
        Ok(before) => before,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return warn(file, &error.to_string(), printer),
    };
    let Some(text) = with_section(&before, &Section { about, forms }, MAX_SUMMARY_BYTES) else {
        return warn(file, "the file has reached the size limit for summaries", printer);
    };
    if let Err(error) = fs_err::write(file, text) {
        warn(file, &error.to_string(), printer);
    }
}

fn warn(file: &Path, why: &str, printer: &Printer) {
    printer.note(&format!(
        "warning: cannot write the summary `{}` ({VARIABLE}): {why}",
        file.display()
    ));
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sono_kube::{FailedOutput, stuck::Explanation};

    use super::*;
    use crate::view::obstacles::Obstacle;

    #[test]
    fn variable_is_documented() {
        let page = include_str!("../../../../docs/configuration.md");
        let row = format!("| `{VARIABLE}` |");
        assert_eq!(page.lines().filter(|line| line.starts_with(&row)).count(), 1);
    }

    /// Until the archive is retrieved, only the logs that were read during the run are known.
    #[test]
    fn lost_result_has_the_log_of_its_node() {
        let status: RunStatus = serde_json::from_value(json!({"status": "complete", "plugins": [
            {"plugin": "p", "node": "n1", "status": "failed", "result-status": "failed", "error": "gone"},
            {"plugin": "p", "node": "n2", "status": "failed", "result-status": "failed"}]}))
        .unwrap();
        let obstacle = Obstacle {
            plugin: Some("p".to_owned()),
            node: Some("n1".to_owned()),
            pending: false,
            failed_pod: Some("x".to_owned()),
            why: Explanation::new("Error", "container c ended with exit code 1", None),
        };
        let output = FailedOutput {
            container: "c".to_owned(),
            previous: false,
            lines: vec!["no disk".to_owned()],
        };
        let logs = [FailedLog::new(&obstacle, output, &|command| command.to_owned())];
        let views = counts::plugins(&status);
        let failures = summary(&views[0], &status, &logs).failures;
        let found: Vec<(&str, &[String], bool)> = failures
            .iter()
            .map(|failure| {
                (
                    failure.name.as_str(),
                    failure.message_first_lines.as_slice(),
                    failure.has_log,
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                ("no result from n1: gone", &["no disk".to_owned()][..], true),
                ("no result from n2", &[], false)
            ]
        );
    }

    #[test]
    fn run_id_is_read_from_the_archive_name() {
        let name = sono_types::layout::archive_name(jiff::Timestamp::UNIX_EPOCH, "4f2a-1");
        assert_eq!(run_of(&name), Some("4f2a-1"));
        assert_eq!(run_of("other.tar.gz"), None);
    }
}
