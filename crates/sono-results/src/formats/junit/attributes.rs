//! Attributes of an element, and references to characters.

use std::borrow::Cow;

use quick_xml::{escape::resolve_predefined_entity, events::BytesStart};

/// Names without prefix in lower case, and values with their references resolved.
#[derive(Debug, Default)]
pub(super) struct Attributes(Vec<(String, String)>);

impl Attributes {
    pub(super) fn of(element: &BytesStart<'_>) -> Result<Self, String> {
        let mut found = Vec::new();
        for attribute in element.attributes() {
            let attribute = attribute.map_err(|error| error.to_string())?;
            let full: &str = attribute.key.as_ref();
            // `b:name` is somebody else's attribute; `xmlns` declares.
            if full.contains(':') {
                continue;
            }
            // Line ends stay line ends (XML would make them spaces): messages of several lines are common.
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

    /// A number that counts only where it is one.
    pub(super) fn number(&self, name: &str) -> u64 {
        self.get(name).and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Resolves references to characters, each by itself; what is not one stays as written. Two halves of a surrogate pair,
/// as Java's XML writers put characters outside of the basic plane, are one character.
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
        let name = rest
            .find(';')
            .filter(|end| *end <= LONGEST_REFERENCE)
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

/// Bytes between `&` and `;` that are looked at.
const LONGEST_REFERENCE: usize = 16;

/// Appends what `name` (between `&` and `;`) stands for, given the first half of a surrogate pair right before it.
/// Returns the first half that this one is, which stands as written until its second half follows.
pub(super) fn push_reference(text: &mut String, name: &str, high: Option<High>) -> Option<High> {
    match (number(name), high) {
        (Some(low @ 0xdc00..=0xdfff), Some(high)) => {
            text.truncate(text.len() - high.written);
            text.extend(char::from_u32(0x10000 + ((high.value - 0xd800) << 10) + (low - 0xdc00)));
            return None;
        }
        (Some(value @ 0xd800..=0xdbff), _) => {
            let before = text.len();
            push_written(text, name);
            return Some(High {
                value,
                written: text.len() - before,
            });
        }
        (Some(value), _) => match char::from_u32(value).filter(|character| *character != '\0') {
            Some(character) => text.push(character),
            None => push_written(text, name),
        },
        (None, _) => match resolve_predefined_entity(name) {
            Some(value) => text.push_str(value),
            None => push_written(text, name),
        },
    }
    None
}

/// First half of a surrogate pair.
#[derive(Debug, Clone, Copy)]
pub(super) struct High {
    value: u32,
    /// How many bytes it has in the text so far.
    written: usize,
}

/// Whether a reference needs no declaration.
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

fn push_written(text: &mut String, name: &str) {
    text.push('&');
    text.push_str(name);
    text.push(';');
}
