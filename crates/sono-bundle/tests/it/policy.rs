//! The policy of unpacking as a property: whatever an archive holds, nothing appears outside, and nothing but regular
//! files and directories inside.

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

/// Few parts, so that names meet each other: links that are used as directories, files that come twice, clashing case.
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
    /// A PAX record before it: its key and its value.
    pax: Option<(&'static str, String)>,
    /// A GNU long name before it.
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

/// Unpacks into `outside/inside` and looks at everything that is there afterwards.
fn nothing_leads_out(archive: &[u8]) {
    let outside = tempfile::tempdir().unwrap();
    let inside = outside.path().join("inside");
    fs::create_dir(&inside).unwrap();
    fs::write(outside.path().join("secret"), "untouched").unwrap();
    // Refusing is as good as unpacking; what matters is what is left behind.
    let unpacked = unpack_tar_gz(archive, &inside, &UploadLimits::DEFAULT);
    let mut beside: Vec<String> = Vec::new();
    for entry in fs::read_dir(outside.path()).unwrap() {
        beside.push(entry.unwrap().file_name().into_string().unwrap());
    }
    beside.sort();
    assert_eq!(beside, ["inside", "secret"]);
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
        let kept = unpacked.entries - unpacked.dropped.len() as u64;
        assert!(files <= kept, "{files} files from {kept} entries");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// W-4, W-28.
    #[test]
    fn archives_of_any_entries_stay_inside(entries in prop::collection::vec(entry(), 0..12)) {
        nothing_leads_out(&archive(&entries));
    }

    /// Blocks of a valid archive with bytes of noise in them: broken checksums, sizes and types.
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

/// Gives little at a time, and counts how many files the process holds open meanwhile.
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

/// W-38: thousands of files are open one after another, not all until the end. Other tests of this process have a few
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
