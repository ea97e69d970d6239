//! The index: summaries of cards by file name. It is derived, and rebuilt if it is missing or damaged.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::entry::Entry;

/// Name of the file.
const FILE: &str = "index.json";
/// Version of the document. An index of another version is rebuilt.
const SCHEMA: u32 = 1;
/// Maximum size in bytes.
const MAX_BYTES: u64 = 32 << 20;

#[derive(Serialize, Deserialize)]
struct Document {
    schema: u32,
    runs: Vec<Entry>,
}

/// Summaries by file name; empty if the index cannot be used.
pub(crate) fn read(directory: &Path) -> BTreeMap<String, Entry> {
    let read = || -> io::Result<Document> {
        let mut text = Vec::new();
        fs_err::File::open(directory.join(FILE))?
            .take(MAX_BYTES)
            .read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    };
    match read() {
        Ok(document) if document.schema == SCHEMA => document
            .runs
            .into_iter()
            .map(|entry| (entry.file.clone(), entry))
            .collect(),
        Ok(_) => BTreeMap::new(),
        Err(error) => {
            tracing::debug!(%error, "the index of the history is rebuilt");
            BTreeMap::new()
        }
    }
}

/// Replaces the index.
pub(crate) fn write(directory: &Path, entries: &[Entry]) -> io::Result<()> {
    let document = Document {
        schema: SCHEMA,
        runs: entries.to_vec(),
    };
    let mut file = crate::store::temporary(directory)?;
    file.write_all(&serde_json::to_vec(&document)?)?;
    file.persist(directory.join(FILE))?;
    Ok(())
}
