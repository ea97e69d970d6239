//! How things stand in the repository.

use std::path::Path;

use anyhow::Context;
use cargo_metadata::semver::Version;
use fs_err as fs;

use super::{
    bump,
    proof::{self, Proof},
    workflow,
};
use crate::command;

pub(super) struct Facts {
    pub(super) branch: String,
    /// The commit.
    pub(super) head: String,
    /// Of the workspace, as its Cargo.toml says now.
    pub(super) version: Version,
    /// Files that this command changed and did not come to commit.
    pub(super) own_changes: Vec<String>,
    pub(super) foreign_changes: Vec<String>,
    /// The changelog has something under the version.
    pub(super) has_section: bool,
    /// The changelog has something under `Unreleased`.
    pub(super) has_unreleased: bool,
    /// Files that have another version than the workspace.
    pub(super) disagreeing: Vec<String>,
    /// The commit that the version's tag names.
    pub(super) tag: Option<String>,
    /// Versions that have a tag.
    pub(super) released: Vec<Version>,
    pub(super) proof: Proof,
    pub(super) workflow: Result<String, String>,
}

impl Facts {
    pub(super) fn of(tree: &Path, version: &Version, gh: Option<&Path>) -> anyhow::Result<Self> {
        let head = git(tree, &["rev-parse", "HEAD"])?;
        let read = |path: &str| fs::read_to_string(tree.join(path)).with_context(|| path.to_owned());
        let changelog = read(bump::CHANGELOG)?;
        let (own_changes, foreign_changes) = changes(tree, version)?;
        let tags = git(tree, &["tag", "--list", "v*"])?;
        let name = format!("refs/tags/v{version}^{{commit}}");
        let mut tag = command::new("git", ["rev-parse", "--verify", "--quiet", &name]);
        let tag = command::output(tag.current_dir(tree)).ok();
        let current = bump::workspace_version(&read(bump::MANIFEST)?)?;
        let disagreeing = bump::files(tree, &current)?
            .into_iter()
            // The changelog has the version as a heading, which is a check of its own.
            .filter(|file| file.path != bump::CHANGELOG && file.now != file.after)
            .map(|file| file.path.to_owned())
            .collect();
        Ok(Self {
            branch: git(tree, &["rev-parse", "--abbrev-ref", "HEAD"])?,
            version: current,
            own_changes,
            foreign_changes,
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

/// A file whose content is just what writing the version gives is this command's, any other change is somebody's.
fn changes(tree: &Path, version: &Version) -> anyhow::Result<(Vec<String>, Vec<String>)> {
    // Not trimmed: a line begins with two letters, which may be blanks.
    let mut status = command::new("git", ["status", "--porcelain", "--no-renames"]);
    let status = command::output(status.current_dir(tree))?;
    let (mut own, mut foreign) = (Vec::new(), Vec::new());
    for line in status.lines() {
        let path = line.get(3..).unwrap_or_default().to_owned();
        if bump::is_written(tree, &path, version)? {
            own.push(path);
        } else {
            foreign.push(path);
        }
    }
    Ok((own, foreign))
}

pub(super) fn git(tree: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let said = command::output(command::new("git", arguments).current_dir(tree))?;
    Ok(said.trim().to_owned())
}
