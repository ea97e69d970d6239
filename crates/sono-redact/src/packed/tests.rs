use std::io::Write as _;

use flate2::{
    Compression, GzBuilder,
    write::{DeflateEncoder, GzEncoder},
};

use super::*;
use crate::canary::tar_of;

/// Limits with a small depth.
const TWO_LEVELS: Limits = Limits {
    depth: 2,
    ..Limits::RESULT
};
const DIRECTORY: &[u8] = b"PK\x01\x02 directory";

#[derive(Debug, Default, PartialEq, Eq)]
struct Collected {
    texts: Vec<(String, String)>,
    opaque: Vec<(String, &'static str)>,
    current: Option<(String, Vec<u8>)>,
}

impl Contents for Collected {
    fn start(&mut self, path: &str) {
        self.current = Some((path.to_owned(), Vec::new()));
    }

    fn bytes(&mut self, piece: &[u8]) {
        self.current.as_mut().unwrap().1.extend_from_slice(piece);
    }

    fn end(&mut self) {
        let (path, bytes) = self.current.take().unwrap();
        self.texts.push((path, String::from_utf8_lossy(&bytes).into_owned()));
    }

    fn opaque(&mut self, path: &str, format: &'static str) {
        self.opaque.push((path.to_owned(), format));
    }
}

fn collected(bytes: &[u8], limits: &Limits) -> Collected {
    let mut found = Collected::default();
    let mut content = bytes;
    open("f", &mut content, limits, &mut found).unwrap();
    found
}

/// The contents by path, without the headers of archives.
fn texts(bytes: &[u8]) -> Vec<(String, String)> {
    let found = collected(bytes, &TWO_LEVELS);
    assert!(found.opaque.is_empty(), "{found:?}");
    found.texts.into_iter().filter(|(_, text)| text.len() < 100).collect()
}

fn opaque(bytes: &[u8]) -> Vec<(String, &'static str)> {
    collected(bytes, &TWO_LEVELS).opaque
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::default());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut writer = DeflateEncoder::new(Vec::new(), Compression::default());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

/// A member of a zip archive; with `streamed`, its size follows it.
fn zipped(name: &str, bytes: &[u8], method: u16, streamed: bool, flags: u16) -> Vec<u8> {
    let packed = if method == 8 { deflate(bytes) } else { bytes.to_vec() };
    let size = u32::try_from(packed.len()).unwrap();
    let flags = flags | if streamed { 8 } else { 0 };
    let mut out = b"PK\x03\x04\x14\x00".to_vec();
    out.extend(flags.to_le_bytes());
    out.extend(method.to_le_bytes());
    out.extend([0; 8]);
    let sizes = if streamed {
        [0; 2]
    } else {
        [size, u32::try_from(bytes.len()).unwrap()]
    };
    out.extend(sizes.iter().flat_map(|size| size.to_le_bytes()));
    out.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
    out.extend([0; 2]);
    out.extend(name.as_bytes());
    out.extend(packed);
    if streamed {
        out.extend(b"PK\x07\x08");
        out.extend([0; 12]);
    }
    out
}

fn row(path: &str, text: &str) -> (String, String) {
    (path.to_owned(), text.to_owned())
}

#[test]
fn plain_file_has_one_content() {
    assert_eq!(texts(b"hello"), [row("f", "hello")]);
    assert_eq!(texts(b""), [row("f", "")]);
}

#[test]
fn archives_are_opened_two_levels_deep() {
    let inner = gzip(&tar_of(&[("b", b"text of b")]));
    let outer = tar_of(&[("a.tgz", &inner), ("c", b"text of c")]);
    let expected = [row("f!a.tgz!b", "text of b"), row("f!c", "text of c")];
    assert_eq!(texts(&outer), expected);
    assert_eq!(texts(&gzip(&outer)), expected);
    assert_eq!(texts(&gzip(&gzip(b"twice"))), [row("f", "twice")]);
    let third = gzip(&tar_of(&[("z.gz", &gzip(&gzip(b"three times")))]));
    assert_eq!(opaque(&third), [("f!z.gz".to_owned(), "gzip")]);
    assert_eq!(opaque(&gzip(&gzip(&gzip(b"three times")))), [("f".to_owned(), "gzip")]);
    let tars = tar_of(&[("1", &tar_of(&[("2", &tar_of(&[("3", b"deep")]))]))]);
    assert_eq!(opaque(&tars), [("f!1!2".to_owned(), "tar")]);
}

#[test]
fn names_of_compressed_files_are_contents() {
    let mut writer = GzBuilder::new()
        .filename("name of a")
        .comment("comment of a")
        .write(Vec::new(), Compression::default());
    writer.write_all(b"text of a").unwrap();
    let file = writer.finish().unwrap();
    let expected = [row("f", "text of a"), row("f", "name of a\ncomment of a\n")];
    assert_eq!(texts(&file), expected);
}

#[test]
fn members_of_zip_are_opened() {
    for (method, streamed) in [(8, false), (8, true), (0, false)] {
        let mut archive = zipped("a", b"text of a", method, streamed, 0);
        archive.extend(zipped("b.gz", &gzip(b"text of b"), method, streamed, 0));
        archive.extend(DIRECTORY);
        let expected = [
            row("f!a", "text of a"),
            row("f!b.gz", "text of b"),
            row("f", "PK\u{1}\u{2} directory"),
        ];
        assert_eq!(texts(&archive), expected, "{method} {streamed}");
    }
    for (archive, reason) in [
        (zipped("a", b"text", 8, false, 1), "encrypted"),
        (zipped("a", b"text", 8, true, 1), "encrypted"),
        (zipped("a", b"text", 12, false, 0), "zip"),
        (zipped("a", b"text", 0, true, 0), "zip"),
    ] {
        let archive = [archive, DIRECTORY.to_vec()].concat();
        assert_eq!(opaque(&archive), [("f!a".to_owned(), reason)]);
    }
}

/// Each prefix of an archive is searched or opaque, and none fails.
#[test]
fn torn_archives_are_opaque() {
    let tar = tar_of(&[("a", b"text of a"), ("b", b"text of b")]);
    let zip = [
        zipped("a", b"text of a", 8, false, 0),
        zipped("b", b"text of b", 8, true, 0),
        DIRECTORY.to_vec(),
    ]
    .concat();
    for archive in [gzip(&tar), zip, gzip(b"plain")] {
        for length in 12..archive.len() {
            let found = collected(archive.get(..length).unwrap(), &Limits::RESULT);
            let is_complete = found.texts.iter().any(|(_, text)| text.contains("text of b"));
            assert!(
                !found.opaque.is_empty() || is_complete,
                "{length} of {}: {found:?}",
                archive.len()
            );
        }
    }
    let torn = gzip(b"a text that is long enough to be torn in the middle");
    let torn = torn.get(..torn.len() - 12).unwrap();
    let archive = tar_of(&[("torn.gz", torn), ("whole", b"whole")]);
    let found = collected(&archive, &Limits::RESULT);
    assert_eq!(found.opaque, [("f!torn.gz".to_owned(), "torn")]);
    assert!(found.texts.contains(&row("f!whole", "whole")), "{found:?}");
}

#[test]
fn bombs_end_at_the_limits() {
    let limits = Limits {
        depth: 2,
        bytes: 1 << 20,
        members: 10,
    };
    let zeros = gzip(&gzip(&vec![b'0'; 8 << 20]));
    let reasons = |bytes: &[u8]| collected(bytes, &limits).opaque;
    assert_eq!(reasons(&zeros), [("f".to_owned(), "limit")]);
    let many: Vec<(String, Vec<u8>)> = (0..11).map(|number| (number.to_string(), Vec::new())).collect();
    let many: Vec<(&str, &[u8])> = many
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    assert_eq!(reasons(&tar_of(&many)), [("f".to_owned(), "limit")]);
    let each = gzip(&vec![b'0'; 600 << 10]);
    let together = tar_of(&[("a.gz", &each), ("b.gz", &each)]);
    assert_eq!(reasons(&together), [("f".to_owned(), "limit")]);
}

#[test]
fn failure_of_the_source_is_an_error() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    let packed = gzip(b"text");
    let mut content = packed.get(..14).unwrap().chain(Broken);
    let error = open("f", &mut content, &Limits::RESULT, &mut Collected::default()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}
