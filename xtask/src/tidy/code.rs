//! Removes comments and literals from Rust source, so that only code is searched for names.

/// Replaces comments, strings and characters by spaces; line breaks are unchanged.
pub(super) fn only_code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' => comment(rest),
            '"' => Some(string(rest)),
            '\'' => character(rest),
            'r' | 'b' | 'c' if !is_word(before) => prefixed(rest),
            _ => None,
        };
        let (token, after) = rest.split_at(length.unwrap_or_else(|| first.len_utf8()));
        if length.is_some() {
            code.extend(
                token
                    .chars()
                    .map(|character| if character == '\n' { '\n' } else { ' ' }),
            );
            before = ' ';
        } else {
            code.push_str(token);
            before = first;
        }
        rest = after;
    }
    code
}

pub(super) fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        let bytes = &text.as_bytes()[at..];
        if bytes.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += 1;
        }
    }
    Some(text.len())
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of a character literal, if it is not a lifetime: closed after one character, or escaped.
fn character(text: &str) -> Option<usize> {
    let mut characters = text.char_indices().skip(1);
    let (_, first) = characters.next()?;
    if first == '\\' {
        let (at, _) = characters.skip(1).find(|(_, character)| *character == '\'')?;
        return Some(at + 1);
    }
    let (at, second) = characters.next()?;
    (second == '\'').then_some(at + 1)
}

/// Length of strings and characters with a prefix: `r"…"`, `br#"…"#`, `b"…"`, `c"…"`, `b'…'`.
fn prefixed(text: &str) -> Option<usize> {
    let letters = text.find(|character| !['r', 'b', 'c'].contains(&character))?;
    let (prefix, rest) = text.split_at(letters);
    if prefix.len() > 2 {
        return None;
    }
    if !prefix.ends_with('r') {
        return match rest.chars().next()? {
            '"' => Some(string(rest)),
            '\'' if prefix == "b" => character(rest),
            _ => None,
        }
        .map(|length| letters + length);
    }
    let hashes = rest.find(|character| character != '#')?;
    if !rest[hashes..].starts_with('"') {
        return None;
    }
    let end = format!("\"{}", &rest[..hashes]);
    let inside = hashes + 1;
    let length = rest[inside..]
        .find(&end)
        .map_or(rest.len(), |at| inside + at + end.len());
    Some(letters + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        only_code(text)
            .split(|character| !is_word(character))
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn only_code_removes_comments_and_literals() {
        let cases: [(&str, &[&str]); 11] = [
            ("a // b\nc", &["a", "c"]),
            ("a /* b /* c */ d */ e", &["a", "e"]),
            ("//! a\n/// b\nc", &["c"]),
            (r#"a("b // \" c") d"#, &["a", "d"]),
            (r##"a(r#"b " c"#) d"##, &["a", "d"]),
            (r#"a(r"b\") c"#, &["a", "c"]),
            (r#"a(br"b", b"c", c"d", b'e') f"#, &["a", "f"]),
            (r"a('b', '\'', '\u{1f}', '/') c", &["a", "c"]),
            (
                "a<'b>(c: &'b str, d: &'static str)",
                &["a", "b", "c", "b", "str", "d", "static", "str"],
            ),
            ("bar(r#type, br, car / 2)", &["bar", "r", "type", "br", "car", "2"]),
            ("for\"a\"b", &["for", "b"]),
        ];
        for (text, expected) in cases {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn only_code_retains_line_breaks() {
        let code = only_code("/* a\nb */ c\n\"d\n e\" f // g\nh");
        assert_eq!(code.lines().map(str::trim).collect::<Vec<_>>(), ["", "c", "", "f", "h"]);
    }
}
