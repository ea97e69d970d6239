//! Path of an archive, and rules for replacing files.

use std::{
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use sono_bundle::Bundle;
use sono_types::{ArchiveName, layout};
use tempfile::TempPath;

use super::{failed, refused, shown};
use crate::error::CliError;

/// Files in every archive of a run, even of an unfinished one.
const RUN_FILES: [&str; 3] = [layout::CONFIG, layout::RUN_LOG, layout::INFO];

/// Path of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) path: PathBuf,
    replaces: Replaces,
}

/// Files that an archive may replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replaces {
    /// Name from the cluster: only an archive of a run.
    Archive,
    /// Name from the user: also an empty file, as `mktemp` creates.
    EmptyOrArchive,
    /// `--force`: any file.
    AnyFile,
}

impl Target {
    /// Path with the name from the cluster.
    pub(super) fn of_cluster(directory: &Path, name: &ArchiveName) -> Self {
        Self {
            path: directory.join(name),
            replaces: Replaces::Archive,
        }
    }

    /// Path with the name from the user; further archives are numbered.
    pub(super) fn of_user(directory: &Path, name: &Path, index: usize, force: bool) -> Self {
        Self {
            path: directory.join(numbered(name, index)),
            replaces: if force {
                Replaces::AnyFile
            } else {
                Replaces::EmptyOrArchive
            },
        }
    }

    /// Whether a file is replaced. Fails if that is not allowed.
    pub(super) fn check(&self) -> Result<bool, CliError> {
        let found = match fs_err::symlink_metadata(&self.path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed("cannot write the archive", &error)),
        };
        let is_allowed = match self.replaces {
            Replaces::AnyFile => !found.is_dir(),
            Replaces::EmptyOrArchive => found.is_file() && (found.len() == 0 || is_of_run(&self.path)),
            Replaces::Archive => found.is_file() && is_of_run(&self.path),
        };
        if is_allowed {
            return Ok(true);
        }
        let what = format!("cannot write `{}`", shown(&self.path).display());
        let cause = match self.replaces {
            _ if found.is_dir() => "it is a directory",
            _ if found.is_symlink() => "it is a symbolic link",
            _ => "the existing file is not an archive of a run",
        };
        let hint = match self.replaces {
            Replaces::EmptyOrArchive if !found.is_dir() => "to replace it: --force",
            _ => "choose another name with --filename, or another directory",
        };
        Err(refused(&what, cause).hint(hint))
    }

    /// Moves the file `from`, which must be on the same file system, to this path.
    pub(super) fn store(&self, from: &Path) -> Result<(), CliError> {
        let failed = |error: &io::Error| failed("cannot move the archive to its path", error);
        if self.check()? {
            return fs_err::rename(from, &self.path).map_err(|error| failed(&error));
        }
        let source = TempPath::try_from_path(from).map_err(|error| failed(&error))?;
        let Err(error) = source.persist_noclobber(&self.path) else {
            return Ok(());
        };
        // Retain the download even if the rename fails.
        let source = error.path.keep().map_err(|error| failed(&error.error))?;
        if error.error.kind() == io::ErrorKind::AlreadyExists {
            self.check()?;
        }
        // The file system does not support hard links.
        fs_err::rename(source, &self.path).map_err(|error| failed(&error))
    }
}

/// Whether a file is the archive of a run: it contains a file of every archive, and no foreign name before it.
fn is_of_run(path: &Path) -> bool {
    let mut is_of_run = false;
    let visited = Bundle::open(path).and_then(|bundle| {
        bundle.visit(&mut |name, _| {
            let root = name.split('/').next().unwrap_or_default();
            is_of_run = RUN_FILES.contains(&name);
            Ok(if is_of_run || !layout::TOP_LEVEL.contains(&root) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })
    });
    visited.is_ok() && is_of_run
}

/// `r.tar.gz`, `r-01.tar.gz`, …
fn numbered(name: &Path, index: usize) -> PathBuf {
    if index == 0 {
        return name.to_owned();
    }
    let text = name.to_string_lossy();
    let split = text.strip_suffix(".tar.gz").map(|stem| (stem, ".tar.gz"));
    let (stem, extension) = split.unwrap_or((&text, ""));
    PathBuf::from(format!("{stem}-{index:02}{extension}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BUG 33: `r-01.tar.gz` retains its extension.
    #[test]
    fn number_is_inserted_before_the_extension() {
        let name = |text: &str, index| numbered(Path::new(text), index).display().to_string();
        assert_eq!(name("r.tar.gz", 0), "r.tar.gz");
        assert_eq!(name("r.tar.gz", 2), "r-02.tar.gz");
        assert_eq!(name("r", 1), "r-01");
    }

    #[test]
    fn existing_file_is_replaced_only_if_allowed() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let pack = |name: &str, file: &str| {
            let content = tempfile::tempdir().unwrap();
            let path = content.path().join(file);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, "{}").unwrap();
            let packed = fs_err::File::create(at(name)).unwrap();
            sono_bundle::pack_directory(content.path(), packed, &[], 6).unwrap();
        };
        pack("run.tar.gz", layout::CONFIG);
        pack("site.tar.gz", "plugins/mine/index.html");
        pack("backup.tar.gz", "home/me/notes");
        fs_err::write(at("empty.tar.gz"), "").unwrap();
        fs_err::write(at("text.tar.gz"), "text").unwrap();
        fs_err::create_dir(at("folder.tar.gz")).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(at("run.tar.gz"), at("link.tar.gz")).unwrap();
        let cases = [
            // name, the cluster's, the user's, with --force
            ("absent.tar.gz", Some(false), Some(false), Some(false)),
            ("run.tar.gz", Some(true), Some(true), Some(true)),
            ("empty.tar.gz", None, Some(true), Some(true)),
            ("text.tar.gz", None, None, Some(true)),
            ("site.tar.gz", None, None, Some(true)),
            ("backup.tar.gz", None, None, Some(true)),
            ("folder.tar.gz", None, None, None),
            #[cfg(unix)]
            ("link.tar.gz", None, None, Some(true)),
        ];
        for (name, cluster, user, force) in cases {
            let own = Target::of_cluster(directory.path(), &ArchiveName::parse(name).unwrap());
            let given = |force| Target::of_user(directory.path(), Path::new(name), 0, force);
            let found = [own, given(false), given(true)].map(|target| target.check().ok());
            assert_eq!(found, [cluster, user, force], "{name}");
        }
    }

    #[test]
    fn file_created_concurrently_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let (from, name) = (directory.path().join("from"), ArchiveName::parse("a.tar.gz").unwrap());
        let target = Target::of_cluster(directory.path(), &name);
        fs_err::write(&from, "new").unwrap();
        target.store(&from).unwrap();
        fs_err::write(&from, "newer").unwrap();
        assert!(target.store(&from).is_err());
        let texts = [&from, &target.path].map(|path| fs_err::read_to_string(path).unwrap());
        assert_eq!(texts, ["newer", "new"]);
    }
}
