//! Regular expressions with Go's meaning (RE2) for Kubernetes names: not anchored, with ASCII classes.

use regex::bytes::{Regex, RegexBuilder};
use sono_types::go_regex;

/// Why a text is not a regular expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotAnExpression(String);

/// The compiled expression.
pub(super) fn compile(go: &str) -> Result<Regex, NotAnExpression> {
    RegexBuilder::new(&go_regex::translate(go))
        .unicode(false)
        .build()
        .map_err(|error| NotAnExpression(one_line(&error.to_string())))
}

/// The parser's message has several lines; the last one is the error.
fn one_line(text: &str) -> String {
    let last = text.lines().last().unwrap_or(text).trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_have_the_meaning_of_go() {
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
    fn invalid_expression_is_a_one_line_error() {
        assert_eq!(compile("a(").unwrap_err().to_string(), "unclosed group");
        assert_eq!(compile("[").unwrap_err().to_string(), "unclosed character class");
        assert_eq!(
            compile("*").unwrap_err().to_string(),
            "repetition operator missing expression"
        );
        for odd in ["\\", "[\\", "(?", "{", "[^", "[:", "\\Q"] {
            assert!(
                compile(odd).is_ok() || compile(odd).is_err_and(|error| !error.0.contains('\n')),
                "{odd}"
            );
        }
    }
}
