//! Documents for programs on a terminal: the same data, with the escapes of their formats. Pure.

use std::{borrow::Cow, fmt::Write as _};

use serde_json::Value;
use sono_types::yaml;

use super::foreign::{self, Colours, is_hidden};

/// Format of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    /// One document or several.
    Yaml,
    Xml,
}

/// Whether a character is hidden and not part of the layout.
fn is_escaped(character: char) -> bool {
    is_hidden(character) && !matches!(character, '\n' | '\t')
}

/// Escapes control characters in a document.
pub(super) fn for_terminal(format: Format, text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_escaped) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(match format {
        // Hidden characters occur only in strings.
        Format::Json => escaped(text, |character, shown| {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(shown, "\\u{unit:04x}").expect("writing to a string cannot fail");
            }
        }),
        // Hidden characters occur only in attributes and text. Characters that XML cannot represent were replaced before.
        Format::Xml => escaped(text, |character, shown| {
            write!(shown, "&#x{:x};", u32::from(character)).expect("writing to a string cannot fail");
        }),
        Format::Yaml => of_yaml(text).unwrap_or_else(|| foreign::visible_lines(text.as_bytes(), Colours::Removed)),
    })
}

fn escaped(text: &str, escape: impl Fn(char, &mut String)) -> String {
    let mut shown = String::with_capacity(text.len() + 64);
    for character in text.chars() {
        if is_escaped(character) {
            escape(character, &mut shown);
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Escapes a YAML document: rewrites it with strings that contain hidden characters in double quotes, which support escapes.
fn of_yaml(text: &str) -> Option<String> {
    let documents = yaml::all_documents(text).ok()?;
    let mut quoted = Quoted {
        mark: unused_word(&Value::from(documents.clone()).to_string()),
        strings: Vec::new(),
    };
    let written: Vec<String> = documents
        .into_iter()
        .map(|document| yaml::to_string(&quoted.value(document)).ok())
        .collect::<Option<_>>()?;
    let written = written.join("---\n");
    let mut parts = written.split(&quoted.mark);
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (number, rest) = part.split_once('x')?;
        shown.push_str(quoted.strings.get(number.parse::<usize>().ok()?)?);
        shown.push_str(rest);
    }
    if text.ends_with('\n') && !shown.ends_with('\n') {
        shown.push('\n');
    }
    (!shown.chars().any(is_escaped)).then_some(shown)
}

/// A word that does not occur in the text.
fn unused_word(text: &str) -> String {
    let mut word = "quoted".to_owned();
    while text.contains(&word) {
        word.push('q');
    }
    word
}

/// Quoted strings, each represented by a placeholder word.
struct Quoted {
    mark: String,
    strings: Vec<String>,
}

impl Quoted {
    fn word(&self, number: usize) -> String {
        format!("{}{number}x", self.mark)
    }

    fn string(&mut self, string: String) -> String {
        if !string.chars().any(is_escaped) {
            return string;
        }
        let mut shown = "\"".to_owned();
        for character in string.chars() {
            match character {
                '"' => shown.push_str("\\\""),
                '\\' => shown.push_str("\\\\"),
                '\n' => shown.push_str("\\n"),
                '\t' => shown.push_str("\\t"),
                hidden if is_hidden(hidden) => {
                    let number = u32::from(hidden);
                    match number {
                        0..=0xff => write!(shown, "\\x{number:02x}"),
                        0x100..=0xffff => write!(shown, "\\u{number:04x}"),
                        _ => write!(shown, "\\U{number:08x}"),
                    }
                    .expect("writing to a string cannot fail");
                }
                other => shown.push(other),
            }
        }
        shown.push('"');
        self.strings.push(shown);
        self.word(self.strings.len() - 1)
    }

    fn value(&mut self, value: Value) -> Value {
        match value {
            Value::String(string) => Value::String(self.string(string)),
            Value::Array(values) => values.into_iter().map(|value| self.value(value)).collect(),
            Value::Object(map) => map
                .into_iter()
                .map(|(key, value)| (self.string(key), self.value(value)))
                .collect(),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const HOSTILE: &str = "\u{1b}[2J\u{7f}\u{9b}\u{85}\u{202e}\u{2066}\u{200b}\u{2028}\u{e0041} \"'\\ \n\t: #";

    fn is_shown(text: &str) {
        assert!(!text.chars().any(is_escaped), "{text:?}");
    }

    #[test]
    fn document_on_a_terminal_holds_the_same_data() {
        let value = json!({"a": HOSTILE, HOSTILE: [HOSTILE, 1, null, true, "quoted", "1"], "n": {"x": "yes"}});
        let text = serde_json::to_string(&value).unwrap();
        let shown = for_terminal(Format::Json, &text);
        is_shown(&shown);
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), value);

        let text = yaml::to_string(&value).unwrap();
        let both = format!("{text}---\nb: 1\n");
        for (text, documents) in [
            (&text, vec![value.clone()]),
            (&both, vec![value.clone(), json!({"b": 1})]),
        ] {
            let shown = for_terminal(Format::Yaml, text);
            is_shown(&shown);
            assert_eq!(yaml::all_documents(&shown).unwrap(), documents, "{shown}");
        }
        let shown = for_terminal(Format::Yaml, "a: \u{202e}\n");
        assert_eq!(shown, "a: \"\\u202e\"\n");
    }

    #[test]
    fn document_in_xml_on_a_terminal_has_references() {
        let shown = for_terminal(Format::Xml, "<a b=\"\u{9b}\u{7f}\">\n\u{202e}\u{e0041}</a>\n");
        assert_eq!(shown, "<a b=\"&#x9b;&#x7f;\">\n&#x202e;&#xe0041;</a>\n");
    }

    #[test]
    fn document_without_hidden_characters_stays_as_it_is() {
        for format in [Format::Json, Format::Yaml, Format::Xml] {
            let text = "b: 1\na: é\n\tx";
            assert_eq!(for_terminal(format, text), text);
        }
    }
}
