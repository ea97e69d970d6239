//! The policy of unpacking as a property: any archive creates only regular files and directories, and only inside.

use fs_err as fs;
use proptest::prelude::*;
use sono_bundle::unpack_tar_gz;
use sono_types::UploadLimits;
use tar::EntryType;

#[cfg(target_os = "linux")]
use crate::tools::tree;
use crate::tools::{Tar, gzip};

const KINDS: [EntryType; 9] = [
    EntryType::Regular,
    EntryType::Directory,
    EntryType::Symlink,
    EntryType::Link,
    EntryType::Char,
    EntryType::Block,
    EntryType::Fifo,
    EntryType::Continuous,
    EntryType::GNUSparse,
];

/// Few parts, for collisions: links used as directories, duplicate files, names that differ only in case.
fn name() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "a", "A", "b", "link", "..", ".", "", "secret", "inside", "..\\x", "\u{e9}",
    ]);
    let start = prop::sample::select(vec!["", "", "/", "//", "./", "../"]);
    (start, prop::collection::vec(part, 1..4)).prop_map(|(start, parts)| format!("{start}{}", parts.join("/")))
}

#[derive(Debug, Clone)]
struct Entry {
    name: String,
    kind: EntryType,
    target: String,
    content: Vec<u8>,
    /// A preceding PAX record: key and value.
    pax: Option<(&'static str, String)>,
    /// A preceding GNU long name.
    long: Option<String>,
}

fn entry() -> impl Strategy<Value = Entry> {
    let pax = prop::option::weighted(0.2, (prop::sample::select(vec!["path", "linkpath", "size"]), name()));
    let content = prop::collection::vec(any::<u8>(), 0..600);
    let long = prop::option::weighted(0.1, name());
    (name(), prop::sample::select(KINDS.to_vec()), name(), content, pax, long).prop_map(
        |(name, kind, target, content, pax, long)| Entry {
            name,
            kind,
            target,
            content,
            pax,
            long,
        },
    )
}

fn archive(entries: &[Entry]) -> Vec<u8> {
    let tar = entries.iter().fold(Tar::default(), |mut tar, entry| {
        if let Some((key, value)) = &entry.pax {
            tar = tar.pax(key, value);
        }
        if let Some(long) = &entry.long {
            tar = tar.entry(b"././@LongLink", EntryType::GNULongName, b"", long.as_bytes());
        }
        tar.entry(
            entry.name.as_bytes(),
            entry.kind,
            entry.target.as_bytes(),
            &entry.content,
        )
    });
    tar.finish()
}

/// Unpacks into `outside/inside` and checks everything that exists afterwards.
fn nothing_leads_out(archive: &[u8]) {
    let outside = tempfile::tempdir().unwrap();
    let inside = outside.path().join("inside");
    fs::create_dir(&inside).unwrap();
    fs::write(outside.path().join("secret"), "untouched").unwrap();
    // Rejection is fine, too; only the remaining files matter.
    let unpacked = unpack_tar_gz(archive, &inside, &UploadLimits::DEFAULT);
    let mut entries: Vec<String> = Vec::new();
    for entry in fs::read_dir(outside.path()).unwrap() {
        entries.push(entry.unwrap().file_name().into_string().unwrap());
    }
    entries.sort();
    assert_eq!(entries, ["inside", "secret"]);
    let secret = fs::read_to_string(outside.path().join("secret")).unwrap();
    assert_eq!(secret, "untouched");
    let mut files = 0;
    let mut pending = vec![inside];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            assert!(
                kind.is_dir() || kind.is_file(),
                "{} is {kind:?}",
                entry.path().display()
            );
            if kind.is_dir() {
                pending.push(entry.path());
            } else {
                files += 1;
            }
        }
    }
    if let Ok(unpacked) = unpacked {
        let expected = unpacked.entries - unpacked.dropped.len() as u64;
        assert!(files <= expected, "{files} files from {expected} entries");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// W-4, W-28.
    #[test]
    fn archives_of_any_entries_stay_inside(entries in prop::collection::vec(entry(), 0..12)) {
        nothing_leads_out(&archive(&entries));
    }

    /// Blocks of a valid archive with random bytes: broken checksums, sizes and types.
    #[test]
    fn damaged_archives_stay_inside(
        entries in prop::collection::vec(entry(), 1..6),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let mut tar = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(archive(&entries).as_slice()), &mut tar).unwrap();
        for (place, byte) in damage {
            let place = place.index(tar.len());
            tar[place] = byte;
        }
        nothing_leads_out(&gzip(&tar));
    }
}

/// Returns little data at a time, and records the number of open files of the process.
#[cfg(target_os = "linux")]
struct Counting<R> {
    reader: R,
    most: usize,
}

#[cfg(target_os = "linux")]
impl<R: std::io::Read> std::io::Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let open = fs::read_dir("/proc/self/fd")?.count();
        self.most = self.most.max(open);
        let length = buffer.len().min(512);
        self.reader.read(&mut buffer[..length])
    }
}

/// W-38: thousands of files are opened one after another. Other tests of this process may have a few files open.
/// open at the same time.
#[cfg(target_os = "linux")]
#[test]
fn thousands_of_files_need_no_more_descriptors() {
    let count = 3_000;
    let tar = (0..count).fold(Tar::default(), |tar, number| tar.file(&format!("f{number}"), "x"));
    let archive = tar.finish();
    let mut reader = Counting {
        reader: archive.as_slice(),
        most: 0,
    };
    let directory = tempfile::tempdir().unwrap();
    let unpacked = unpack_tar_gz(&mut reader, directory.path(), &UploadLimits::DEFAULT).unwrap();
    assert_eq!((unpacked.entries, tree(directory.path()).len()), (count, 3_000));
    assert!((1..500).contains(&reader.most), "{} descriptors", reader.most);
}
