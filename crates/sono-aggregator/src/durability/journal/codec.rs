//! The journal's bytes: a record a line, `<checksum> <synced> <json>`.
//!
//! `synced` is the length of the file that was known to be on disk when the line was written. It distinguishes a torn
//! end, left by a crash and never acknowledged, from damage of acknowledged records: a bad line that a later good line
//! states as synced.

use sha2::{Digest as _, Sha256};
use sono_run::Record;

/// A part of the journal that was on disk can no longer be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Damage {
    /// The bytes differ from the written ones.
    #[error("record {record} at byte {offset} is damaged, although later records are intact")]
    Corrupt {
        /// Number of the record, from 1 on.
        record: usize,
        /// Where its line begins.
        offset: u64,
    },
    /// The bytes are intact, but this program cannot decode the record.
    #[error("record {record} at byte {offset} is not supported by this version: {reason}")]
    Unknown {
        /// Number of the record, from 1 on.
        record: usize,
        /// Where its line begins.
        offset: u64,
        /// The decoder's error.
        reason: String,
    },
}

/// The content of a journal.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Decoded {
    /// Its records.
    pub(crate) records: Vec<Record>,
    /// Length of the valid part in bytes; the rest is a torn end.
    pub(crate) length: u64,
}

/// Bytes of a checksum in the file: half a SHA-256 in hexadecimal digits.
const CHECKSUM: usize = 32;

/// Appends one line, without intermediate copies: the last record of a run contains its status, which may have megabytes.
pub(crate) fn encode(record: &Record, synced: u64, out: &mut Vec<u8>) {
    let begin = out.len();
    out.extend_from_slice(&[b' '; CHECKSUM + 1]);
    out.extend_from_slice(synced.to_string().as_bytes());
    out.push(b' ');
    serde_json::to_writer(&mut *out, record).expect("records hold only text keys");
    let (head, content) = out.split_at_mut(begin + CHECKSUM + 1);
    let sum = checksum(content);
    head[begin..begin + CHECKSUM].copy_from_slice(sum.as_bytes());
    out.push(b'\n');
}

/// Decodes a file.
pub(crate) fn decode(bytes: &[u8]) -> Result<Decoded, Damage> {
    let mut decoded = Decoded::default();
    let mut offset = 0;
    while offset < bytes.len() {
        let (line, next) = line_at(bytes, offset);
        let record = decoded.records.len() + 1;
        let begin = offset as u64;
        let Some((_, json)) = line.and_then(check) else {
            if known_to_be_synced(bytes, next, begin) {
                return Err(Damage::Corrupt { record, offset: begin });
            }
            break;
        };
        let parsed = serde_json::from_slice(json).map_err(|error| Damage::Unknown {
            record,
            offset: begin,
            reason: error.to_string(),
        })?;
        decoded.records.push(parsed);
        decoded.length = next as u64;
        offset = next;
    }
    Ok(decoded)
}

/// Whether a good line after `from` was written when the file was synced beyond `offset`.
fn known_to_be_synced(bytes: &[u8], from: usize, offset: u64) -> bool {
    let mut from = from;
    while from < bytes.len() {
        let (line, next) = line_at(bytes, from);
        if line.and_then(check).is_some_and(|(synced, _)| synced > offset) {
            return true;
        }
        from = next;
    }
    false
}

/// The line that begins at `offset`, without its end, if it has one; and where the next begins.
fn line_at(bytes: &[u8], offset: usize) -> (Option<&[u8]>, usize) {
    let rest = &bytes[offset..];
    match rest.iter().position(|byte| *byte == b'\n') {
        Some(end) => (Some(&rest[..end]), offset + end + 1),
        None => (None, bytes.len()),
    }
}

/// The number of synced bytes and the record of a valid line.
fn check(line: &[u8]) -> Option<(u64, &[u8])> {
    let (sum, content) = (line.get(..CHECKSUM)?, line.get(CHECKSUM + 1..)?);
    if line[CHECKSUM] != b' ' || sum != checksum(content).as_bytes() {
        return None;
    }
    let space = content.iter().position(|byte| *byte == b' ')?;
    let synced = std::str::from_utf8(&content[..space]).ok()?.parse().ok()?;
    Some((synced, &content[space + 1..]))
}

fn checksum(content: &[u8]) -> String {
    let mut text = hex::encode(Sha256::digest(content));
    text.truncate(CHECKSUM);
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sono_run::Failure;
    use sono_types::{PluginName, ResultKey, Target};

    use super::*;

    fn record(number: usize) -> Record {
        let key = ResultKey::new(
            PluginName::parse("p").unwrap(),
            Target::parse(&format!("n{number}")).unwrap(),
        );
        match number % 3 {
            0 => Record::Stored { key },
            1 => Record::Failed {
                key,
                failure: Failure::new("line\nbreak"),
            },
            _ => Record::Finishing,
        }
    }

    /// A file of batches, with the end of each record and the synced length at that time.
    fn file(batches: &[usize]) -> (Vec<u8>, Vec<Record>, Vec<usize>) {
        let (mut bytes, mut records, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for batch in batches {
            let synced = bytes.len() as u64;
            for _ in 0..*batch {
                let next = record(records.len());
                encode(&next, synced, &mut bytes);
                records.push(next);
                ends.push(bytes.len());
            }
        }
        (bytes, records, ends)
    }

    proptest! {
        /// A file cut at any byte yields all complete records and no others; no acknowledged record is lost.
        #[test]
        fn torn_end_loses_only_unsynced_records(batches in prop::collection::vec(0_usize..5, 0..6), cut: prop::sample::Index) {
            let (bytes, records, ends) = file(&batches);
            let cut = cut.index(bytes.len() + 1);
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let decoded = decode(&bytes[..cut]).unwrap();
            prop_assert_eq!(&decoded.records, &records[..whole]);
            prop_assert_eq!(decoded.length, if whole == 0 { 0 } else { ends[whole - 1] as u64 });
        }

        /// A changed byte is always detected: within the synced part it is reported as damage, in the last batch it ends the
        /// journal.
        #[test]
        fn damage_of_synced_records_is_reported(
            batches in prop::collection::vec(1_usize..5, 1..6), at: prop::sample::Index, change in 1_u8..,
        ) {
            let (mut bytes, records, ends) = file(&batches);
            let at = at.index(bytes.len());
            bytes[at] ^= change;
            let damaged = ends.iter().filter(|end| **end <= at).count();
            let begin = if damaged == 0 { 0 } else { ends[damaged - 1] as u64 };
            let last_batch = records.len() - batches.last().unwrap();
            match decode(&bytes) {
                Ok(decoded) => {
                    prop_assert_eq!(&decoded.records, &records[..damaged]);
                    // A changed end of line joins two lines, and both are lost.
                    prop_assert!(damaged >= last_batch || ends[damaged] == at + 1 && damaged + 1 >= last_batch && *batches.last().unwrap() == 1, "silently lost");
                }
                Err(damage) => {
                    prop_assert!(damaged < last_batch);
                    prop_assert_eq!(damage, Damage::Corrupt { record: damaged + 1, offset: begin });
                }
            }
        }
    }

    #[test]
    fn record_of_a_later_version_is_an_error() {
        let mut bytes = Vec::new();
        encode(&Record::Finishing, 0, &mut bytes);
        let content = "0 {\"Paused\":{}}";
        let line = format!("{} {content}\n", checksum(content.as_bytes()));
        let offset = bytes.len() as u64;
        bytes.extend_from_slice(line.as_bytes());
        assert!(matches!(decode(&bytes), Err(Damage::Unknown { record: 2, offset: found, .. }) if found == offset));
    }
}
