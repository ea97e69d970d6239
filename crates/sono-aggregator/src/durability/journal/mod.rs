//! The journal of a run: one file next to the results, with a checksum per record, synced before a result is acknowledged.

mod codec;
mod file;
mod writer;

pub(crate) use writer::{Journal, Opened};
