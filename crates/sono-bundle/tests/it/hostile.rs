//! Hostile archives, and archives of unusual tools.

use std::io::{self, Read};

use sono_bundle::{Unpacked, unpack_tar_gz};
use sono_types::{UploadLimits, error_chain};
use tar::EntryType;

use crate::tools::{Tar, expected, gzip, tree};

const SMALL: UploadLimits = UploadLimits {
    max_body_bytes: 1 << 20,
    max_unpacked_bytes: 10_000,
    max_entries: 5,
    max_name_bytes: 300,
    max_ratio: 20,
    ratio_floor_bytes: 100_000,
    ..UploadLimits::DEFAULT
};

/// The result, or the message and whether the archive is invalid.
type Outcome = Result<Unpacked, (String, bool)>;

/// Unpacks into a directory and returns its content. Checks that nothing appears next to it.
fn unpack(archive: impl Read) -> (Outcome, Vec<(String, Option<String>)>) {
    let outside = tempfile::tempdir().unwrap();
    let inside = outside.path().join("inside");
    fs_err::create_dir(&inside).unwrap();
    let result = unpack_tar_gz(archive, &inside, &SMALL).map_err(|error| (error_chain(&error), error.is_content()));
    let left = tree(outside.path())
        .into_iter()
        .filter(|(name, _)| name != "inside")
        .map(|(name, content)| {
            let inside = name.strip_prefix("inside/").map(str::to_owned);
            (inside.expect("nothing is created outside of the destination"), content)
        })
        .collect();
    (result, left)
}

fn accepted(archive: &[u8], entries: u64, dropped: &[&str], files: &[(&str, Option<&str>)]) {
    let (result, left) = unpack(archive);
    let bytes = files
        .iter()
        .filter_map(|(_, content)| content.map(str::len))
        .sum::<usize>() as u64;
    let unpacked = Unpacked {
        entries,
        bytes,
        dropped: dropped.iter().map(|name| (*name).to_owned()).collect(),
    };
    assert_eq!((result, left), (Ok(unpacked), expected(files).into_iter().collect()));
}

/// Rejected because of its content. Entries unpacked before may remain, but nothing outside (see [`unpack`]).
fn refused(archive: impl Read, message: &str) {
    assert_eq!(unpack(archive).0, Err((message.to_owned(), true)));
}

#[test]
fn ordinary_archives_are_unpacked() {
    accepted(
        &Tar::default()
            .directory("./")
            .directory("d/")
            .file("./d/a", "one")
            .file("new/b", "two")
            .finish(),
        4,
        &[],
        &[("d", None), ("d/a", Some("one")), ("new", None), ("new/b", Some("two"))],
    );
    accepted(&Tar::default().finish(), 0, &[], &[]);
    accepted(&gzip(b""), 0, &[], &[]);
    accepted(
        &Tar::default().file("a", "no end blocks").unfinished(),
        1,
        &[],
        &[("a", Some("no end blocks"))],
    );
}

#[test]
fn last_of_two_entries_with_the_same_name_wins() {
    let (result, left) = unpack(Tar::default().file("a", "first").file("a", "2nd").finish().as_slice());
    assert_eq!(result.map(|unpacked| unpacked.entries), Ok(2));
    assert_eq!(left, [("a".to_owned(), Some("2nd".to_owned()))]);
}

#[test]
fn absolute_names_become_relative() {
    accepted(
        &Tar::default()
            .directory("/tmp")
            .file("/tmp/result", "x")
            .file("//etc/passwd", "y")
            .finish(),
        3,
        &[],
        &[
            ("etc", None),
            ("etc/passwd", Some("y")),
            ("tmp", None),
            ("tmp/result", Some("x")),
        ],
    );
}

/// W-4, W-28: such a name is an error, not the end of the archive.
#[test]
fn names_that_lead_out_are_refused() {
    for name in ["../x", "a/../../x", "..", "a/..", "/../x", "..\\x", "a\\..\\..\\x"] {
        for kind in [EntryType::Regular, EntryType::Directory, EntryType::Symlink] {
            refused(
                Tar::default()
                    .entry(name.as_bytes(), kind, b"t", b"")
                    .finish()
                    .as_slice(),
                &format!("archive entry {name:?} has a \"..\" path component"),
            );
        }
    }
    refused(
        Tar::default()
            .pax("path", "../x")
            .file("innocent", "x")
            .finish()
            .as_slice(),
        "archive entry \"../x\" has a \"..\" path component",
    );
}

#[test]
fn names_too_long_for_file_systems_are_refused() {
    let long = "n/".repeat(200);
    refused(
        Tar::default().pax("path", &long).file("a", "x").finish().as_slice(),
        &format!("archive entry {:?} is longer than 300 bytes", &long[..200]),
    );
    let part = "p".repeat(280);
    refused(
        Tar::default().pax("path", &part).file("a", "x").finish().as_slice(),
        &format!(
            "archive entry {:?} has a path component of more than 255 bytes, which file systems do not support",
            &part[..200]
        ),
    );
    refused(
        Tar::default().pax("path", "a\0b").file("a", "x").finish().as_slice(),
        "archive entry \"a\\0b\" has a NUL byte",
    );
}

#[test]
fn links_and_devices_are_dropped_and_named() {
    accepted(
        &Tar::default()
            .entry(b"out", EntryType::Symlink, b"/etc", b"")
            .entry(b"hard", EntryType::Link, b"/etc/passwd", b"")
            .entry(b"tty", EntryType::Char, b"", b"")
            .entry(b"disk", EntryType::Block, b"", b"")
            .entry(b"pipe", EntryType::Fifo, b"", b"")
            .finish(),
        5,
        &[
            "out (symbolic link)",
            "hard (hard link)",
            "tty (character device)",
            "disk (block device)",
            "pipe (named pipe)",
        ],
        &[],
    );
}

#[test]
fn a_file_behind_a_link_stays_inside() {
    accepted(
        &Tar::default()
            .entry(b"out", EntryType::Symlink, b"..", b"")
            .file("out/x", "inside")
            .finish(),
        2,
        &["out (symbolic link)"],
        &[("out", None), ("out/x", Some("inside"))],
    );
}

#[test]
fn limits_are_enforced() {
    let many = (0..6).fold(Tar::default(), |tar, number| tar.file(&format!("f{number}"), ""));
    refused(many.finish().as_slice(), "archive has more than 5 entries");
    let large = "x".repeat(10_001);
    refused(
        Tar::default().file("large", &large).finish().as_slice(),
        "archive unpacks to more than 10000 bytes",
    );
    let half = &large[..5001];
    refused(
        Tar::default().file("a", half).file("b", half).finish().as_slice(),
        "archive unpacks to more than 10000 bytes",
    );
    // The claimed size suffices.
    refused(
        Tar::default()
            .sized(b"claim", EntryType::Regular, b"", b"", 1 << 40)
            .finish()
            .as_slice(),
        "archive unpacks to more than 10000 bytes",
    );
}

#[test]
fn bombs_are_refused() {
    // Skipped entries and data after the end of the archive count, too.
    let zeros = vec![0; 2_000_000];
    let ratio = "archive unpacks to more than 20 times its size";
    refused(
        Tar::default()
            .entry(b"link", EntryType::Fifo, b"", &zeros)
            .finish()
            .as_slice(),
        ratio,
    );
    refused(gzip(&zeros).as_slice(), ratio);
    // Long names are held in memory, so they have a lower limit than content.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0] | 1
    })
    .take(2_000_000)
    .collect();
    for kind in [EntryType::GNULongName, EntryType::GNULongLink, EntryType::XHeader] {
        refused(
            Tar::default()
                .entry(b"long", kind, b"", &noise)
                .file("a", "x")
                .finish()
                .as_slice(),
            "archive has a header of more than 1048576 bytes",
        );
    }
}

#[test]
fn contradictions_are_refused() {
    for (archive, name) in [
        (Tar::default().file("a", "x").file("a/b", "y"), "a"),
        (Tar::default().directory("a").file("a", "x"), "a"),
        (Tar::default().file("a", "x").directory("a"), "a"),
        (Tar::default().file(".", "x"), "."),
    ] {
        refused(
            archive.finish().as_slice(),
            &format!("archive entry {name:?} is both a file and a directory"),
        );
    }
}

#[test]
fn other_content_is_not_an_archive() {
    refused(io::empty(), "not a gzip file: it is empty");
    refused(&b"plain text"[..], "not a gzip file");
    refused(&b"\x1f"[..], "truncated archive");
    refused(
        gzip(&b"this is text, not a tar archive. ".repeat(40)).as_slice(),
        "gzip stream contains no tar archive",
    );
    let mut broken = Tar::default().file("a", "x");
    broken.0.extend_from_slice(&[b'7'; 1024]);
    refused(
        broken.finish().as_slice(),
        "damaged tar archive: archive header checksum mismatch",
    );
    let whole = Tar::default().file("a", &"content ".repeat(300)).finish();
    for end in [1, 5, 10, whole.len() / 2, whole.len() - 9, whole.len() - 1] {
        refused(&whole[..end], "truncated archive");
    }
    let cut = Tar::default()
        .sized(b"a", EntryType::Regular, b"", b"short", 5000)
        .unfinished();
    refused(cut.as_slice(), "truncated archive");
    let header = Tar::default().file("a", "x").file("b", "y").0;
    refused(gzip(&header[..1024 + 300]).as_slice(), "truncated archive");
    let mut wrong = whole.clone();
    let checksum = wrong.len() - 8;
    wrong[checksum] ^= 1;
    refused(
        wrong.as_slice(),
        "damaged gzip stream: corrupt gzip stream does not have a matching checksum",
    );
    let garbage = [whole.as_slice(), b"garbage of some length"].concat();
    refused(garbage.as_slice(), "damaged gzip stream: invalid gzip header");
}

#[test]
fn several_gzip_members_are_one_archive() {
    let plain = {
        let mut plain = Vec::new();
        flate2::read::MultiGzDecoder::new(Tar::default().file("a", "1").file("b", "2").finish().as_slice())
            .read_to_end(&mut plain)
            .unwrap();
        plain
    };
    let archive: Vec<u8> = plain.chunks(700).flat_map(gzip).collect();
    accepted(&archive, 2, &[], &[("a", Some("1")), ("b", Some("2"))]);
}

#[test]
fn an_error_of_the_source_is_not_the_archives_fault() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("disk on fire"))
        }
    }
    let archive = Tar::default().file("a", "x").finish();
    for start in [0, 5, archive.len() - 3] {
        assert_eq!(
            unpack((&archive[..start]).chain(Failing)).0,
            Err(("cannot read the archive's bytes: disk on fire".to_owned(), false))
        );
    }
}

#[cfg(unix)]
#[test]
fn modes_are_plain() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    // The entries of `Tar` have mode 4755.
    let archive = Tar::default().directory("d").file("d/program", "").finish();
    unpack_tar_gz(archive.as_slice(), directory.path(), &SMALL).unwrap();
    let mode = |name: &str| {
        fs_err::metadata(directory.path().join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o7777
    };
    assert_eq!((mode("d/program"), mode("d")), (0o755, 0o755));
}

#[cfg(unix)]
#[test]
fn a_disk_that_fails_is_not_the_archives_fault() {
    let directory = tempfile::tempdir().unwrap();
    let gone = directory.path().join("gone/deep");
    let archive = Tar::default().file("a", "x").finish();
    let error = unpack_tar_gz(archive.as_slice(), &gone, &SMALL).unwrap_err();
    assert!(!error.is_content(), "{error:?}");
}
