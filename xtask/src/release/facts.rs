//! The state of the repository.

use std::path::Path;

use anyhow::Context;
use cargo_metadata::semver::Version;
use fs_err as fs;
use sono_testbed::command;

use super::{
    bump,
    proof::{self, Proof},
    workflow,
};

pub(super) struct Facts {
    pub(super) branch: String,
    /// Hash of the current commit.
    pub(super) head: String,
    /// The workspace's version in its Cargo.toml.
    pub(super) version: Version,
    /// Uncommitted files with only this command's changes.
    pub(super) own_changes: Vec<String>,
    pub(super) other_changes: Vec<String>,
    /// Whether the changelog has a section for the version.
    pub(super) has_section: bool,
    /// Whether the changelog has unreleased changes.
    pub(super) has_unreleased: bool,
    /// Files with another version than the workspace's.
    pub(super) disagreeing: Vec<String>,
    /// Commit of the version's tag.
    pub(super) tag: Option<String>,
    /// Versions with a tag.
    pub(super) released: Vec<Version>,
    pub(super) proof: Proof,
    pub(super) workflow: Result<String, String>,
}

impl Facts {
    pub(super) fn of(tree: &Path, version: &Version, gh: Option<&Path>) -> anyhow::Result<Self> {
        let head = git(tree, &["rev-parse", "HEAD"])?;
        let read = |path: &str| fs::read_to_string(tree.join(path)).with_context(|| path.to_owned());
        let changelog = read(bump::CHANGELOG)?;
        let (own_changes, other_changes) = changes(tree, version)?;
        let tags = git(tree, &["tag", "--list", "v*"])?;
        let name = format!("refs/tags/v{version}^{{commit}}");
        let mut tag = command::new("git", ["rev-parse", "--verify", "--quiet", &name]);
        let tag = command::output(tag.current_dir(tree)).ok();
        let current = bump::workspace_version(&read(bump::MANIFEST)?)?;
        let disagreeing = bump::files(tree, &current)?
            .into_iter()
            // The changelog has the version as a heading, which is checked separately.
            .filter(|file| file.path != bump::CHANGELOG && file.now != file.after)
            .map(|file| file.path.to_owned())
            .collect();
        Ok(Self {
            branch: git(tree, &["rev-parse", "--abbrev-ref", "HEAD"])?,
            version: current,
            own_changes,
            other_changes,
            has_section: bump::section(&changelog, &version.to_string()).is_some(),
            has_unreleased: bump::section(&changelog, bump::UNRELEASED).is_some(),
            disagreeing,
            tag: tag.map(|commit| commit.trim().to_owned()),
            released: tags
                .lines()
                .filter_map(|tag| tag.strip_prefix('v')?.parse().ok())
                .collect(),
            proof: proof::of(tree, &head, gh),
            workflow: read(workflow::PATH)
                .map_or_else(|error| Err(format!("{error:#}")), |text| workflow::images(&text)),
            head,
        })
    }

    pub(super) fn has_changes(&self) -> bool {
        !self.own_changes.is_empty()
    }
}

/// Splits changed files into those that only this command changed and all others.
fn changes(tree: &Path, version: &Version) -> anyhow::Result<(Vec<String>, Vec<String>)> {
    // Do not trim: a line begins with two letters, which may be spaces.
    let mut status = command::new("git", ["status", "--porcelain", "--no-renames"]);
    let status = command::output(status.current_dir(tree))?;
    let (mut own, mut other) = (Vec::new(), Vec::new());
    for line in status.lines() {
        let path = line.get(3..).unwrap_or_default().to_owned();
        if bump::is_written(tree, &path, version)? {
            own.push(path);
        } else {
            other.push(path);
        }
    }
    Ok((own, other))
}

pub(super) fn git(tree: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = command::output(command::new("git", arguments).current_dir(tree))?;
    Ok(output.trim().to_owned())
}
