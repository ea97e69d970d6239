//! What a release is made of: a commit.

use std::path::Path;

use anyhow::{Context, ensure};

use crate::command;

/// A state of the source tree.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// The commit's full hash; `-dirty` behind it where the tree has something else.
    pub(super) revision: String,
    /// Seconds since 1970, of the commit: the only time that gets into what is built.
    pub(super) time: u64,
    /// The same time in UTC, as RFC 3339 has it.
    pub(super) timestamp: String,
}

impl Source {
    /// Refuses a tree that is not what its commit is, unless told otherwise.
    pub(super) fn of(tree: &Path, may_be_dirty: bool) -> anyhow::Result<Self> {
        let changes = git(tree, &["status", "--porcelain"])?;
        let is_dirty = !changes.is_empty();
        ensure!(
            may_be_dirty || !is_dirty,
            "the tree has what no commit has, so nobody could build the same again (--allow-dirty to try things out):\n{changes}"
        );
        let commit = git(tree, &["rev-parse", "HEAD"])?;
        let shown = |arguments: &[&str]| {
            let mut show = command::new("git", ["show", "--no-patch"]);
            let said = command::output(show.args(arguments).arg("HEAD").env("TZ", "UTC").current_dir(tree));
            Ok::<_, anyhow::Error>(said?.trim().to_owned())
        };
        let time = shown(&["--format=%ct"])?;
        Ok(Self {
            revision: if is_dirty { format!("{commit}-dirty") } else { commit },
            time: time.parse().with_context(|| format!("time of the commit: {time}"))?,
            timestamp: shown(&["--date=format-local:%Y-%m-%dT%H:%M:%SZ", "--format=%cd"])?,
        })
    }

    /// Writes its tree to `folder`.
    pub(super) fn clone_to(&self, tree: &Path, folder: &Path) -> anyhow::Result<()> {
        let from = tree.to_str().context("the repository's path is no UTF-8")?;
        let to = folder.to_str().context("the folder's path is no UTF-8")?;
        git(tree, &["clone", "--quiet", "--no-checkout", from, to])?;
        git(folder, &["checkout", "--quiet", "--detach", &self.revision])?;
        Ok(())
    }
}

fn git(tree: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let said = command::output(command::new("git", arguments).current_dir(tree))?;
    Ok(said.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::*;

    #[test]
    fn a_tree_is_its_commit_or_refused() {
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
        assert!(
            refused.ends_with("(--allow-dirty to try things out):\n?? new"),
            "{refused}"
        );
        let dirty = Source::of(&tree, true).unwrap();
        assert_eq!(dirty.revision, format!("{}-dirty", clean.revision));
    }
}
