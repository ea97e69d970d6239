//! A reader of exactly the YAML that item trees are written in, by Sonobuoy (go-yaml, which folds long lines) and by us.
//!
//! It knows block mappings with an item's keys, lists of items, and plain, quoted and literal scalars. At anything else
//! it gives up, and [`super::from_yaml`] asks the general reader, of which this one is a faster equal: a property test
//! compares them. It borrows from the text until the tree is built, and needs no memory besides the tree's.

use std::borrow::Cow;

use serde_json::Value;
use sono_types::{Item, yaml};

use super::scalars::{self, Line};

/// How deep items may stand in each other; the general reader judges deeper ones.
pub(super) const MAX_DEPTH: usize = 60;

/// The tree, or nothing where the text is of any other shape than the expected one, a broken one included.
pub(super) fn read(text: &str) -> Option<Item> {
    read_part(text, 0)
}

/// The same for the text of one item whose first key stands at the start and the others on lines indented by `indent`.
pub(super) fn read_part(text: &str, indent: usize) -> Option<Item> {
    if !text.ends_with('\n') || !is_plain_text(text.as_bytes()) {
        return None;
    }
    let mut reader = Reader { rest: text };
    let item = reader.item(indent, 0)?;
    reader.rest.is_empty().then_some(item)
}

/// Whether nothing in it is a line end to one reader and none to another, or forbidden.
fn is_plain_text(bytes: &[u8]) -> bool {
    // Most pieces are ASCII, which needs no look at neighbours. What is odd is three bytes long at most.
    let is_tame = |piece: &[u8]| {
        piece.iter().fold(true, |tame, byte| {
            tame & (matches!(byte, 0x20..0x7f) | matches!(byte, b'\n' | b'\t'))
        })
    };
    let mut at = 0;
    for piece in bytes.chunks(PIECE) {
        if !is_tame(piece) && !has_no_odd_character(&bytes[at.max(2) - 2..at + piece.len()]) {
            return false;
        }
        at += piece.len();
    }
    true
}

/// Bytes that are looked at together.
const PIECE: usize = 64;

fn has_no_odd_character(bytes: &[u8]) -> bool {
    let mut previous = [0_u8; 2];
    for &byte in bytes {
        let odd = match byte {
            b'\n' | b'\t' => false,
            ..0x20 | 0x7f => true,
            // U+0080 to U+009F.
            0x80..=0x9f if previous[1] == 0xc2 => true,
            // U+2028 and U+2029.
            0xa8 | 0xa9 if previous == [0xe2, 0x80] => true,
            // U+FEFF, U+FFFE and U+FFFF.
            0xbf if previous == [0xef, 0xbb] => true,
            0xbe | 0xbf if previous == [0xef, 0xbf] => true,
            _ => false,
        };
        if odd {
            return false;
        }
        previous = [previous[1], byte];
    }
    true
}

/// The fields of an item that were there.
#[derive(Default)]
struct Seen {
    name: bool,
    status: bool,
    meta: bool,
    details: bool,
    items: bool,
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// The keys of an item, the first of which stands right here and the others on lines indented by `indent`.
    fn item(&mut self, indent: usize, depth: usize) -> Option<Item> {
        if depth > MAX_DEPTH {
            return None;
        }
        let mut item = Item::default();
        let mut seen = Seen::default();
        loop {
            let key = self.key()?;
            let was_seen = match &*key {
                "name" => std::mem::replace(&mut seen.name, true),
                "status" => std::mem::replace(&mut seen.status, true),
                "meta" => std::mem::replace(&mut seen.meta, true),
                "details" => std::mem::replace(&mut seen.details, true),
                "items" => std::mem::replace(&mut seen.items, true),
                _ => return None,
            };
            if was_seen {
                return None;
            }
            match &*key {
                "name" => item.name = self.text(indent)?,
                "status" => item.status = self.text(indent)?,
                "meta" => self.map(indent, |reader, key, indent| {
                    item.meta.insert(key, reader.text(indent)?);
                    Some(())
                })?,
                "details" => self.map(indent, |reader, key, indent| {
                    item.details.insert(key, reader.value(indent)?);
                    Some(())
                })?,
                _ => item.items = self.items(indent, depth)?,
            }
            if !self.next_key(indent)? {
                return Some(item);
            }
        }
    }

    fn items(&mut self, parent: usize, depth: usize) -> Option<Vec<Item>> {
        self.line_end()?;
        let indent = spaces(self.rest);
        if indent < parent {
            return None;
        }
        let mut items = Vec::new();
        while spaces(self.rest) == indent && self.rest[indent..].starts_with("- ") {
            let dash = &self.rest[indent + 2..];
            let more = spaces(dash);
            self.rest = &dash[more..];
            items.push(self.item(indent + 2 + more, depth + 1)?);
        }
        (!items.is_empty()).then_some(items)
    }

    fn map(&mut self, parent: usize, mut entry: impl FnMut(&mut Self, String, usize) -> Option<()>) -> Option<()> {
        self.line_end()?;
        let indent = spaces(self.rest);
        if indent <= parent || !self.next_key(indent)? {
            return None;
        }
        loop {
            let key = self.key()?.into_owned();
            entry(self, key, indent)?;
            if !self.next_key(indent)? {
                return Some(());
            }
        }
    }

    /// Whether the next line is one more key of the mapping with this indentation; if so it stands there then.
    fn next_key(&mut self, indent: usize) -> Option<bool> {
        let found = spaces(self.rest);
        let rest = &self.rest[found..];
        if found > indent || rest.starts_with('\n') {
            return None;
        }
        if found < indent || rest.is_empty() || rest.starts_with("- ") {
            return Some(false);
        }
        self.rest = rest;
        Some(true)
    }

    /// A key and its colon.
    fn key(&mut self) -> Option<Cow<'a, str>> {
        let (key, rest) = match self.rest.as_bytes().first()? {
            b'"' | b'\'' => {
                let line = self.rest.split_once('\n').map_or(self.rest, |(line, _)| line);
                let (key, end) = scalars::quoted(line, 0)?;
                (key, &self.rest[end..])
            }
            _ => {
                let end = self
                    .rest
                    .bytes()
                    .position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/')))?;
                let (key, rest) = self.rest.split_at(end);
                if !key.as_bytes().first()?.is_ascii_alphabetic() || key.eq_ignore_ascii_case("null") {
                    return None;
                }
                (Cow::Borrowed(key), rest)
            }
        };
        self.rest = rest.strip_prefix(':')?;
        Some(key)
    }

    fn line_end(&mut self) -> Option<()> {
        self.rest = self.rest.strip_prefix('\n')?;
        Some(())
    }

    /// A scalar taken by its text.
    fn text(&mut self, indent: usize) -> Option<String> {
        let (text, is_plain) = self.scalar(indent)?;
        // What may be null is for the general reader.
        if is_plain && (text.starts_with('~') || text.eq_ignore_ascii_case("null")) {
            return None;
        }
        Some(text.into_owned())
    }

    /// Any value. Plain scalars that may be no text, and nested values, are read by the general reader alone.
    fn value(&mut self, indent: usize) -> Option<Value> {
        if self.rest.starts_with('\n') {
            self.line_end()?;
            return general(self.block(indent));
        }
        if self.rest.starts_with(" {") || self.rest.starts_with(" [") {
            let (line, rest) = self.rest.split_once('\n')?;
            // A flow that goes on is left to the general reader.
            if spaces(rest) > indent {
                return None;
            }
            self.rest = rest;
            return general(line);
        }
        let (text, is_plain) = self.scalar(indent)?;
        if is_plain && !is_surely_text(&text) {
            return general(&text);
        }
        Some(Value::String(text.into_owned()))
    }

    /// The lines of a nested value below a key with this indentation. There is at least one, or it is null.
    fn block(&mut self, indent: usize) -> &'a str {
        let mut end = 0;
        while end < self.rest.len() {
            let line = &self.rest[end..];
            let found = spaces(line);
            let is_inside =
                found > indent || line[found..].starts_with('\n') || (found == indent && is_dash(&line[found..]));
            if !is_inside {
                break;
            }
            end += line.find('\n').map_or(line.len(), |length| length + 1);
        }
        let (block, rest) = self.rest.split_at(end);
        self.rest = rest;
        block
    }

    /// The scalar after a key with this indentation, and whether it is a plain one. The next line follows.
    fn scalar(&mut self, indent: usize) -> Option<(Cow<'a, str>, bool)> {
        let value = self.rest.strip_prefix(' ')?;
        match value.as_bytes().first()? {
            b'"' | b'\'' => {
                let (text, end) = scalars::quoted(value, indent + 1)?;
                self.rest = value[end..].strip_prefix('\n')?;
                Some((text, false))
            }
            b'|' => {
                let (text, end) = scalars::literal(value, indent)?;
                self.rest = &value[end..];
                Some((Cow::Owned(text), false))
            }
            _ => {
                let Line { text, end } = scalars::plain(value, indent)?;
                self.rest = &value[end..];
                Some((text, true))
            }
        }
    }
}

/// The only value in a part of the text, as the general reader sees it.
fn general(part: &str) -> Option<Value> {
    // To its end: the first document alone may be followed by something broken.
    let mut documents = yaml::all_documents(part).ok()?;
    match documents.len() {
        0 => Some(Value::Null),
        1 => documents.pop(),
        _ => None,
    }
}

/// Spaces at the start.
fn spaces(text: &str) -> usize {
    text.bytes().take_while(|byte| *byte == b' ').count()
}

fn is_dash(text: &str) -> bool {
    text.starts_with("- ") || text.starts_with("-\n")
}

/// Whether a plain scalar can be nothing but text: it starts like a word and is longer than any word with a meaning.
fn is_surely_text(text: &str) -> bool {
    text.as_bytes()[0].is_ascii_alphabetic() && text.len() > "infinity".len()
}
