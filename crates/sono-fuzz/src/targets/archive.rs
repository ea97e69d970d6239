//! Archives from workers.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use sono_bundle::unpack_tar_gz;
use sono_types::UploadLimits;
use tar::{Builder, EntryType, Header};

use super::Target;

/// Mutates the tar inside the gzip, since a broken checksum would hide nearly every change. If the first byte is odd,
/// the rest of the input is passed on unchanged.
pub(super) const TAR: Target = Target {
    name: "tar",
    run,
    seeds,
    dictionary: &[
        "../",
        "/etc/passwd",
        "ustar\0",
        "ustar  \0",
        "././@LongLink",
        "path=../x\n",
        "19 path=../../../x\n",
        "GNU.sparse.major=1",
        "GNU.sparse.size=99999999999",
        "7777777777\0",
    ],
};

const LIMITS: UploadLimits = UploadLimits {
    max_unpacked_bytes: 1 << 20,
    max_entries: 200,
    max_name_bytes: 300,
    ..UploadLimits::DEFAULT
};

fn run(input: &[u8]) {
    let Some((first, tar)) = input.split_first() else {
        return;
    };
    let archive = if first % 2 == 1 { tar.to_vec() } else { gzip(tar) };
    let outside = tempfile::tempdir().expect("a directory for the test");
    let inside = outside.path().join("inside");
    fs_err::create_dir(&inside).expect("a directory for the test");
    let unpacked = unpack_tar_gz(archive.as_slice(), &inside, &LIMITS);
    if let Ok(unpacked) = &unpacked {
        assert!(unpacked.bytes <= LIMITS.max_unpacked_bytes, "{unpacked:?}");
        assert!(unpacked.entries <= LIMITS.max_entries, "{unpacked:?}");
    }
    if let Err(error) = &unpacked {
        assert!(error.is_content(), "reported as a failure of the local disk: {error:?}");
    }
    let entries = fs_err::read_dir(outside.path()).expect("list the directory").count();
    assert_eq!(entries, 1, "a file was written outside the directory");
    let mut pending = vec![inside];
    while let Some(directory) = pending.pop() {
        for entry in fs_err::read_dir(directory).expect("list the directory") {
            let entry = entry.expect("list the directory");
            let kind = entry.file_type().expect("a type");
            assert!(
                kind.is_dir() || kind.is_file(),
                "{} is {kind:?}",
                entry.path().display()
            );
            if kind.is_dir() {
                pending.push(entry.path());
            }
        }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("writing to memory");
    encoder.finish().expect("writing to memory")
}

fn seeds() -> Vec<Vec<u8>> {
    let mut builder = Builder::new(vec![0]);
    let mut add = |name: &str, kind: EntryType, content: &[u8]| {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, name, content)
            .expect("writing to memory");
    };
    add("dir", EntryType::Directory, b"");
    add("dir/file", EntryType::Regular, b"content");
    add("dir/link", EntryType::Symlink, b"");
    add(&format!("long/{}", "n".repeat(150)), EntryType::Regular, b"x");
    add("pax", EntryType::XHeader, b"13 path=other\n");
    add("a", EntryType::Regular, &[b'y'; 600]);
    let tar = builder.into_inner().expect("writing to memory");
    let mut compressed = vec![1];
    compressed.extend(gzip(&tar[1..]));
    vec![tar, compressed]
}
