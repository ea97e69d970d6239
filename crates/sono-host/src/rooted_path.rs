//! Paths below another root: absolute links in a machine's file system are relative to the root where it is mounted.

use std::{
    collections::VecDeque,
    ffi::OsString,
    path::{Component, Path, PathBuf},
};

/// Links followed before a path counts as a loop, as in Linux.
const MAX_LINKS: usize = 40;

/// Resolves `path` as a process with the root `root` would. The file need not exist.
pub(crate) fn rooted_path(root: &Path, path: &str) -> PathBuf {
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
        if links > MAX_LINKS {
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

/// The names of a path, including `..`, without root and `.`.
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
            assert_eq!(rooted_path(root, path), root.join(expected), "{path}");
        }
    }
}
