//! Escaping of foreign text, from clusters, plugins, archives, registries and users. Pure.

use std::{borrow::Cow, fmt::Write as _};

/// Replacement for a line end or a tab within a line of foreign text.
const BLANK: char = ' ';

/// Invisible characters, in addition to control characters (category Cc).
///
/// Bidirectional controls, line and paragraph separators, zero-width characters, fillers and tags. Variation selectors
/// U+FE00–FE0F are allowed: emoji require them, and they neither reorder nor hide text.
const INVISIBLE: [(char, char); 16] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Whether the character is a control or invisible character, including line ends and tabs.
pub(crate) fn is_hidden(character: char) -> bool {
    character.is_control()
        || (character > '~'
            && INVISIBLE
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&character)))
}

/// Treatment of colour sequences (SGR, `ESC [ … m`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colours {
    Removed,
    /// Written unchanged; a line with colours ends with a reset.
    Preserved,
}

/// Escapes text to one line: line ends and tabs become blanks, colours are removed, other hidden characters become
/// `\u{…}`.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    write_line(text, Colours::Removed, &mut shown);
    Cow::Owned(shown)
}

/// Appends the escaped text; line feeds become blanks.
fn write_line(text: &str, colours: Colours, shown: &mut String) {
    let mut rest = text;
    let mut coloured = false;
    while let Some(at) = rest.find(is_hidden) {
        let (plain, from) = rest.split_at(at);
        shown.push_str(plain);
        if let Some(length) = sgr(from) {
            if colours == Colours::Preserved {
                shown.push_str("\u{1b}[");
                shown.push_str(from[..length].trim_start_matches(['\u{1b}', '\u{9b}', '[']));
                coloured = true;
            }
            rest = &from[length..];
            continue;
        }
        let hidden = from.chars().next().unwrap_or(BLANK);
        rest = &from[hidden.len_utf8()..];
        match hidden {
            '\t' if colours == Colours::Preserved => shown.push('\t'),
            '\n' | '\t' => shown.push(BLANK),
            // Windows line end.
            '\r' if rest.is_empty() || rest.starts_with('\n') => {}
            other => shown.extend(other.escape_unicode()),
        }
    }
    shown.push_str(rest);
    if coloured {
        shown.push_str("\u{1b}[0m");
    }
}

/// Length of the colour sequence at the start of the text.
fn sgr(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\u{1b}[").or_else(|| text.strip_prefix('\u{9b}'))?;
    let end = parameters.find(|character: char| !matches!(character, '0'..='9' | ';' | ':'))?;
    parameters[end..]
        .starts_with('m')
        .then(|| text.len() - parameters.len() + end + 1)
}

/// Escapes lines for a terminal, except line ends and tabs. Bytes that are not UTF-8 become `\x…`.
pub(super) fn visible_lines(bytes: &[u8], colours: Colours) -> String {
    let mut shown = String::with_capacity(bytes.len() + 16);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let (line, end) = match line.strip_suffix(b"\n") {
            Some(line) => (line, "\n"),
            None => (line, ""),
        };
        let text = utf8(line);
        match colours {
            Colours::Preserved => write_line(&text, colours, &mut shown),
            // Tabs are visible.
            Colours::Removed => {
                for (index, part) in text.split('\t').enumerate() {
                    if index > 0 {
                        shown.push('\t');
                    }
                    write_line(part, colours, &mut shown);
                }
            }
        }
        shown.push_str(end);
    }
    shown
}

/// Escapes a log record to one line, with its line end.
pub(super) fn visible_record(record: &[u8], colours: Colours) -> String {
    let mut shown = String::with_capacity(record.len() + 16);
    write_line(&utf8(record.strip_suffix(b"\n").unwrap_or(record)), colours, &mut shown);
    shown.push('\n');
    shown
}

/// Decodes text; bytes that are not UTF-8 become `\x…`.
pub(super) fn utf8(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            write!(text, "\\x{byte:02x}").expect("writing to a string cannot fail");
        }
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visible_of_hidden_characters_is_their_numbers() {
        for (text, shown) in [
            ("Größe µ ✓ ⚠\u{fe0f}", "Größe µ ✓ ⚠\u{fe0f}"),
            ("a\nb\tc\r\nd", "a b c d"),
            ("over\rwritten", "over\\u{d}written"),
            ("\0\u{7}\u{8}\u{7f}", "\\u{0}\\u{7}\\u{8}\\u{7f}"),
            ("\u{85}\u{9b}2J\u{9d}0;t\u{9c}", "\\u{85}\\u{9b}2J\\u{9d}0;t\\u{9c}"),
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            (
                "\u{61c}\u{200e}\u{200f}\u{202a}\u{202e}",
                "\\u{61c}\\u{200e}\\u{200f}\\u{202a}\\u{202e}",
            ),
            (
                "\u{2066}\u{2069}\u{2028}\u{2029}",
                "\\u{2066}\\u{2069}\\u{2028}\\u{2029}",
            ),
            (
                "\u{200b}\u{200d}\u{feff}\u{e0041}",
                "\\u{200b}\\u{200d}\\u{feff}\\u{e0041}",
            ),
        ] {
            assert_eq!(visible(text), shown, "{text:?}");
            assert_eq!(visible(shown), shown, "{text:?}: escaping again changes nothing");
        }
    }

    /// Removing a colour cannot create another control sequence.
    #[test]
    fn visible_of_colours_is_the_text_without_them() {
        for (text, shown) in [
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}[38;5;196m\u{9b}1;4mred\u{1b}[m", "red"),
            ("\u{1b}[4:3mcurly", "curly"),
            ("\u{1b}\u{1b}[0m[31m", "\\u{1b}[31m"),
            ("\u{1b}[31", "\\u{1b}[31"),
            ("\u{1b}[2J\u{1b}[?25l\u{1b}[>4m", "\\u{1b}[2J\\u{1b}[?25l\\u{1b}[>4m"),
        ] {
            assert_eq!(visible(text), shown, "{text:?}");
        }
    }

    #[test]
    fn visible_lines_with_colours_pass_them_only() {
        let lines = |bytes: &[u8]| visible_lines(bytes, Colours::Preserved);
        assert_eq!(
            lines(b"\x1b[31mred\na\tb\r\n\x1b[2Jx\ry\n"),
            "\u{1b}[31mred\u{1b}[0m\na\tb\n\\u{1b}[2Jx\\u{d}y\n"
        );
        assert_eq!(lines("\u{202e}\u{9b}5n".as_bytes()), "\\u{202e}\\u{9b}5n");
        assert_eq!(lines("\u{9b}1mbold".as_bytes()), "\u{1b}[1mbold\u{1b}[0m");
        assert_eq!(
            visible_record(b"\x1b[32m INFO\x1b[0m a\nb\n", Colours::Preserved),
            "\u{1b}[32m INFO\u{1b}[0m a b\u{1b}[0m\n"
        );
        assert_eq!(lines(b"\x9b2J \xff\xc3"), "\\x9b2J \\xff\\xc3");
        assert_eq!(
            visible_lines(b"\x1b[31ma\tb\x1b[0m\n\x1b]52;c;eA==\x07\n", Colours::Removed),
            "a\tb\n\\u{1b}]52;c;eA==\\u{7}\n"
        );
    }
}
