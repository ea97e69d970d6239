//! The source of a release: a commit.

use std::path::Path;

use anyhow::{Context, ensure};
use sono_testbed::command;

/// A state of the source tree.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// The commit's full hash, with the suffix `-dirty` if the tree has changes.
    pub(super) revision: String,
    /// Time of the commit in seconds since 1970, the only time in the built files.
    pub(super) time: u64,
    /// The same time in UTC, in the format of RFC 3339.
    pub(super) timestamp: String,
}

impl Source {
    /// Reads the source of the tree. Fails for uncommitted changes unless `may_be_dirty`.
    pub(super) fn of(tree: &Path, may_be_dirty: bool) -> anyhow::Result<Self> {
        let changes = git(tree, &["status", "--porcelain"])?;
        let is_dirty = !changes.is_empty();
        ensure!(
            may_be_dirty || !is_dirty,
            "the tree has uncommitted changes, so the build would not be reproducible (use --allow-dirty for tests):\n{changes}"
        );
        let commit = git(tree, &["rev-parse", "HEAD"])?;
        let shown = |arguments: &[&str]| {
            let mut show = command::new("git", ["show", "--no-patch"]);
            let output = command::output(show.args(arguments).arg("HEAD").env("TZ", "UTC").current_dir(tree));
            Ok::<_, anyhow::Error>(output?.trim().to_owned())
        };
        let time = shown(&["--format=%ct"])?;
        Ok(Self {
            revision: if is_dirty { format!("{commit}-dirty") } else { commit },
            time: time.parse().with_context(|| format!("invalid commit time: {time}"))?,
            timestamp: shown(&["--date=format-local:%Y-%m-%dT%H:%M:%SZ", "--format=%cd"])?,
        })
    }

    /// Clones the commit to `folder`.
    pub(super) fn clone_to(&self, tree: &Path, folder: &Path) -> anyhow::Result<()> {
        let from = tree.to_str().context("the repository's path is not UTF-8")?;
        let to = folder.to_str().context("the folder's path is not UTF-8")?;
        git(tree, &["clone", "--quiet", "--no-checkout", from, to])?;
        git(folder, &["checkout", "--quiet", "--detach", &self.revision])?;
        Ok(())
    }
}

fn git(tree: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = command::output(command::new("git", arguments).current_dir(tree))?;
    Ok(output.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::*;

    #[test]
    fn source_of_dirty_tree_requires_permission() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        fs::create_dir(&tree).unwrap();
        git(&tree, &["init", "--quiet"]).unwrap();
        fs::write(tree.join("file"), "one").unwrap();
        git(&tree, &["add", "file"]).unwrap();
        let mut commit = command::new(
            "git",
            [
                "-c",
                "user.name=a",
                "-c",
                "user.email=a@b",
                "commit",
                "--quiet",
                "-m",
                "one",
            ],
        );
        command::run(commit.current_dir(&tree).env("GIT_COMMITTER_DATE", "1700000000 +0100")).unwrap();
        let clean = Source::of(&tree, false).unwrap();
        assert_eq!((clean.revision.len(), clean.time), (40, 1_700_000_000));
        assert_eq!(clean.timestamp, "2023-11-14T22:13:20Z");

        let copy = folder.path().join("a/copy");
        clean.clone_to(&tree, &copy).unwrap();
        assert_eq!(Source::of(&copy, false).unwrap(), clean);

        fs::write(tree.join("new"), "two").unwrap();
        let refused = Source::of(&tree, false).unwrap_err().to_string();
        assert!(refused.ends_with("(use --allow-dirty for tests):\n?? new"), "{refused}");
        let dirty = Source::of(&tree, true).unwrap();
        assert_eq!(dirty.revision, format!("{}-dirty", clean.revision));
    }
}
