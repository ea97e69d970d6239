//! The parts of a Secret's value that are secrets of their own: leaves of JSON and YAML, keys in PEM, lines of `name=value`.

use serde_json::Value;
use sono_types::yaml;

use super::{
    MIN_BYTES, encode,
    trivial::{is_trivial, is_wordy},
};
use crate::names::{Mark, mark};

/// Texts in texts are opened to this depth.
const DEPTH: usize = 2;
/// Larger texts are not parsed as YAML, which is slow.
const MAX_YAML: usize = 256 << 10;
/// Keys of Secrets with public values.
const PUBLIC_KEYS: &[&str] = &["ca.crt", "namespace", "service-ca.crt", "ca-bundle.crt"];
/// Labels of public blocks in PEM.
const PUBLIC_BLOCKS: &[&str] = &[
    "CERTIFICATE",
    "PUBLIC KEY",
    "CERTIFICATE REQUEST",
    "X509 CRL",
    "PARAMETERS",
];

/// A part of a value.
pub(super) enum Found<'a> {
    Value(&'a [u8]),
    Trivial,
    Public,
}

/// Calls `found` for the value and its parts.
pub(super) fn each(key: &str, value: &[u8], found: &mut dyn FnMut(Found<'_>)) {
    let value = value.trim_ascii();
    if value.is_empty() {
        return;
    }
    if PUBLIC_KEYS.contains(&key) {
        return found(Found::Public);
    }
    let Ok(text) = std::str::from_utf8(value) else {
        let trivial = is_trivial(value);
        return found(if trivial { Found::Trivial } else { Found::Value(value) });
    };
    if text.starts_with("-----BEGIN ") {
        return blocks(text, found);
    }
    if text.contains("-----BEGIN ") {
        blocks(text, found);
    }
    texts(key, text, 0, found);
    if is_trivial(value) {
        found(Found::Trivial);
    } else {
        found(Found::Value(value));
    }
}

/// The bodies of private blocks in PEM.
fn blocks(text: &str, found: &mut dyn FnMut(Found<'_>)) {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        let Some((label, body)) = after.split_once("-----") else {
            return;
        };
        let (body, next) = body.split_once("-----END ").unwrap_or((body, ""));
        if PUBLIC_BLOCKS.iter().any(|public| label.ends_with(public)) {
            found(Found::Public);
        } else if body.trim().len() >= MIN_BYTES {
            found(Found::Value(body.trim().as_bytes()));
        }
        rest = next;
    }
}

/// The parts of a text that is JSON, YAML, lines of `name=value`, a URL or `user:password`.
fn texts(name: &str, text: &str, depth: usize, found: &mut dyn FnMut(Found<'_>)) {
    if depth > DEPTH {
        return;
    }
    if text.starts_with(['{', '['])
        && let Ok(value) = serde_json::from_str::<Value>(text)
    {
        return leaves(name, &value, depth + 1, found);
    }
    let has_lines = text.contains('\n');
    if text.len() <= MAX_YAML
        && (text.contains(": ") || text.contains(":\n"))
        && let Ok(value) = yaml::first_document::<Value>(text)
        && (value.is_object() || value.is_array())
    {
        return leaves(name, &value, depth + 1, found);
    }
    if let Some(password) = url_password(text) {
        part("password", password, depth, found);
    }
    for line in text.lines() {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let pair = line.split_once('=').or_else(|| line.split_once(": "));
        match pair {
            Some((key, value)) if is_name(key.trim()) => {
                part(key.trim(), value.trim().trim_matches(['"', '\'', ';']), depth, found);
            }
            _ if has_lines || !text.contains("://") => {
                if let Some((user, password)) = line.split_once(':')
                    && !user.contains([' ', '/'])
                    && !password.contains(' ')
                {
                    part("password", password, depth, found);
                }
            }
            _ => {}
        }
    }
}

fn leaves(name: &str, value: &Value, depth: usize, found: &mut dyn FnMut(Found<'_>)) {
    match value {
        Value::String(text) => part(name, text, depth, found),
        Value::Array(elements) => elements.iter().for_each(|element| leaves(name, element, depth, found)),
        Value::Object(fields) => {
            // `{name: PASSWORD, value: …}`
            let pair = fields.get("name").or_else(|| fields.get("key")).and_then(Value::as_str);
            for (key, value) in fields {
                let key = if key == "value" { pair.unwrap_or(name) } else { key };
                leaves(key, value, depth, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn part(name: &str, text: &str, depth: usize, found: &mut dyn FnMut(Found<'_>)) {
    let text = text.trim();
    if text.len() < MIN_BYTES {
        return;
    }
    if text.contains("-----BEGIN ") {
        return blocks(text, found);
    }
    if !is_trivial(text.as_bytes()) && (mark(name) != Mark::Plain || !is_wordy(text)) {
        found(Found::Value(text.as_bytes()));
    }
    if let Some(decoded) = encode::decoded(text.as_bytes()).filter(|_| text.len() >= 12)
        && let Ok(decoded) = std::str::from_utf8(&decoded)
        && !decoded.contains(|letter: char| letter.is_control() && !letter.is_whitespace())
    {
        if decoded.contains("-----BEGIN ") {
            return blocks(decoded, found);
        }
        return texts(name, decoded, depth + 1, found);
    }
    texts(name, text, depth + 1, found);
}

fn url_password(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("://")?;
    let (user, _) = rest.rsplit_once('@')?;
    let (_, password) = user.split_once(':')?;
    (!password.contains(char::is_whitespace)).then_some(password)
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 128
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'"' | b'\''))
}
