//! Paths below another root. A link in a machine's file system means that machine's root, wherever that is mounted, so
//! `/etc/resolv.conf → /run/…` must not lead out of it.

use std::{
    collections::VecDeque,
    ffi::OsString,
    path::{Component, Path, PathBuf},
};

/// Links followed before a path counts as a loop, as in Linux.
const LINKS: usize = 40;

/// The file that `path` names for a process whose root is `root`. It need not exist.
pub(crate) fn below(root: &Path, path: &str) -> PathBuf {
    let mut left = words(Path::new(path));
    let mut found: Vec<OsString> = Vec::new();
    let mut links = 0;
    while let Some(word) = left.pop_front() {
        if word == ".." {
            found.pop();
            continue;
        }
        found.push(word);
        let Ok(target) = fs_err::read_link(join(root, &found)) else {
            continue;
        };
        links += 1;
        if links > LINKS {
            break;
        }
        found.pop();
        if target.has_root() {
            found.clear();
        }
        for word in words(&target).into_iter().rev() {
            left.push_front(word);
        }
    }
    join(root, &found)
}

fn join(root: &Path, words: &[OsString]) -> PathBuf {
    words.iter().fold(root.to_path_buf(), |path, word| path.join(word))
}

/// The names of a path, `..` included; what stands for the root or the same directory is left out.
fn words(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter(|component| matches!(component, Component::Normal(_) | Component::ParentDir))
        .map(|component| component.as_os_str().to_owned())
        .collect()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_stay_below_the_root() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs_err::create_dir_all(root.join("run/resolve")).unwrap();
        fs_err::create_dir_all(root.join("etc")).unwrap();
        symlink("/run/resolve/stub", root.join("etc/absolute")).unwrap();
        symlink("../run/resolve/stub", root.join("etc/relative")).unwrap();
        symlink("../../../../../run/resolve/stub", root.join("etc/upwards")).unwrap();
        symlink("/run", root.join("runs")).unwrap();
        symlink("loop", root.join("etc/loop")).unwrap();
        let cases = [
            ("/etc/absolute", "run/resolve/stub"),
            ("/etc/relative", "run/resolve/stub"),
            ("/etc/upwards", "run/resolve/stub"),
            ("/runs/resolve/stub", "run/resolve/stub"),
            ("/etc/loop", "etc/loop"),
            ("/not/there", "not/there"),
            ("/../etc", "etc"),
            ("/", ""),
        ];
        for (path, expected) in cases {
            assert_eq!(below(root, path), root.join(expected), "{path}");
        }
    }
}
