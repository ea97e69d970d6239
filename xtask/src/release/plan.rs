//! What is to be done for a version, from what is found: no I/O.

use std::fmt;

use cargo_metadata::semver::Version;

use super::{facts::Facts, proof::Proof};

pub(super) struct Plan {
    pub(super) findings: Vec<Finding>,
    /// Empty where everything is done.
    pub(super) steps: Vec<Step>,
    /// What a person does then.
    pub(super) next: String,
}

/// One check.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) what: &'static str,
    /// In words what was found; an error keeps the release from going on.
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
        write!(formatter, "{mark}  {}: {text}", self.what)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Write => "write the version into Cargo.toml, Cargo.lock, CHANGELOG.md, deploy/krew/sono.yaml",
            Self::Commit => "commit them",
            Self::Tag => "tag the commit, with the changelog's section as message",
        })
    }
}

pub(super) fn plan(version: &Version, facts: &Facts) -> Plan {
    let mut findings = vec![branch(facts), tree(facts)];
    let found = |what, found| Finding { what, found };
    findings.push(found("images", facts.workflow.clone()));
    let is_written = facts.version == *version;
    findings.push(found("version", version_found(version, facts)));
    findings.push(found("changelog", changelog(version, facts)));
    // With changes of its own, the call before this one was cut off: writing again gives the same.
    if !is_written || facts.has_changes() {
        return Plan {
            findings,
            steps: vec![Step::Write, Step::Commit],
            next: format!("git push; when CI has passed on that commit, cargo xtask release {version} again"),
        };
    }
    findings.push(found("versions agree", agree(facts)));
    findings.push(found("CI", ci(&facts.proof)));
    let (steps, tagged) = match &facts.tag {
        None => (vec![Step::Tag], Ok(format!("v{version} is free"))),
        Some(commit) if *commit == facts.head => (Vec::new(), Ok(format!("v{version} is this commit already"))),
        Some(commit) => (
            Vec::new(),
            Err(format!("v{version} is another commit, {commit}; take a new number")),
        ),
    };
    findings.push(found("tag", tagged));
    Plan {
        findings,
        steps,
        next: format!("git push origin main v{version}; the workflow `release` does the rest, see RELEASING.md"),
    }
}

fn branch(facts: &Facts) -> Finding {
    let is_main = facts.branch == "main";
    Finding {
        what: "branch",
        found: if is_main {
            Ok("main".to_owned())
        } else {
            Err(format!("releases are made of main, this is `{}`", facts.branch))
        },
    }
}

fn tree(facts: &Facts) -> Finding {
    let found = if !facts.foreign_changes.is_empty() {
        Err(format!("not committed: {}", facts.foreign_changes.join(", ")))
    } else if facts.has_changes() {
        Ok(format!(
            "only what this command wrote is not committed: {}",
            facts.own_changes.join(", ")
        ))
    } else {
        Ok("everything is committed".to_owned())
    };
    Finding { what: "tree", found }
}

fn version_found(version: &Version, facts: &Facts) -> Result<String, String> {
    let current = &facts.version;
    if let Some(newest) = facts.released.iter().max()
        && newest > version
    {
        return Err(format!("v{newest} is released already, and {version} is older"));
    }
    if current > version {
        return Err(format!("the workspace is at {current}, which is newer than {version}"));
    }
    Ok(if current == version {
        format!("the workspace is at {version}")
    } else {
        format!("the workspace goes from {current} to {version}")
    })
}

fn changelog(version: &Version, facts: &Facts) -> Result<String, String> {
    match (facts.has_section, facts.has_unreleased) {
        (true, _) => Ok(format!("has a section for {version}")),
        (false, true) => Ok(format!("what is unreleased becomes {version}")),
        (false, false) => Err(format!("neither `## Unreleased` nor `## {version}` has anything in it")),
    }
}

fn agree(facts: &Facts) -> Result<String, String> {
    if facts.disagreeing.is_empty() {
        Ok("the workspace, the lock file and krew's manifest".to_owned())
    } else {
        Err(format!("another version in {}", facts.disagreeing.join(", ")))
    }
}

fn ci(proof: &Proof) -> Result<String, String> {
    match proof {
        Proof::Marker(said) => Ok(format!(".ci/run passed on this commit on this machine, with {said}")),
        Proof::Workflow(url) => Ok(format!("the workflow ci succeeded on this commit: {url}")),
        Proof::None(reason) => Err(reason.clone()),
    }
}
