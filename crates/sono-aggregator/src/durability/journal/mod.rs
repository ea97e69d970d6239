//! What of a run survives its process: one file beside the results, a checksum a record, synced before a result is
//! acknowledged.

mod codec;
mod file;
mod writer;

pub(crate) use writer::{Journal, Opened};
