//! The engine with its known values.

use std::{borrow::Cow, time::Duration};

use serde_json::Value;

use crate::{
    hits::Redactions,
    known::{KnownSummary, KnownValues},
    object,
    scan::{Layers, Scratch, Search},
    stream::TextStream,
};

/// Time for one object.
const OBJECT_TIME: Duration = Duration::from_secs(5);

/// Whether values of Secrets are searched.
#[derive(Debug)]
pub enum Known {
    /// These are searched.
    Values(KnownValues),
    /// None are, for this reason.
    NotSearched(String),
}

/// Redacts texts and objects. It is shared by all tasks; what a text or object needs is in the stream or on the stack.
#[derive(Debug)]
pub struct Redactor {
    search: Search,
    known: Result<KnownSummary, String>,
}

impl Default for Redactor {
    fn default() -> Self {
        Self::new(Known::NotSearched("values of Secrets were not read".to_owned()))
    }
}

impl Redactor {
    /// Prepares the search for known values, which takes about a millisecond for 100 values.
    pub fn new(known: Known) -> Self {
        let (values, reason) = match known {
            Known::Values(values) => (values, None),
            Known::NotSearched(reason) => (KnownValues::default(), Some(reason)),
        };
        let (index, summary) = values.index();
        Self {
            search: Search::new(index),
            known: reason.map_or(Ok(summary), Err),
        }
    }

    /// How much of the known values is searched, or why none are.
    pub fn known(&self) -> &Result<KnownSummary, String> {
        &self.known
    }

    /// Redacts an object according to its `kind`. `clock` is the time since any fixed moment; after five seconds the rest of
    /// the object's texts are replaced as a whole.
    pub fn object(&self, object: &mut Value, clock: &dyn Fn() -> Duration, redactions: &mut Redactions) {
        let kind = object
            .get("kind")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        self.object_as(&kind, object, clock, redactions);
    }

    /// Redacts an object that has no `kind`, as one of this kind.
    pub fn object_as(&self, kind: &str, object: &mut Value, clock: &dyn Fn() -> Duration, redactions: &mut Redactions) {
        object::redact(&self.search, kind, object, (clock, clock() + OBJECT_TIME), redactions);
    }

    /// A stream for a text, such as a log.
    pub fn stream(&self, layers: Layers) -> TextStream<'_> {
        TextStream::new(&self.search, layers)
    }

    /// Redacts a text. Returns it unchanged if nothing was found.
    pub fn text<'t>(&self, text: &'t str, layers: Layers, redactions: &mut Redactions) -> Cow<'t, str> {
        let mut scratch = Scratch::default();
        self.search.replace(("", ""), text, layers, &mut scratch, redactions)
    }

    #[cfg(test)]
    pub(crate) fn search(&self) -> &Search {
        &self.search
    }
}
