//! Stored files appear atomically, replace older ones, and leave no temporary files.

use std::path::{Path, PathBuf};

use fs_err as fs;
use sha2::{Digest, Sha256};
use sono_bundle::{
    FileNameError, PlaceError, StoreError, Unpacked, safe_file_name, seal, stage_archive, stage_file, unpack_tar_gz,
    write_durably,
};
use sono_types::UploadLimits;
use tempfile::TempDir;

use crate::tools::{Tar, expected, make, tree};

fn with(entries: &[(&str, &str)]) -> (TempDir, impl Fn(&str) -> PathBuf + use<>) {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), entries);
    let root = directory.path().to_path_buf();
    (directory, move |name: &str| root.join(name))
}

/// As the aggregator stores the file of a result.
fn place_file(incoming: &Path, file_name: &str, destination: &Path) -> Result<(), StoreError> {
    stage_file(incoming, file_name)?.commit_durable(destination)
}

/// As the aggregator stores the archive of a result.
#[expect(clippy::unwrap_in_result, reason = "the test has written the file")]
fn place_archive(incoming: &Path, destination: &Path) -> Result<Unpacked, PlaceError> {
    let directory = incoming.parent().unwrap();
    let content = fs::File::open(incoming).unwrap();
    let (staged, unpacked) = stage_archive(content, directory, &UploadLimits::default())?;
    staged.commit_durable(destination)?;
    Ok(unpacked)
}

#[test]
fn a_file_appears_in_its_directory_and_replaces_an_older_one() {
    let (directory, path) = with(&[("in/one", "1"), ("in/two", "2")]);
    place_file(&path("in/one"), "result", &path("plugins/p/results/global")).unwrap();
    let stored = |name: &'static str, content: &'static str| {
        expected(&[
            ("in", None),
            ("in/two", Some("2")),
            ("plugins", None),
            ("plugins/p", None),
            ("plugins/p/results", None),
            ("plugins/p/results/global", None),
            (name, Some(content)),
        ])
    };
    assert_eq!(tree(directory.path()), stored("plugins/p/results/global/result", "1"));
    place_file(&path("in/two"), "other", &path("plugins/p/results/global")).unwrap();
    let mut second = stored("plugins/p/results/global/other", "2");
    second.remove("in/two");
    assert_eq!(tree(directory.path()), second);
}

#[cfg(unix)]
#[test]
fn a_private_file_becomes_readable() {
    use std::os::unix::fs::PermissionsExt;
    let (_directory, path) = with(&[("in", "1")]);
    fs::set_permissions(path("in"), std::fs::Permissions::from_mode(0o600)).unwrap();
    place_file(&path("in"), "result", &path("out")).unwrap();
    let mode = |name| fs::metadata(path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("out/result"), mode("out") & 0o500), (0o644, 0o500));
}

#[test]
fn a_missing_file_changes_nothing() {
    let (directory, path) = with(&[("out/old", "1")]);
    let error = place_file(&path("absent"), "result", &path("out")).unwrap_err();
    assert!(error.to_string().starts_with("cannot move the file to "), "{error}");
    assert_eq!(
        tree(directory.path()),
        expected(&[("out", None), ("out/old", Some("1"))])
    );
}

#[test]
fn an_archive_appears_unpacked_and_replaces_an_older_one() {
    let (directory, path) = with(&[("out/old/file", "1")]);
    fs::write(path("in"), Tar::default().file("d/new", "2").finish()).unwrap();
    let unpacked = place_archive(&path("in"), &path("out")).unwrap();
    assert_eq!(
        unpacked,
        Unpacked {
            entries: 1,
            bytes: 1,
            dropped: vec![]
        }
    );
    fs::remove_file(path("in")).unwrap();
    assert_eq!(
        tree(directory.path()),
        expected(&[("out", None), ("out/d", None), ("out/d/new", Some("2"))])
    );
}

#[test]
fn a_refused_archive_changes_nothing() {
    let (directory, path) = with(&[("out/old", "1")]);
    fs::write(
        path("in"),
        Tar::default().file("good", "2").file("../bad", "3").finish(),
    )
    .unwrap();
    let error = place_archive(&path("in"), &path("out")).unwrap_err();
    assert!(error.is_content());
    assert_eq!(
        error.to_string(),
        "archive entry \"../bad\" has a \"..\" path component"
    );
    fs::remove_file(path("in")).unwrap();
    assert_eq!(
        tree(directory.path()),
        expected(&[("out", None), ("out/old", Some("1"))])
    );
}

#[test]
fn files_are_replaced_as_a_whole() {
    let (directory, path) = with(&[]);
    for content in ["first", "second", ""] {
        write_durably(&path("a/b/c.json"), content.as_bytes()).unwrap();
        assert_eq!(
            tree(directory.path()),
            expected(&[("a", None), ("a/b", None), ("a/b/c.json", Some(content))])
        );
    }
    let error = write_durably(&path("a/b/c.json/d"), b"").unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot create the directory {}", path("a/b/c.json").display())
    );
}

#[test]
fn an_archive_is_sealed_with_its_digest() {
    let (_directory, path) = with(&[("run/meta/info.json", "{}"), ("run/plugins/", "")]);
    // Twice, since the first archive must not become part of the second.
    for _ in 0..2 {
        let sealed = seal(&path("run"), &path("run/out.tar.gz")).unwrap();
        let bytes = fs::read(path("run/out.tar.gz")).unwrap();
        let digest = Sha256::digest(&bytes)
            .iter()
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        assert_eq!((sealed.size, sealed.sha256), (bytes.len() as u64, digest));
        let copy = tempfile::tempdir().unwrap();
        unpack_tar_gz(bytes.as_slice(), copy.path(), &UploadLimits::default()).unwrap();
        assert_eq!(
            tree(copy.path()),
            expected(&[("meta", None), ("meta/info.json", Some("{}")), ("plugins", None)])
        );
    }
    fs::remove_file(path("run/out.tar.gz")).unwrap();
    assert_eq!(
        tree(&path("run")),
        expected(&[("meta", None), ("meta/info.json", Some("{}")), ("plugins", None)])
    );
}

#[test]
fn a_directory_that_is_not_there_leaves_no_archive() {
    let (directory, path) = with(&[]);
    assert!(seal(&path("absent"), &path("out.tar.gz")).is_err());
    assert_eq!(tree(directory.path()), expected(&[]));
}

#[test]
fn file_names_are_base_names() {
    let limits = UploadLimits::default();
    for name in [
        "result",
        "junit_01.xml",
        "ä b",
        "...",
        "-rf",
        ".hidden",
        &"n".repeat(255),
    ] {
        assert_eq!(safe_file_name(name, &limits), Ok(name.to_owned()));
    }
    let character = |name: &str, character| FileNameError::Character {
        name: name.to_owned(),
        character,
    };
    for (name, expected) in [
        ("", FileNameError::Empty),
        (".", FileNameError::Dots(".".to_owned())),
        ("..", FileNameError::Dots("..".to_owned())),
        ("a/b", character("a/b", '/')),
        ("/", character("/", '/')),
        ("..\\b", character("..\\b", '\\')),
        ("a\0", character("a\0", '\0')),
        ("a\n", character("a\n", '\n')),
        (&"n".repeat(256), FileNameError::TooLong { limit: 255 }),
    ] {
        assert_eq!(safe_file_name(name, &limits), Err(expected));
    }
}

/// A killed process left unfinished files: they are removed, but not a plugin's files of such names.
#[test]
fn unfinished_files_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let run = root.join("run");
    fs_err::create_dir_all(run.join("plugins/p/results/n1")).unwrap();
    fs_err::create_dir_all(run.join("plugins/p/errors/n2")).unwrap();
    for name in [
        ".sono-other.tar.gz-a1.partial",
        ".sono-mine.tar.gz-a1.partial",
        "run/plugins/p/errors/n2/.sono-error.json-a1.partial",
        "run/plugins/p/errors/n2/error.json",
        "run/plugins/p/results/n1/.sono-x.partial",
    ] {
        fs_err::write(root.join(name), "x").unwrap();
    }
    sono_bundle::remove_unfinished(&root.join("mine.tar.gz"));
    sono_bundle::remove_unfinished_below(&run, &|path| path.ends_with("results"));
    let mut left = Vec::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs_err::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                left.push(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }
    left.sort();
    assert_eq!(
        left,
        [
            ".sono-other.tar.gz-a1.partial",
            "run/plugins/p/errors/n2/error.json",
            "run/plugins/p/results/n1/.sono-x.partial",
        ]
    );
}
