//! The files that contain the version, and the change of the version in them.

use std::path::Path;

use anyhow::{Context, ensure};
use cargo_metadata::semver::Version;
use fs_err as fs;
use sono_testbed::command;

use crate::r#gen;

pub(super) const MANIFEST: &str = "Cargo.toml";
const LOCK: &str = "Cargo.lock";
pub(super) const CHANGELOG: &str = "CHANGELOG.md";
const KREW: &str = "deploy/krew/sono.yaml";
/// All files that contain the version.
pub(super) const PATHS: [&str; 4] = [MANIFEST, LOCK, CHANGELOG, KREW];
/// Heading of unreleased changes.
pub(super) const UNRELEASED: &str = "Unreleased";

/// A file's current text, and its text with the version.
pub(super) struct File {
    pub(super) path: &'static str,
    pub(super) now: String,
    pub(super) after: String,
}

pub(super) fn files(tree: &Path, version: &Version) -> anyhow::Result<Vec<File>> {
    let read = |path: &str| fs::read_to_string(tree.join(path)).with_context(|| path.to_owned());
    PATHS
        .into_iter()
        .map(|path| {
            let now = read(path)?;
            let after = with_version(path, &now, version).with_context(|| path.to_owned())?;
            Ok(File { path, now, after })
        })
        .collect()
}

/// Whether the file is the committed one with only the version changed by this command.
pub(super) fn is_written(tree: &Path, path: &str, version: &Version) -> anyhow::Result<bool> {
    let Some(path) = PATHS.into_iter().find(|known| *known == path) else {
        return Ok(false);
    };
    let committed = command::output(command::new("git", ["show", &format!("HEAD:{path}")]).current_dir(tree))?;
    let now = fs::read_to_string(tree.join(path))?;
    Ok(with_version(path, &committed, version)? == now)
}

fn with_version(path: &str, text: &str, version: &Version) -> anyhow::Result<String> {
    match path {
        MANIFEST => manifest(text, version),
        LOCK => Ok(lock(text, version)),
        CHANGELOG => Ok(changelog(text, version)),
        _ => Ok(r#gen::krew_manifest(&version.to_string())),
    }
}

/// The version that all members inherit.
pub(super) fn workspace_version(manifest: &str) -> anyhow::Result<Version> {
    let (_, section) = manifest
        .split_once("[workspace.package]\n")
        .context("missing [workspace.package]")?;
    let line = section.lines().find_map(|line| line.strip_prefix("version = \""));
    let version = line
        .and_then(|line| line.strip_suffix('"'))
        .context("missing version in [workspace.package]")?;
    Ok(version.parse()?)
}

fn manifest(text: &str, version: &Version) -> anyhow::Result<String> {
    let old = workspace_version(text)?;
    let (head, section) = text
        .split_once("[workspace.package]\n")
        .context("missing [workspace.package]")?;
    let section = section.replacen(
        &format!("version = \"{old}\"\n"),
        &format!("version = \"{version}\"\n"),
        1,
    );
    let after = format!("{head}[workspace.package]\n{section}");
    ensure!(workspace_version(&after)? == *version, "cannot replace the version");
    Ok(after)
}

/// Changes the version of packages without a source: these are the members with the workspace's version.
fn lock(text: &str, version: &Version) -> String {
    let blocks: Vec<String> = text
        .split("[[package]]\n")
        .map(|block| {
            let is_member = block.starts_with("name = ") && !block.contains("\nsource = ");
            if !is_member {
                return block.to_owned();
            }
            let lines: Vec<String> = block
                .split('\n')
                .map(|line| {
                    if line.starts_with("version = ") {
                        format!("version = \"{version}\"")
                    } else {
                        line.to_owned()
                    }
                })
                .collect();
            lines.join("\n")
        })
        .collect();
    blocks.join("[[package]]\n")
}

/// Moves unreleased changes below a heading for the version, unless the version already has a section.
fn changelog(text: &str, version: &Version) -> String {
    if section(text, &version.to_string()).is_some() {
        return text.to_owned();
    }
    let (old, new) = (
        format!("## {UNRELEASED}\n"),
        format!("## {UNRELEASED}\n\n## {version}\n"),
    );
    text.replacen(&old, &new, 1)
}

/// The text below a heading; `None` if it is missing or empty.
pub(super) fn section<'text>(changelog: &'text str, heading: &str) -> Option<&'text str> {
    let (_, rest) = changelog.split_once(&format!("## {heading}\n"))?;
    let end = rest.find("\n## ").map_or(rest.len(), |at| at + 1);
    // An empty section is directly followed by the next heading.
    let text = if rest.starts_with("## ") {
        ""
    } else {
        rest[..end].trim()
    };
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn manifest_replaces_only_workspace_version() {
        let text = "[workspace]\nversion = \"0.1.0\"\n\n[workspace.package]\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[x]\nversion = \"0.1.0\"\n";
        let expected = "[workspace]\nversion = \"0.1.0\"\n\n[workspace.package]\nversion = \"0.2.0\"\nedition = \"2024\"\n\n[x]\nversion = \"0.1.0\"\n";
        assert_eq!(manifest(text, &version("0.2.0")).unwrap(), expected);
    }

    #[test]
    fn lock_changes_only_members() {
        let text = "# head\nversion = 4\n\n[[package]]\nname = \"a\"\nversion = \"0.1.0\"\nsource = \"r\"\n\n[[package]]\nname = \"ours\"\nversion = \"0.1.0\"\n";
        let expected = text.replace("ours\"\nversion = \"0.1.0", "ours\"\nversion = \"0.2.0");
        assert_eq!(lock(text, &version("0.2.0")), expected);
    }

    #[test]
    fn changelog_adds_heading_once() {
        let text = "# Changelog\n\n## Unreleased\n\n- new\n\n## 0.1.0\n\n- old\n";
        let after = changelog(text, &version("0.2.0"));
        assert_eq!(
            after,
            "# Changelog\n\n## Unreleased\n\n## 0.2.0\n\n- new\n\n## 0.1.0\n\n- old\n"
        );
        assert_eq!(changelog(&after, &version("0.2.0")), after);
        assert_eq!(section(&after, "0.2.0"), Some("- new"));
        assert_eq!(section(&after, "0.1.0"), Some("- old"));
        assert_eq!(section(&after, UNRELEASED), None);
        assert_eq!(section(&after, "0.3.0"), None);
    }

    /// The version can be changed in this repository's files.
    #[test]
    fn files_of_this_repository_accept_a_version() {
        let new = version("999.0.0");
        for file in files(&sono_testbed::repository::root(), &new).unwrap() {
            assert_ne!(file.now, file.after, "{}", file.path);
            assert_eq!(
                with_version(file.path, &file.after, &new).unwrap(),
                file.after,
                "{}",
                file.path
            );
        }
    }
}
