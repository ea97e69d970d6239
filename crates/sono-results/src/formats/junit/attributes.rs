//! Attributes and character references.

use std::borrow::Cow;

use quick_xml::{escape::resolve_predefined_entity, events::BytesStart};

/// Attributes of an element: lower-case names and values with resolved references. Prefixed attributes are ignored.
#[derive(Debug, Default)]
pub(super) struct Attributes(Vec<(String, String)>);

impl Attributes {
    pub(super) fn of(element: &BytesStart<'_>) -> Result<Self, String> {
        let mut found = Vec::new();
        for attribute in element.attributes() {
            let attribute = attribute.map_err(|error| error.to_string())?;
            let full: &str = attribute.key.as_ref();
            // Attributes of other namespaces, and namespace declarations.
            if full.contains(':') {
                continue;
            }
            // Line breaks are preserved, because messages often have several lines. XML would convert them to spaces.
            let value = attribute.value.replace("\r\n", "\n");
            found.push((full.to_ascii_lowercase(), resolve(&value).into_owned()));
        }
        Ok(Self(found))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.iter().find_map(|(own, value)| (own == name).then_some(value))
    }

    pub(super) fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    /// Leading integer of an attribute (`2`, `1.0`, `3 of 7`); 0 if it is missing or has none.
    pub(super) fn number(&self, name: &str) -> u64 {
        let value = self.get(name).unwrap_or_default().trim();
        let end = value
            .find(|character: char| !character.is_ascii_digit())
            .unwrap_or(value.len());
        let digits = &value[..end];
        digits.parse().unwrap_or(if digits.is_empty() { 0 } else { u64::MAX })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Resolves character references; invalid ones are copied unchanged. A surrogate pair, as written by Java's XML writers, is
/// one character.
fn resolve(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return text.into();
    }
    let mut resolved = String::with_capacity(text.len());
    let mut rest = text;
    let mut high = None;
    while let Some(at) = rest.find('&') {
        resolved.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if at > 0 {
            high = None;
        }
        // Without a name and a semicolon it is a plain ampersand.
        let name = rest
            .find(|character: char| !character.is_alphanumeric() && !matches!(character, '#' | '_' | '-' | '.' | ':'))
            .filter(|end| (1..=MAX_REFERENCE_BYTES).contains(end) && rest[*end..].starts_with(';'))
            .map(|end| &rest[..end]);
        let Some(name) = name else {
            resolved.push('&');
            high = None;
            continue;
        };
        high = push_reference(&mut resolved, name, high);
        rest = &rest[name.len() + 1..];
    }
    resolved.push_str(rest);
    resolved.into()
}

/// Maximum number of bytes between `&` and `;`.
const MAX_REFERENCE_BYTES: usize = 16;

/// Appends the character of the reference `name` (the text between `&` and `;`).
///
/// `high` is the high surrogate directly before it. Returns the high surrogate if the reference is one; it is copied
/// unchanged until its low surrogate follows.
pub(super) fn push_reference(text: &mut String, name: &str, high: Option<HighSurrogate>) -> Option<HighSurrogate> {
    match (number(name), high) {
        (Some(low @ 0xdc00..=0xdfff), Some(high)) => {
            text.truncate(text.len() - high.bytes);
            text.extend(char::from_u32(0x10000 + ((high.value - 0xd800) << 10) + (low - 0xdc00)));
            return None;
        }
        (Some(value @ 0xd800..=0xdbff), _) => {
            let before = text.len();
            push_unchanged(text, name);
            return Some(HighSurrogate {
                value,
                bytes: text.len() - before,
            });
        }
        (Some(value), _) => match char::from_u32(value).filter(|character| *character != '\0') {
            Some(character) => text.push(character),
            None => push_unchanged(text, name),
        },
        (None, _) => match resolve_predefined_entity(name) {
            Some(value) => text.push_str(value),
            None => push_unchanged(text, name),
        },
    }
    None
}

/// High surrogate of a pair.
#[derive(Debug, Clone, Copy)]
pub(super) struct HighSurrogate {
    value: u32,
    /// Length of the reference in the text, in bytes.
    bytes: usize,
}

/// Whether a reference is numeric or predefined.
pub(super) fn is_known(name: &str) -> bool {
    name.starts_with('#') || resolve_predefined_entity(name).is_some()
}

fn number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix('#')?;
    match digits.strip_prefix(['x', 'X']) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => digits.parse().ok(),
    }
}

fn push_unchanged(text: &mut String, name: &str) {
    text.push('&');
    text.push_str(name);
    text.push(';');
}
