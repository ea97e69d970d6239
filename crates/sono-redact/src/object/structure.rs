//! Texts that are objects of their own: JSON, YAML, and base64 or gzip of these.

use std::io::Read as _;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use flate2::bufread::MultiGzDecoder;
use serde_json::Value;
use sono_types::yaml;

use super::{Texts, Walk, is_custom};
use crate::{
    hits::{Redactions, Rule},
    scan::{Layers, has_keyword},
};

/// Texts in texts are opened to this depth.
const OPENED: usize = 2;
/// Larger texts are not parsed as YAML, which is slow.
const MAX_YAML: usize = 256 << 10;
/// Larger texts are searched, not opened.
const MAX_TEXT: usize = 4 << 20;
/// Most bytes of an unpacked text.
const MAX_UNPACKED: u64 = 8 << 20;

impl Walk<'_> {
    /// Redacts a text, and what is in it.
    pub(super) fn text(&mut self, text: &mut String, texts: Texts) {
        if text == crate::REDACTED || text.len() < 4 {
            return;
        }
        let layers = if texts == Texts::Schema {
            Layers::Shapes
        } else {
            Layers::All
        };
        if self.opened < OPENED && text.len() <= MAX_TEXT && texts != Texts::Schema && self.opened(text) {
            return;
        }
        self.scan(text, layers);
        if self.opened < OPENED && texts == Texts::UserData && text.len() <= MAX_YAML {
            self.yaml(text);
        }
    }

    /// Redacts a text that is JSON or base64. Returns whether it is one.
    fn opened(&mut self, text: &mut String) -> bool {
        let trimmed = text.trim();
        if trimmed.starts_with(['{', '['])
            && let Ok(mut value) = serde_json::from_str::<Value>(trimmed)
            && (value.is_object() || value.is_array())
        {
            // Numbers may be written in another way, so that the text changes only if something is found.
            if self.inner(&mut value) > 0 {
                *text = value.to_string();
            }
            return true;
        }
        let Some(bytes) = base64(trimmed) else {
            return false;
        };
        let unpacked = match unpack(bytes) {
            Unpacked::Text(text) => text,
            Unpacked::Binary => return false,
            Unpacked::Opaque => {
                self.redactions.add_opaque("compressed");
                return false;
            }
        };
        let mut inner = unpacked;
        self.opened += 1;
        let mut found = Redactions::default();
        std::mem::swap(self.redactions, &mut found);
        self.text(&mut inner, Texts::UserData);
        std::mem::swap(self.redactions, &mut found);
        self.opened -= 1;
        let changed = found.total() > 0;
        self.redactions.merge(found.without_counts());
        if changed {
            self.hide(text, Rule::Encoded);
        }
        changed
    }

    /// Redacts a text that is YAML with secrets that only its structure shows. The text is written again only then.
    fn yaml(&mut self, text: &mut String) {
        let is_map = text.contains(": ") || text.contains(":\n");
        if !is_map || !text.contains('\n') || !has_keyword(text) {
            return;
        }
        let Ok(mut documents) = yaml::all_documents(text) else {
            return;
        };
        if !documents
            .iter()
            .any(|document| document.is_object() || document.is_array())
        {
            return;
        }
        let found: u64 = documents.iter_mut().map(|document| self.inner(document)).sum();
        if found == 0 {
            return;
        }
        let written: Result<Vec<String>, _> = documents.iter().map(yaml::to_string).collect();
        match written {
            Ok(documents) => *text = documents.join("---\n"),
            Err(_) => self.hide(text, Rule::Encoded),
        }
    }

    /// Redacts an object in a text. Returns the number of redactions.
    fn inner(&mut self, value: &mut Value) -> u64 {
        let before = self.redactions.total();
        let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        let is_object =
            !kind.is_empty() && value.get("apiVersion").is_some() || ["Secret", "ConfigMap"].contains(&kind.as_str());
        let mut walk = Walk {
            search: self.search,
            deadline: self.deadline,
            kind: if is_object { &kind } else { self.kind },
            custom: !is_object || is_custom(value),
            path: std::mem::take(&mut self.path),
            level: self.level,
            opened: self.opened + 1,
            scratch: std::mem::take(&mut self.scratch),
            redactions: self.redactions,
        };
        if is_object {
            walk.object(value);
        } else {
            walk.value(value, Texts::UserData);
        }
        self.path = walk.path;
        self.scratch = walk.scratch;
        self.redactions.total() - before
    }
}

/// The bytes of a text that is base64 as a whole.
fn base64(text: &str) -> Option<Vec<u8>> {
    let is_base64 =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=' | b'\n' | b'\r');
    if text.len() < 12 || !text.bytes().all(is_base64) {
        return None;
    }
    let joined: String = text
        .chars()
        .filter(|character| !character.is_whitespace() && *character != '=')
        .collect();
    if joined.len() % 4 == 1 {
        return None;
    }
    STANDARD_NO_PAD
        .decode(&joined)
        .or_else(|_| URL_SAFE_NO_PAD.decode(&joined))
        .ok()
}

/// The content of decoded base64.
enum Unpacked {
    Text(String),
    /// Not a text.
    Binary,
    /// Compressed again, or too large.
    Opaque,
}

fn unpack(bytes: Vec<u8>) -> Unpacked {
    let bytes = if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut unpacked = Vec::new();
        match MultiGzDecoder::new(&bytes[..])
            .take(MAX_UNPACKED + 1)
            .read_to_end(&mut unpacked)
        {
            Ok(_) if unpacked.len() as u64 <= MAX_UNPACKED && !unpacked.starts_with(&[0x1f, 0x8b]) => unpacked,
            _ => return Unpacked::Opaque,
        }
    } else {
        bytes
    };
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains(|character: char| character.is_control() && !character.is_whitespace()) => {
            Unpacked::Text(text)
        }
        _ => Unpacked::Binary,
    }
}
