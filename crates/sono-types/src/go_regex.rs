//! Translates Go regular expressions (RE2), as used for Kubernetes tests and names, for the crate `regex`.

use std::fmt::Write as _;

/// Translates a Go regular expression for the crate `regex`. Valid expressions stay valid; invalid ones may become valid.
///
/// The syntaxes differ in `\Q…\E`, in brackets and doubled characters inside classes, in braces that are not repetitions, in
/// octal escapes, and in `\<` and `\>`, which are literal characters in Go.
pub fn translate(go: &str) -> String {
    let mut out = String::new();
    let mut rest = go;
    let mut class = false;
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        if let (Some(quoted), false) = (rest.strip_prefix("\\Q"), class) {
            let (text, after) = quoted.split_once("\\E").unwrap_or((quoted, ""));
            out.extend(text.chars().flat_map(escaped));
            rest = after;
            continue;
        }
        if first == '\\' {
            rest = escape_sequence(after, &mut out);
            continue;
        }
        match first {
            '[' if class && !after.starts_with(':') => out.push_str("\\["),
            '[' if class => {
                // `[:alpha:]` is copied unchanged.
                let end = after.find(":]").map_or(after.len(), |end| end + 2);
                out.push('[');
                out.push_str(&after[..end]);
                rest = &after[end..];
                continue;
            }
            '[' => {
                class = true;
                out.push('[');
                rest = start_of_class(after, &mut out);
                continue;
            }
            ']' if class => {
                class = false;
                out.push(']');
            }
            '&' | '~' if class => {
                out.push('\\');
                out.push(first);
            }
            '-' if class && after.starts_with('-') => {
                // A range that ends in `-`; `--` is a set operator in the crate `regex`.
                out.push_str("-\\-");
                rest = &after[1..];
                continue;
            }
            '{' if !class && !is_repetition(after) => out.push_str("\\{"),
            _ => out.push(first),
        }
        rest = after;
    }
    out
}

/// The character, escaped if it is special.
fn escaped(character: char) -> impl Iterator<Item = char> {
    let special = character.is_ascii_punctuation() && !matches!(character, '<' | '>');
    special.then_some('\\').into_iter().chain([character])
}

/// Translates the escape sequence after a backslash; returns the rest of the text.
fn escape_sequence<'a>(after: &'a str, out: &mut String) -> &'a str {
    let Some(character) = after.chars().next() else {
        out.push('\\');
        return after;
    };
    let digits = after
        .bytes()
        .take(3)
        .take_while(|byte| matches!(byte, b'0'..=b'7'))
        .count();
    if digits > 1 || (digits == 1 && character == '0') {
        let value = u32::from_str_radix(&after[..digits], 8).unwrap_or_default();
        write!(out, "\\x{{{value:x}}}").expect("writing to a string cannot fail");
        return &after[digits..];
    }
    if !matches!(character, '<' | '>') {
        out.push('\\');
    }
    out.push(character);
    &after[character.len_utf8()..]
}

/// Translates the start of a class, where `]` and `-` are literal; returns the rest of the text.
fn start_of_class<'a>(content: &'a str, out: &mut String) -> &'a str {
    let mut content = content;
    if let Some(negated) = content.strip_prefix('^') {
        out.push('^');
        content = negated;
    }
    for (character, escaped) in [(']', "\\]"), ('-', "\\-")] {
        if let Some(rest) = content.strip_prefix(character) {
            out.push_str(escaped);
            return rest;
        }
    }
    content
}

/// Whether the text after `{` is a repetition: `2}`, `2,}`, `2,3}`.
fn is_repetition(after: &str) -> bool {
    let Some((inside, _)) = after.split_once('}') else {
        return false;
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match inside.split_once(',') {
        None => digits(inside),
        Some((min, max)) => digits(min) && (max.is_empty() || digits(max)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differing_syntax_is_translated() {
        for (go, ours) in [
            (r"^\Q[sig-node]\E a", r"^\[sig\-node\] a"),
            (r"\Qa.b", r"a\.b"),
            ("[[]sig-node[]]", r"[\[]sig-node[\]]"),
            ("[^]a]", r"[^\]a]"),
            ("[[:alpha:]x]", "[[:alpha:]x]"),
            ("[a&&b~~c]", r"[a\&\&b\~\~c]"),
            ("[+--]", r"[+-\-]"),
            ("[--/]", r"[\--/]"),
            ("a{b", r"a\{b"),
            ("a{,3}", r"a\{,3}"),
            ("a{2}b{2,}c{2,3}", "a{2}b{2,}c{2,3}"),
            (r"\101\0\<\>\.", r"\x{41}\x{0}<>\."),
            (r"a|(b)*\w\\", r"a|(b)*\w\\"),
            ("\\", "\\"),
        ] {
            assert_eq!(translate(go), ours, "{go}");
        }
    }
}
