//! That CI has passed on a commit: from what `.ci/run` left on this machine, or from the workflow's API.

use std::path::Path;

use fs_err as fs;
use serde::Deserialize;

use super::facts::git;
use crate::command;

/// In git's own folder, a file for each commit: what `.ci/run` ran when it passed.
const FOLDER: &str = "sono-ci-passed";
/// What stands in it when the tests on a cluster were among it.
const CLUSTER: &str = "tests on a real cluster";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// What `.ci/run` ran.
    Marker(String),
    /// Where the workflow's run is.
    Workflow(String),
    /// Why there is none.
    None(String),
}

pub(super) fn of(tree: &Path, head: &str, gh: Option<&Path>) -> Proof {
    let marker = git(tree, &["rev-parse", "--path-format=absolute", "--git-common-dir"])
        .ok()
        .and_then(|folder| fs::read_to_string(Path::new(&folder).join(FOLDER).join(head)).ok());
    let by_hand = match marker {
        Some(said) if said.contains(CLUSTER) => return Proof::Marker(said.trim().replace('\n', ", ")),
        Some(_) => ".ci/run passed on this commit, but without the tests on a cluster",
        None => ".ci/run has not passed on this commit on this machine",
    };
    let asked = match gh {
        None => "the workflow was not asked (needs the program gh, and GH_TOKEN)".to_owned(),
        Some(gh) => match workflow(tree, head, gh) {
            Ok(Some(url)) => return Proof::Workflow(url),
            Ok(None) => "the workflow ci has not succeeded on it".to_owned(),
            Err(error) => format!("the workflow could not be asked: {error:#}"),
        },
    };
    Proof::None(format!("{by_hand}; {asked}"))
}

#[derive(Deserialize)]
struct Run {
    conclusion: String,
    url: String,
}

/// The newest run of the workflow on the commit counts.
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
    let said = command::output(command::new(gh, arguments).current_dir(tree))?;
    let runs: Vec<Run> = serde_json::from_str(&said)?;
    let newest = runs.into_iter().next();
    Ok(newest.filter(|run| run.conclusion == "success").map(|run| run.url))
}
