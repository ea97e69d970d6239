//! Packing, and unpacking the result.

use std::collections::BTreeMap;

use fs_err as fs;
use proptest::prelude::*;
use sono_bundle::{PackError, Packed, pack_directory, unpack_tar_gz};
use sono_types::UploadLimits;

use crate::tools::{expected, make, tree};

/// Names and types of an archive's entries, in order.
fn entries(archive: &[u8]) -> Vec<(String, tar::EntryType)> {
    tar::Archive::new(flate2::read::MultiGzDecoder::new(archive))
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (
                String::from_utf8(entry.path_bytes().into_owned()).unwrap(),
                entry.header().entry_type(),
            )
        })
        .collect()
}

/// W-27: nested files with the archive's name are packed.
#[cfg(unix)]
#[test]
fn files_and_directories_are_packed_and_links_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let long = format!("long/{}", "n".repeat(150));
    make(
        directory.path(),
        &[
            ("a/x", "1"),
            ("a.txt", "22"),
            ("empty/", ""),
            ("b/result.tar.gz", "nested files of that name are packed"),
            ("result.tar.gz", "the archive itself"),
            (&long, "3"),
        ],
    );
    std::os::unix::fs::symlink("/etc/passwd", directory.path().join("link")).unwrap();
    std::os::unix::fs::symlink("/", directory.path().join("root")).unwrap();
    let exclude = [directory.path().join("result.tar.gz")];
    let (archive, packed) = pack_directory(directory.path(), Vec::new(), &exclude, 6).unwrap();
    let file = |name: &str| (name.to_owned(), tar::EntryType::Regular);
    let folder = |name: &str| (name.to_owned(), tar::EntryType::Directory);
    assert_eq!(
        entries(&archive),
        [
            folder("a"),
            file("a/x"),
            file("a.txt"),
            folder("b"),
            file("b/result.tar.gz"),
            folder("empty"),
            folder("long"),
            file(&long),
        ]
    );
    assert_eq!(
        packed,
        Packed {
            entries: 8,
            bytes: 40,
            skipped: ["link", "root"]
                .map(|name| (name.to_owned(), "it is a link, not a file".to_owned()))
                .into(),
            ..Packed::default()
        }
    );
}

#[cfg(unix)]
#[test]
fn special_and_sparse_files_are_skipped_and_reported() {
    use rustix::fs::{CWD, Mode, mkfifoat};
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    mkfifoat(CWD, path("fifo"), Mode::RWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
    let sparse = |name: &str, size: u64| fs::File::create(path(name)).unwrap().set_len(size).unwrap();
    sparse("sparse", 1 << 40);
    sparse("zeros", 1 << 20);
    let (archive, packed) = pack_directory(directory.path(), Vec::new(), &[], 6).unwrap();
    assert_eq!(entries(&archive), [("zeros".to_owned(), tar::EntryType::Regular)]);
    let skipped = [
        ("fifo", "it is a FIFO, not a file"),
        ("socket", "it is a socket, not a file"),
        ("sparse", "it is a sparse file of 1099511627776 bytes"),
    ];
    assert_eq!(
        packed.skipped,
        skipped.map(|(name, reason)| (name.to_owned(), reason.to_owned()))
    );
}

/// A genuine result with a file of zeros, packed like by the worker.
#[test]
fn highly_compressible_result_is_unpacked() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(from.path().join("core"), vec![0; 80 << 20]).unwrap();
    fs::write(from.path().join("small"), "x").unwrap();
    let (archive, _) = pack_directory(from.path(), Vec::new(), &[], 9).unwrap();
    let most = UploadLimits {
        // Any size.
        ratio_floor_bytes: 0,
        ..UploadLimits::DEFAULT
    };
    let unpacked = sono_bundle::unpack_tar_gz(archive.as_slice(), to.path(), &most).unwrap();
    assert_eq!((unpacked.entries, unpacked.bytes), (2, (80 << 20) + 1));
}

/// W-27: only the root prefix is removed from names, not other occurrences of its path.
#[test]
fn path_of_the_root_within_a_name_is_not_removed() {
    let directory = tempfile::tempdir().unwrap();
    let again = directory
        .path()
        .join("x")
        .join(directory.path().strip_prefix("/").unwrap_or_else(|_| directory.path()));
    fs::create_dir_all(&again).unwrap();
    fs::write(again.join("y"), "1").unwrap();
    let (archive, _) = pack_directory(directory.path(), Vec::new(), &[], 6).unwrap();
    let name = again
        .strip_prefix(directory.path())
        .unwrap()
        .join("y")
        .to_str()
        .unwrap()
        .replace('\\', "/");
    assert_eq!(entries(&archive).last(), Some(&(name, tar::EntryType::Regular)));
}

#[test]
fn the_same_files_make_the_same_archive() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), &[("b", "1"), ("a", "2"), ("c/d", "3")]);
    let pack = || pack_directory(directory.path(), Vec::new(), &[], 6).unwrap().0;
    assert_eq!(pack(), pack());
}

#[cfg(unix)]
#[test]
fn a_file_that_cannot_be_opened_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), &[("a", "1"), ("secret", "2")]);
    let secret = directory.path().join("secret");
    fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o000)).unwrap();
    // Root can read the file, so nothing is skipped.
    let readable = fs::read(&secret).is_ok();
    let (archive, packed) = pack_directory(directory.path(), Vec::new(), &[], 6).unwrap();
    let skipped: Vec<&str> = packed.skipped.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        (entries(&archive).len(), skipped),
        if readable { (2, vec![]) } else { (1, vec!["secret"]) }
    );
}

#[test]
fn there_must_be_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), &[("file", "")]);
    for name in ["file", "absent"] {
        let path = directory.path().join(name);
        assert!(matches!(
            pack_directory(&path, Vec::new(), &[], 6),
            Err(PackError::NoDirectory(given)) if given == path
        ));
    }
}

/// Files grow, shrink and vanish during packing; the archive is always valid.
#[test]
fn changing_files_do_not_break_the_archive() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let directory = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..20).map(|number| format!("f{number}")).collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut round = 0_usize;
            while !done.load(Ordering::Relaxed) {
                for name in &names {
                    round += 1;
                    let path = directory.path().join(name);
                    match round % 3 {
                        0 => drop(fs::remove_file(&path)),
                        1 => drop(fs::write(&path, vec![b'x'; round % 100_000])),
                        _ => drop(fs::write(&path, b"")),
                    }
                }
            }
        });
        for _ in 0..8 {
            let (archive, packed) = pack_directory(directory.path(), Vec::new(), &[], 1).unwrap();
            let fresh = tempfile::tempdir().unwrap();
            let unpacked = unpack_tar_gz(archive.as_slice(), fresh.path(), &UploadLimits::default()).unwrap();
            assert_eq!((unpacked.entries, unpacked.bytes), (packed.entries, packed.bytes));
        }
        done.store(true, Ordering::Relaxed);
    });
}

fn contents() -> impl Strategy<Value = BTreeMap<String, String>> {
    let part = "[a-zäß. \\-_]{1,12}".prop_filter("names of directories", |part| !part.trim_matches('.').is_empty());
    let name = proptest::collection::vec(part, 1..4).prop_map(|parts| parts.join("/"));
    proptest::collection::btree_map(name, "[a-z\n]{0,600}", 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn packed_files_are_unpacked_unchanged(files in contents()) {
        let original = tempfile::tempdir().unwrap();
        for (name, content) in &files {
            let path = original.path().join(name);
            // A name may be a directory of another; such a file is skipped.
            if fs::create_dir_all(path.parent().unwrap()).is_ok() && !path.is_dir() {
                fs::write(path, content).unwrap();
            }
        }
        let (archive, packed) = pack_directory(original.path(), Vec::new(), &[], 6).unwrap();
        let copy = tempfile::tempdir().unwrap();
        let unpacked = unpack_tar_gz(archive.as_slice(), copy.path(), &UploadLimits::default()).unwrap();
        prop_assert_eq!(tree(copy.path()), tree(original.path()));
        prop_assert_eq!((unpacked.entries, unpacked.bytes, unpacked.dropped), (packed.entries, packed.bytes, vec![]));
    }
}

#[test]
fn an_empty_directory_makes_an_empty_archive() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, packed) = pack_directory(directory.path(), Vec::new(), &[], 6).unwrap();
    let copy = tempfile::tempdir().unwrap();
    let unpacked = unpack_tar_gz(archive.as_slice(), copy.path(), &UploadLimits::default()).unwrap();
    assert_eq!((packed, unpacked.entries), (Packed::default(), 0));
    assert_eq!(tree(copy.path()), expected(&[]));
}
