//! Regular expressions as Go reads them (RE2), for names of Kubernetes: not anchored, classes mean ASCII.

use regex::bytes::{Regex, RegexBuilder};

/// The expression, or why it is none.
pub(super) fn compile(go: &str) -> Result<Regex, String> {
    RegexBuilder::new(&translate(go))
        .unicode(false)
        .build()
        .map_err(|error| one_line(&error.to_string()))
}

/// The parser draws a picture of several lines; the last one says what is wrong.
fn one_line(text: &str) -> String {
    let last = text.lines().last().unwrap_or(text).trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

/// Where the two languages differ: `\Q…\E`, brackets and doubled signs inside of classes, braces that count nothing.
fn translate(go: &str) -> String {
    let mut out = String::new();
    let mut rest = go;
    let mut class = false;
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        if let Some(quoted) = rest.strip_prefix("\\Q") {
            let (text, after) = quoted.split_once("\\E").unwrap_or((quoted, ""));
            out.push_str(&regex::escape(text));
            rest = after;
            continue;
        }
        if first == '\\' {
            let escaped = after.chars().next();
            out.push('\\');
            out.extend(escaped);
            rest = &after[escaped.map_or(0, char::len_utf8)..];
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
                let mut content = after;
                if let Some(negated) = content.strip_prefix('^') {
                    out.push('^');
                    content = negated;
                }
                // A bracket that comes first stands for itself.
                if let Some(bracket) = content.strip_prefix(']') {
                    out.push_str("\\]");
                    content = bracket;
                }
                rest = content;
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
            '-' if class && after.starts_with('-') => out.push_str("\\-"),
            '{' if !class && !counts(after) => out.push_str("\\{"),
            _ => out.push(first),
        }
        rest = after;
    }
    out
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
    fn expressions_mean_what_they_mean_in_go() {
        for (expression, fits, does_not) in [
            (".*", "kube-system", ""),
            ("kube", "my-kube-x", "ku"),
            ("^a$", "a", "ba"),
            (r"^\Qa.b\E$", "a.b", "axb"),
            ("^[[]$", "[", "a"),
            ("^[]a]$", "]", "b"),
            ("^[a&&b]$", "&", "c"),
            ("^[[:alpha:]-]+$", "a-b", "1"),
            ("^a{2}b{,2}$", "aab{,2}", "aab"),
            ("^a{x$", "a{x", "a"),
            (r"^\w+$", "a_1", "é"),
            ("(?i)^A", "abc", "b"),
            ("a|b", "b", "c"),
        ] {
            let compiled = compile(expression).unwrap();
            assert!(compiled.is_match(fits.as_bytes()), "{expression} {fits}");
            if !does_not.is_empty() {
                assert!(!compiled.is_match(does_not.as_bytes()), "{expression} {does_not}");
            }
        }
    }

    #[test]
    fn what_is_none_says_so_in_one_line() {
        assert_eq!(compile("a(").unwrap_err(), "unclosed group");
        assert_eq!(compile("[").unwrap_err(), "unclosed character class");
        assert_eq!(compile("*").unwrap_err(), "repetition operator missing expression");
        for odd in ["\\", "[\\", "(?", "{", "[^", "[:", "\\Q"] {
            assert!(
                compile(odd).is_ok() || compile(odd).is_err_and(|error| !error.contains('\n')),
                "{odd}"
            );
        }
    }
}
