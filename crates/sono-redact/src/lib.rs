//! Removes secrets from texts and Kubernetes objects, and reports what was searched.
//!
//! One engine in layers: kinds and fields that hold secrets only are omitted; values of Secrets that are known are searched in
//! several encodings; credentials of published formats are found by their shape; values are found by the name that they are
//! assigned to; texts that are JSON, YAML, base64 or gzip are opened, two levels deep. Pure: texts, objects and times in,
//! texts, objects and counts out.
//!
//! Not found are values that are reversed, encrypted, or split over several objects, unless a name or shape marks them.

mod assign;
mod bytes;
mod canary;
mod file;
mod finding;
mod hits;
mod identifiers;
mod known;
mod names;
mod object;
mod packed;
mod redactor;
mod report;
mod scan;
mod shapes;
mod stream;
mod values;

pub use canary::{CanaryReport, CanaryRow, CanarySearch, Encoding, Found, log_writes, result_files};
pub use hits::{Place, Redaction, Redactions, Rule};
pub use identifiers::{Identifier, Identifiers};
pub use known::{KnownSummary, KnownValues, MAX_BYTES, MAX_VALUES};
pub use packed::{Contents, Limits, is_packed, open as open_packed};
pub use redactor::{Known, Redactor};
pub use report::{FileRow, LayerRow, Report, Verdict};
pub use scan::Layers;
pub use stream::TextStream;

/// The replacement of a secret.
pub const REDACTED: &str = "[redacted]";

#[cfg(test)]
mod linear_tests;
#[cfg(test)]
mod matrix_tests;
