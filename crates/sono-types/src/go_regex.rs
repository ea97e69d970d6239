//! Regular expressions as Go reads them (RE2), for the crate `regex`: people write them for Kubernetes' tests and for names.

use std::fmt::Write as _;

/// The same expression in the other language. What is none in Go may be one afterwards, but not the other way round.
///
/// They differ in `\Q…\E`, in brackets and doubled signs inside of classes, in braces that count nothing, in octal numbers,
/// and in `\<` and `\>`, which are plain signs in Go.
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
                // `[:alpha:]` goes through as a whole.
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
                // A range up to the second one; two of them would take away what follows.
                out.push_str("-\\-");
                rest = &after[1..];
                continue;
            }
            '{' if !class && !counts(after) => out.push_str("\\{"),
            _ => out.push(first),
        }
        rest = after;
    }
    out
}

/// What stands for the sign itself.
fn escaped(sign: char) -> impl Iterator<Item = char> {
    let special = sign.is_ascii_punctuation() && !matches!(sign, '<' | '>');
    special.then_some('\\').into_iter().chain([sign])
}

/// What follows a backslash; returns the rest.
fn escape_sequence<'a>(after: &'a str, out: &mut String) -> &'a str {
    let Some(sign) = after.chars().next() else {
        out.push('\\');
        return after;
    };
    let digits = after
        .bytes()
        .take(3)
        .take_while(|byte| matches!(byte, b'0'..=b'7'))
        .count();
    if digits > 1 || (digits == 1 && sign == '0') {
        let value = u32::from_str_radix(&after[..digits], 8).unwrap_or_default();
        write!(out, "\\x{{{value:x}}}").expect("writing to a string cannot fail");
        return &after[digits..];
    }
    if !matches!(sign, '<' | '>') {
        out.push('\\');
    }
    out.push(sign);
    &after[sign.len_utf8()..]
}

/// Signs that come first in a class stand for themselves; returns the rest.
fn start_of_class<'a>(content: &'a str, out: &mut String) -> &'a str {
    let mut content = content;
    if let Some(negated) = content.strip_prefix('^') {
        out.push('^');
        content = negated;
    }
    for (sign, itself) in [(']', "\\]"), ('-', "\\-")] {
        if let Some(more) = content.strip_prefix(sign) {
            out.push_str(itself);
            return more;
        }
    }
    content
}

/// `2}`, `2,}`, `2,3}`.
fn counts(after: &str) -> bool {
    let Some((inside, _)) = after.split_once('}') else {
        return false;
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match inside.split_once(',') {
        None => digits(inside),
        Some((least, most)) => digits(least) && (most.is_empty() || digits(most)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_written_otherwise() {
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
