//! Canaries: the texts that a pod plants, and the search for all of them in an archive.
//!
//! The search is independent of the redaction: it has its own encoders, and the redaction does not know canaries.

mod encodings;
mod search;
mod texts;

pub use encodings::Encoding;
pub use search::{CanaryReport, CanaryRow, CanarySearch, Found};
pub use texts::{log_writes, result_files};
#[cfg(test)]
pub(crate) use {encodings::encodings, texts::tar_of};
