//! Parsers of the result formats, one module each. They never fail; the parsed file contains the error.

pub(crate) mod errors;
pub(crate) mod gojson;
pub(crate) mod junit;
pub(crate) mod manual;

use std::collections::BTreeMap;

use serde_json::Value;
use sono_types::{Item, item::status};

/// Verdict, items and error of one result file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ParsedFile {
    pub(crate) status: String,
    pub(crate) items: Vec<Item>,
    pub(crate) details: BTreeMap<String, Value>,
    pub(crate) error: Option<String>,
}

impl ParsedFile {
    pub(crate) fn passed() -> Self {
        Self {
            status: status::PASSED.to_owned(),
            ..Self::default()
        }
    }

    fn unreadable(error: impl Into<String>) -> Self {
        Self {
            status: status::UNKNOWN.to_owned(),
            error: Some(error.into()),
            ..Self::default()
        }
    }
}
