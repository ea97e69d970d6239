//! Regular expressions from users, in Go's syntax.

use regex::Regex;
use sono_types::go_regex::translate;

use crate::error::CliError;

/// Compiles the regular expression of the flag `what`.
pub(crate) fn compile(what: &str, go: &str) -> Result<Regex, CliError> {
    read(go).map_err(|reason| {
        CliError::new(format!("{what} is not a valid regular expression"))
            .details([format!("{go}: {reason}")])
            .hint("put literal text between \\Q and \\E")
    })
}

/// Compiles an expression. The error has one line.
pub(crate) fn read(go: &str) -> Result<Regex, String> {
    Regex::new(&translate(go)).map_err(|error| {
        // The parser's message has several lines; the last one is the reason.
        let text = error.to_string();
        let last = text.lines().last().unwrap_or(&text).trim();
        last.strip_prefix("error: ").unwrap_or(last).to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_syntax_has_the_same_meaning() {
        for (expression, fits, does_not) in [
            (r"^\Q[sig-node]\E", "[sig-node] a", "s"),
            ("[[]sig-node[]]", "[sig-node]", "sig-node"),
            ("^a{b$", "a{b", "a"),
            ("^a{,3}$", "a{,3}", "aaa"),
            ("^[a&&b]$", "&", "c"),
            ("^[a~~b]$", "~", "c"),
            ("^[+--]$", ",", "."),
            (r"^\<a\>$", "<a>", "a"),
        ] {
            let compiled = read(expression).unwrap();
            assert!(compiled.is_match(fits), "{expression} {fits}");
            assert!(!compiled.is_match(does_not), "{expression} {does_not}");
        }
        // Valid in RE2, invalid in Go.
        assert!(read(r"\C").is_err());
        assert_eq!(read("(").unwrap_err(), "unclosed group");
    }
}
