//! Log and result files of the pod that plants canaries.

use std::io::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use sono_types::canary::{Place, Seed, at, marker};

/// Bytes of the filler on either side of the canaries in a long line.
const FILLER: usize = 70_000;

/// What the pod writes to its log, in separate writes. A line may end in a later one.
pub fn log_writes(seed: Seed) -> Vec<String> {
    let line = |place| {
        let (known, unknown) = at(seed, place);
        (marker(seed, place), known, unknown)
    };
    let (mark, known, unknown) = line(Place::Log);
    let plain = format!("{mark} connected with {known}\n{mark} password={unknown}\n");
    let (mark, known, unknown) = line(Place::JsonLog);
    let json = format!(
        "{}\n",
        json!({"level": "info", "msg": mark, "note": format!("connected with {known}"), "password": unknown})
    );
    let (mark, known, unknown) = line(Place::Base64Log);
    let encoded = [format!("note: {known}"), format!("password={unknown}")].map(|text| STANDARD.encode(text));
    let encoded = format!("{mark} {}\n", encoded.join(" "));
    let (mark, known, unknown) = line(Place::SplitLog);
    let (known, unknown) = (known.split_at(15), unknown.split_at(14));
    let split = [
        format!("{mark} connected with {}", known.0),
        format!("{}\n{mark} password={}", known.1, unknown.0),
        format!("{}\n", unknown.1),
    ];
    let (mark, known, unknown) = line(Place::LongLine);
    let filler = "0123456789 ".repeat(FILLER / 11);
    let long = format!("{mark} {filler}{known} {filler}password={unknown} {filler}\n");
    let mut writes = vec![plain + &json + &encoded];
    writes.extend(split);
    writes.push(long);
    writes
}

/// The result files of the pod, by name.
///
/// # Errors
///
/// None in practice: files are compressed in memory.
pub fn result_files(seed: Seed) -> std::io::Result<Vec<(&'static str, Vec<u8>)>> {
    let text = |place| {
        let (known, unknown) = at(seed, place);
        let mark = marker(seed, place);
        format!("{mark} connected with {known}\n{mark} password={unknown}\n")
    };
    let (known, unknown) = at(seed, Place::XmlResult);
    let xml = format!(
        "<?xml version=\"1.0\"?>\n<testsuite name=\"{}\" tests=\"1\">\n<testcase name=\"canary\"><system-out>connected with {}\n\
         password={unknown}</system-out></testcase>\n</testsuite>\n",
        marker(seed, Place::XmlResult),
        known.replace('<', "&lt;"),
    );
    let nested = gzip(text(Place::NestedResult).as_bytes())?;
    Ok(vec![
        ("canary.log.gz", gzip(text(Place::GzipResult).as_bytes())?),
        ("canary.tar.gz", gzip(&tar_of(&[("canary.txt.gz", &nested)]))?),
        ("canary.txt", text(Place::Result).into_bytes()),
        ("canary.xml", xml.into_bytes()),
    ])
}

fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::default());
    writer.write_all(bytes)?;
    writer.finish()
}

/// A tar archive of small files.
pub(crate) fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, bytes) in files {
        let mut header = vec![0; 512];
        let mut set = |start: usize, text: &[u8]| {
            for (place, byte) in header.iter_mut().skip(start).zip(text) {
                *place = *byte;
            }
        };
        set(0, name.as_bytes());
        set(100, b"0000644\0");
        set(124, format!("{:011o}\0", bytes.len()).as_bytes());
        set(136, b"00000000000\0");
        set(148, b"        0");
        set(257, b"ustar\x0000");
        let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
        for (place, byte) in header.iter_mut().skip(148).zip(format!("{sum:06o}\0 ").bytes()) {
            *place = byte;
        }
        archive.extend(header);
        archive.extend_from_slice(bytes);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}
