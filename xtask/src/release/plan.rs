//! Derives the steps of a release from the repository's state, without I/O.

use std::fmt;

use cargo_metadata::semver::Version;

use super::{facts::Facts, proof::Proof};

pub(super) struct Plan {
    pub(super) findings: Vec<Finding>,
    /// The remaining steps.
    pub(super) steps: Vec<Step>,
    /// The next manual step.
    pub(super) next: String,
}

/// The outcome of a check.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) check: &'static str,
    /// Description of the state; an error prevents the release.
    pub(super) found: Result<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Write,
    Commit,
    Tag,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mark, text) = match &self.found {
            Ok(text) => ("ok", text),
            Err(text) => ("NO", text),
        };
        write!(formatter, "{mark}  {}: {text}", self.check)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Write => "write the version into Cargo.toml, Cargo.lock, CHANGELOG.md, deploy/krew/sono.yaml",
            Self::Commit => "commit these files",
            Self::Tag => "tag the commit, with the changelog's section as message",
        })
    }
}

pub(super) fn plan(version: &Version, facts: &Facts) -> Plan {
    let mut findings = vec![branch(facts), tree(facts)];
    let found = |check, found| Finding { check, found };
    findings.push(found("images", facts.workflow.clone()));
    let is_written = facts.version == *version;
    findings.push(found("version", version_found(version, facts)));
    findings.push(found("changelog", changelog(version, facts)));
    // Changes of this command are left by an interrupted call; writing them again has the same result.
    if !is_written || facts.has_changes() {
        return Plan {
            findings,
            steps: vec![Step::Write, Step::Commit],
            next: format!("git push; when CI has passed on that commit, run cargo xtask release {version} again"),
        };
    }
    findings.push(found("versions agree", agree(facts)));
    findings.push(found("CI", ci(&facts.proof)));
    let (steps, tagged) = match &facts.tag {
        None => (vec![Step::Tag], Ok(format!("v{version} does not exist yet"))),
        Some(commit) if *commit == facts.head => (Vec::new(), Ok(format!("v{version} already names this commit"))),
        Some(commit) => (
            Vec::new(),
            Err(format!("v{version} names another commit, {commit}; use a new version")),
        ),
    };
    findings.push(found("tag", tagged));
    Plan {
        findings,
        steps,
        next: format!("git push origin main v{version}; this starts the workflow `release`, see RELEASING.md"),
    }
}

fn branch(facts: &Facts) -> Finding {
    let is_main = facts.branch == "main";
    Finding {
        check: "branch",
        found: if is_main {
            Ok("main".to_owned())
        } else {
            Err(format!(
                "releases require the branch main, but this is `{}`",
                facts.branch
            ))
        },
    }
}

fn tree(facts: &Facts) -> Finding {
    let found = if !facts.other_changes.is_empty() {
        Err(format!("uncommitted changes: {}", facts.other_changes.join(", ")))
    } else if facts.has_changes() {
        Ok(format!(
            "only this command's changes are uncommitted: {}",
            facts.own_changes.join(", ")
        ))
    } else {
        Ok("clean".to_owned())
    };
    Finding { check: "tree", found }
}

fn version_found(version: &Version, facts: &Facts) -> Result<String, String> {
    let current = &facts.version;
    if let Some(newest) = facts.released.iter().max()
        && newest > version
    {
        return Err(format!("v{newest} is already released, and {version} is older"));
    }
    if current > version {
        return Err(format!(
            "the workspace has version {current}, which is newer than {version}"
        ));
    }
    Ok(if current == version {
        format!("the workspace has version {version}")
    } else {
        format!("the workspace changes from {current} to {version}")
    })
}

fn changelog(version: &Version, facts: &Facts) -> Result<String, String> {
    match (facts.has_section, facts.has_unreleased) {
        (true, _) => Ok(format!("has a section for {version}")),
        (false, true) => Ok(format!("unreleased changes become {version}")),
        (false, false) => Err(format!("`## Unreleased` and `## {version}` are both missing or empty")),
    }
}

fn agree(facts: &Facts) -> Result<String, String> {
    if facts.disagreeing.is_empty() {
        Ok("the workspace, the lock file and krew's manifest".to_owned())
    } else {
        Err(format!("other versions in {}", facts.disagreeing.join(", ")))
    }
}

fn ci(proof: &Proof) -> Result<String, String> {
    match proof {
        Proof::Marker(suites) => Ok(format!(".ci/run passed on this commit on this machine, with {suites}")),
        Proof::Workflow(url) => Ok(format!("the workflow ci succeeded on this commit: {url}")),
        Proof::None(reason) => Err(reason.clone()),
    }
}
