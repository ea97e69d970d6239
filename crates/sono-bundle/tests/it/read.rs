//! Directories and tarballs read the same.

use std::{io, ops::ControlFlow, path::Path};

use fs_err as fs;
use sono_bundle::{Bundle, DirectoryFiles, ReadError, seal};
use sono_types::{ResultFiles, error_chain};

use crate::tools::{Tar, gzip, make};

const FILES: &[(&str, &str)] = &[
    ("meta/info.json", "{}"),
    ("plugins/a-b/z", "4"),
    ("plugins/a/x", "1"),
    ("plugins/a/y/deep", "2"),
    ("plugins/a.txt", "3"),
    ("plugins/none/", ""),
];

fn both(check: impl Fn(&Bundle)) {
    let directory = tempfile::tempdir().unwrap();
    let run = directory.path().join("run");
    make(&run, FILES);
    let archive = directory.path().join("run.tar.gz");
    seal(&run, &archive).unwrap();
    // Archives made manually have other names.
    let by_hand = directory.path().join("hand.tar.gz");
    let tar = Tar::default()
        .directory("./")
        .directory("./plugins/")
        .file("./meta/info.json", "{}");
    let tar = tar.file("./plugins/a/x", "1").file("./plugins/a/y/deep", "2");
    fs::write(
        &by_hand,
        tar.file("plugins/a.txt", "3").file("/plugins/a-b/z", "4").finish(),
    )
    .unwrap();
    for path in [run, archive, by_hand] {
        check(&Bundle::open(&path).unwrap());
    }
}

fn text(content: Option<Vec<u8>>) -> Option<String> {
    content.map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn files_are_found_by_name() {
    both(|bundle| {
        for (name, expected) in [
            ("plugins/a/x", Some("1")),
            ("./plugins/a/x", Some("1")),
            ("plugins/a/y/deep", Some("2")),
            ("plugins/a", None),
            ("plugins/a/../a.txt", None),
            ("absent", None),
            ("plugins/a/x/y", None),
        ] {
            assert_eq!(
                text(bundle.read(name).unwrap()).as_deref(),
                expected,
                "{name} in {bundle:?}"
            );
        }
        let names = ["absent", "./plugins/a.txt", "meta/info.json"];
        let found: Vec<(String, String)> = bundle
            .read_many(&names)
            .unwrap()
            .into_iter()
            .map(|(name, content)| (name, String::from_utf8(content).unwrap()))
            .collect();
        assert_eq!(
            found,
            [
                ("./plugins/a.txt".to_owned(), "3".to_owned()),
                ("meta/info.json".to_owned(), "{}".to_owned())
            ]
        );
        assert_eq!(bundle.read_many(&[]).unwrap().len(), 0);
    });
}

#[test]
fn every_file_is_visited_once() {
    both(|bundle| {
        let mut seen = Vec::new();
        bundle
            .visit(&mut |name, content| {
                let mut text = String::new();
                content.read_to_string(&mut text)?;
                seen.push((name.to_owned(), text));
                Ok(ControlFlow::Continue(()))
            })
            .unwrap();
        seen.sort();
        let mut expected: Vec<(String, String)> = FILES
            .iter()
            .filter(|(name, _)| !name.ends_with('/'))
            .map(|(name, content)| ((*name).to_owned(), (*content).to_owned()))
            .collect();
        expected.sort();
        assert_eq!(seen, expected);
    });
}

#[test]
fn visitor_may_break_or_fail() {
    both(|bundle| {
        let mut count = 0;
        bundle
            .visit(&mut |_, _| {
                count += 1;
                Ok(ControlFlow::Break(()))
            })
            .unwrap();
        assert_eq!(count, 1);
        let error = bundle.visit(&mut |_, _| Err(io::Error::other("no more"))).unwrap_err();
        assert_eq!(
            error_chain(&error),
            format!("cannot read \"meta/info.json\" in {}: no more", bundle.path().display())
        );
    });
}

#[test]
fn unreadable_bundles_are_explained() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let whole = Tar::default().file("a", &"content ".repeat(500)).finish();
    fs::write(path("text"), "text").unwrap();
    fs::write(path("empty"), "").unwrap();
    fs::write(path("cut.tar.gz"), &whole[..whole.len() - 12]).unwrap();
    fs::write(path("text.gz"), gzip(&b"not tar".repeat(100))).unwrap();
    let check = |name: &str, expected: &str| {
        let error = Bundle::open(&path(name))
            .and_then(|bundle| bundle.read("absent"))
            .unwrap_err();
        let shown = error_chain(&error).replace(&path(name).display().to_string(), "PATH");
        assert_eq!(shown, expected);
    };
    check("absent", "no such file or directory: PATH");
    check("text", "cannot read PATH: not a gzip file");
    check("empty", "cannot read PATH: not a gzip file: it is empty");
    check("cut.tar.gz", "cannot read PATH: truncated archive");
    check("text.gz", "cannot read PATH: gzip stream contains no tar archive");
}

#[test]
fn truncated_file_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.tar.gz");
    let tar = Tar::default().sized(b"a", tar::EntryType::Regular, b"", b"short", 5000);
    fs::write(&path, tar.unfinished()).unwrap();
    let error = Bundle::open(&path).unwrap().read("a").unwrap_err();
    assert_eq!(
        error_chain(&error),
        format!("cannot read {}: truncated archive", path.display())
    );
}

#[test]
fn a_directory_lists_its_files_in_order() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), FILES);
    let files = DirectoryFiles::new(directory.path());
    let deep = ["plugins/a/x", "plugins/a/y/deep"];
    for (below, expected) in [
        (
            "",
            &["meta/info.json", deep[0], deep[1], "plugins/a-b/z", "plugins/a.txt"][..],
        ),
        ("plugins/a", &deep),
        ("plugins/a/", &deep),
        ("plugins/none", &[]),
        ("plugins/absent", &[]),
        ("..", &[]),
        ("meta/info.json", &[]),
    ] {
        assert_eq!(files.list(below).unwrap(), expected, "{below}");
    }
    assert_eq!(files.directories("plugins").unwrap(), ["a", "a-b", "none"]);
    assert_eq!(files.directories("absent").unwrap(), Vec::<String>::new());
    assert_eq!(files.directories("meta/info.json").unwrap(), Vec::<String>::new());
    assert_eq!(files.read("plugins/a/x").unwrap(), b"1");
}

#[cfg(unix)]
#[test]
fn links_are_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), &[("secret", "s"), ("run/file", "1")]);
    let run = directory.path().join("run");
    std::os::unix::fs::symlink("../secret", run.join("link")).unwrap();
    std::os::unix::fs::symlink("..", run.join("up")).unwrap();
    let files = DirectoryFiles::new(&run);
    assert_eq!(files.list("").unwrap(), ["file"]);
    assert_eq!(files.directories("").unwrap(), Vec::<String>::new());
    let bundle = Bundle::open(&run).unwrap();
    for name in ["link", "up/secret", "../secret", "/../secret"] {
        assert_eq!(files.read(name).unwrap_err().kind(), io::ErrorKind::NotFound, "{name}");
        assert_eq!(bundle.read(name).unwrap(), None, "{name}");
    }
    assert_eq!(Path::new(bundle.path()), run);
}

/// Reading stops at the last requested file: data after it may be damaged or very large.
#[test]
fn reading_ends_at_the_last_requested_file() {
    let tar = Tar::default().file("meta/info.json", "{}").file("plugins/a/x", "1");
    // An entry with a claimed size much larger than its data.
    let broken = tar
        .sized(b"large", tar::EntryType::Regular, b"", b"", 500 << 20)
        .unfinished();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run.tar.gz");
    fs::write(&path, broken).unwrap();
    let bundle = Bundle::open(&path).unwrap();
    let found = bundle.read_many(&["plugins/a/x", "meta/info.json"]).unwrap();
    let expected = [("meta/info.json", "{}"), ("plugins/a/x", "1")];
    let expected = expected.map(|(name, content)| (name.to_owned(), content.as_bytes().to_vec()));
    assert_eq!(found, expected.into());
    assert!(matches!(
        bundle.read_many(&["plugins/a/x", "missing"]),
        Err(ReadError::Archive { .. })
    ));
}

/// BUG 34: many files need one pass, in any order.
#[test]
fn files_are_passed_in_the_requested_order() {
    let asked: &[&[&str]] = &[
        &["meta/info.json", "plugins/a/x", "plugins/a/y/deep"],
        &["plugins/a/y/deep", "plugins/a.txt", "plugins/a/x"],
        &["absent", "plugins/a/y/deep", "meta/info.json"],
        &["plugins/a/x", "absent", "./plugins/a/x", "plugins/a/x"],
        &["../x", "plugins/a-b/z"],
        &[],
    ];
    let content = |name: &str| {
        let name = name.trim_start_matches("./");
        FILES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, text)| (*text).to_owned())
    };
    both(|bundle| {
        for names in asked {
            let mut found = Vec::new();
            bundle
                .read_in_order(names, &mut |number, reader| {
                    let text = reader.map(io::read_to_string).transpose()?;
                    found.push((number, text));
                    Ok(ControlFlow::Continue(()))
                })
                .unwrap();
            let expected: Vec<_> = names.iter().map(|name| content(name)).enumerate().collect();
            assert_eq!(found, expected, "{names:?}");
        }
        let mut taken = 0;
        bundle
            .read_in_order(&["plugins/a.txt", "plugins/a/x"], &mut |_, _| {
                taken += 1;
                Ok(ControlFlow::Break(()))
            })
            .unwrap();
        assert_eq!(taken, 1, "no call after a break");
    });
}
