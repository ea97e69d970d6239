//! What an archive proves about its redaction.

use sono_redact::Report;

use crate::output::{Markdown, markdown};

/// What the report of redactions proves, in a sentence; `None` for a report of the first version.
pub(super) fn proved(report: &[u8]) -> Option<String> {
    serde_json::from_slice::<Report>(report).ok()?.sentence()
}

/// The paragraph with this sentence; empty without one.
pub(super) fn paragraph(sentence: Option<&str>) -> Markdown {
    sentence.map_or_else(Markdown::default, |sentence| {
        markdown!["\nRedaction: ", Markdown::text(sentence), "\n"]
    })
}
