//! The new content of each file of an archive.

use std::io::{self, Read as _, Seek as _, Write};

use serde_json::json;
use sono_bundle::{FileSearch, Rewrite, Spooled};
use sono_redact::{Identifiers, Layers, Redactions, Redactor, Report};
use sono_types::layout;

use super::{Content, objects};

/// Most bytes of the report of an earlier redaction.
const MAX_REPORT: u64 = 64 << 20;

/// Redacts file by file, and writes the report.
pub(super) struct Rewriter<'r> {
    redactor: &'r Redactor,
    names: Option<Identifiers>,
    report: Report,
    all: Redactions,
}

impl<'r> Rewriter<'r> {
    pub(super) fn new(redactor: &'r Redactor, names: Option<Identifiers>) -> Self {
        let mut report = Report::default();
        report.describe(redactor);
        Self {
            redactor,
            names,
            report,
            all: Redactions::default(),
        }
    }

    /// The report of everything so far.
    pub(super) fn report(&self) -> &Report {
        &self.report
    }

    /// Adds the counts of an earlier report. What was not searched then is searched now.
    fn add_earlier(&mut self, content: &mut Spooled) {
        let mut text = String::new();
        if content.take(MAX_REPORT).read_to_string(&mut text).is_err() {
            return;
        }
        let text = self.redactor.text(&text, Layers::Known, &mut Redactions::default());
        if let Ok(mut earlier) = serde_json::from_str::<Report>(&text) {
            earlier.unsearched.clear();
            for file in &mut earlier.files {
                file.opaque.clear();
            }
            self.report.merge(earlier);
        }
    }

    /// A text with tokens for names.
    fn named(&self, text: &str) -> String {
        let Some(names) = &self.names else {
            return text.to_owned();
        };
        names.text(text).into_owned()
    }

    fn search(&self, name: &str, content: &mut Spooled, out: &mut Spooled) -> io::Result<Redactions> {
        let (layers, kind) = match Content::of(name) {
            Content::Objects => {
                if let Ok(found) = objects::copy(self.redactor, name, &mut *content, out) {
                    return Ok(found);
                }
                // Not JSON, or too large for it.
                content.rewind()?;
                out.rewind()?;
                out.set_len(0)?;
                (Layers::All, "File")
            }
            Content::Text(layers, kind) => (layers, kind),
        };
        FileSearch::new(self.redactor, layers, kind).copy(content, out)
    }
}

impl Rewrite for Rewriter<'_> {
    fn name(&mut self, name: &str) -> String {
        let mut found = Redactions::default();
        let new = self.redactor.text(name, Layers::Known, &mut found).into_owned();
        if found.total() > 0 {
            self.report.add(&new, 0, &found);
            self.all.merge(found);
        }
        self.named(&new)
    }

    fn file(&mut self, name: &str, content: &mut Spooled, out: &mut Spooled) -> io::Result<bool> {
        if name == layout::REDACTIONS {
            self.add_earlier(content);
            return Ok(false);
        }
        let found = self.search(name, content, out)?;
        if found.total() == 0 {
            // Byte for byte: JSON may be written with other blanks.
            content.rewind()?;
            out.rewind()?;
            out.set_len(0)?;
            io::copy(content, out)?;
        }
        if let Some(names) = &self.names {
            // The original content is not needed any more.
            content.rewind()?;
            content.set_len(0)?;
            out.rewind()?;
            names.copy(out, content)?;
            std::mem::swap(content, out);
        }
        out.flush()?;
        let size = out.stream_position()?;
        let path = self.redactor.text(name, Layers::Known, &mut Redactions::default());
        self.report.add(&path, size, &found);
        self.all.merge(found);
        Ok(true)
    }

    fn last(&mut self) -> Vec<(String, Vec<u8>)> {
        self.report.add_rows(&std::mem::take(&mut self.all));
        let report = self.named(&format!("{}\n", json!(self.report)));
        vec![(layout::REDACTIONS.to_owned(), report.into_bytes())]
    }
}
