//! Where an archive goes, and what it may replace there.

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

/// Files that every archive of a run has, also one of a run that has not ended.
const MARKS: [&str; 3] = [layout::CONFIG, layout::RUN_LOG, layout::INFO];

/// The place of one archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) path: PathBuf,
    replaces: Replaces,
}

/// What an archive may replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replaces {
    /// The cluster chose the name: an archive of a run.
    Archive,
    /// The user chose the name: an empty file too, as `mktemp` makes one.
    EmptyOrArchive,
    /// The user insists.
    AnyFile,
}

impl Target {
    /// The name that the cluster chose.
    pub(super) fn of_cluster(directory: &Path, name: &ArchiveName) -> Self {
        Self {
            path: directory.join(name),
            replaces: Replaces::Archive,
        }
    }

    /// The name that the user gave; further archives are numbered.
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

    /// Whether something is replaced. Fails where it may not be.
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
            _ if found.is_dir() => "a directory has that name",
            _ if found.is_symlink() => "a symbolic link has that name",
            _ => "a file that is not an archive of a run has that name",
        };
        let hint = match self.replaces {
            Replaces::EmptyOrArchive if !found.is_dir() => "to replace it: --force",
            _ => "choose another name with --filename, or another directory",
        };
        Err(refused(&what, cause).hint(hint))
    }

    /// Moves the file `from`, which is on the same file system, here.
    pub(super) fn put(&self, from: &Path) -> Result<(), CliError> {
        let failed = |error: &io::Error| failed("cannot put the archive into its place", error);
        if self.check()? {
            return fs_err::rename(from, &self.path).map_err(|error| failed(&error));
        }
        let source = TempPath::try_from_path(from).map_err(|error| failed(&error))?;
        let Err(error) = source.persist_noclobber(&self.path) else {
            return Ok(());
        };
        // What came stays, whatever happens to its name.
        let source = error.path.keep().map_err(|error| failed(&error.error))?;
        if error.error.kind() == io::ErrorKind::AlreadyExists {
            self.check()?;
        }
        // A file system without hard links.
        fs_err::rename(source, &self.path).map_err(|error| failed(&error))
    }
}

/// Whether a file is the archive of a run: it has a file that every such archive has, and before it no name that none has.
fn is_of_run(path: &Path) -> bool {
    let mut is_of_run = false;
    let visited = Bundle::open(path).and_then(|bundle| {
        bundle.visit(&mut |name, _| {
            let root = name.split('/').next().unwrap_or_default();
            is_of_run = MARKS.contains(&name);
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

    /// BUG 33: `r-01.tar.gz` can still be opened by whoever looks at the extension.
    #[test]
    fn names_are_numbered_in_front_of_the_extension() {
        let name = |text: &str, index| numbered(Path::new(text), index).display().to_string();
        assert_eq!(name("r.tar.gz", 0), "r.tar.gz");
        assert_eq!(name("r.tar.gz", 2), "r-02.tar.gz");
        assert_eq!(name("r", 1), "r-01");
    }

    #[test]
    fn target_existing_file_is_replaced_only_where_allowed() {
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
    fn target_put_where_a_file_appeared_meanwhile_keeps_both() {
        let directory = tempfile::tempdir().unwrap();
        let (from, name) = (directory.path().join("from"), ArchiveName::parse("a.tar.gz").unwrap());
        let target = Target::of_cluster(directory.path(), &name);
        fs_err::write(&from, "new").unwrap();
        target.put(&from).unwrap();
        fs_err::write(&from, "newer").unwrap();
        assert!(target.put(&from).is_err());
        let texts = [&from, &target.path].map(|path| fs_err::read_to_string(path).unwrap());
        assert_eq!(texts, ["newer", "new"]);
    }
}
