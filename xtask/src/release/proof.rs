//! Proof that CI has passed on a commit: a marker of `.ci/run` on this machine, or the workflow's API.

use std::path::Path;

use fs_err as fs;
use serde::Deserialize;
use sono_testbed::command;

use super::facts::git;

/// Folder in git's directory with a marker file per commit, which lists the suites of a successful `.ci/run`.
const FOLDER: &str = "sono-ci-passed";
/// The marker's line for the tests on a cluster.
const CLUSTER: &str = "tests on a real cluster";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// The suites of `.ci/run`.
    Marker(String),
    /// URL of the workflow's run.
    Workflow(String),
    /// The reason for a missing proof.
    None(String),
}

pub(super) fn of(tree: &Path, head: &str, gh: Option<&Path>) -> Proof {
    let marker = git(tree, &["rev-parse", "--path-format=absolute", "--git-common-dir"])
        .ok()
        .and_then(|folder| fs::read_to_string(Path::new(&folder).join(FOLDER).join(head)).ok());
    let local = match marker {
        Some(suites) if suites.contains(CLUSTER) => return Proof::Marker(suites.trim().replace('\n', ", ")),
        Some(_) => ".ci/run passed on this commit, but without the tests on a cluster",
        None => ".ci/run has not passed on this commit on this machine",
    };
    let remote = match gh {
        None => "the workflow was not checked (requires the program gh and GH_TOKEN)".to_owned(),
        Some(gh) => match workflow(tree, head, gh) {
            Ok(Some(url)) => return Proof::Workflow(url),
            Ok(None) => "the workflow ci has not succeeded on this commit".to_owned(),
            Err(error) => format!("cannot check the workflow: {error:#}"),
        },
    };
    Proof::None(format!("{local}; {remote}"))
}

#[derive(Deserialize)]
struct Run {
    conclusion: String,
    url: String,
}

/// URL of the workflow's newest run on the commit, if it succeeded.
fn workflow(tree: &Path, head: &str, gh: &Path) -> anyhow::Result<Option<String>> {
    let arguments = [
        "run",
        "list",
        "--workflow",
        "ci.yml",
        "--commit",
        head,
        "--limit",
        "1",
        "--json",
        "conclusion,url",
    ];
    let output = command::output(command::new(gh, arguments).current_dir(tree))?;
    let runs: Vec<Run> = serde_json::from_str(&output)?;
    let newest = runs.into_iter().next();
    Ok(newest.filter(|run| run.conclusion == "success").map(|run| run.url))
}
