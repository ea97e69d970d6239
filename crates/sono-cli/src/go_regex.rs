//! Regular expressions of the user's, which are Go's.

use regex::Regex;
use sono_types::go_regex::translate;

use crate::error::CliError;

/// The expression that `what` has as its value.
pub(crate) fn compile(what: &str, go: &str) -> Result<Regex, CliError> {
    read(go).map_err(|reason| {
        CliError::new(format!("{what} is no regular expression"))
            .details([format!("{go}: {reason}")])
            .hint("a text that is meant as it stands goes between \\Q and \\E")
    })
}

/// The expression, or why it is none, in one line.
pub(crate) fn read(go: &str) -> Result<Regex, String> {
    Regex::new(&translate(go)).map_err(|error| {
        // The parser draws a picture of several lines; the last one says what is wrong.
        let text = error.to_string();
        let last = text.lines().last().unwrap_or(&text).trim();
        last.strip_prefix("error: ").unwrap_or(last).to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_takes_is_taken_and_means_the_same() {
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
        // RE2 has it, Go's package refuses it.
        assert!(read(r"\C").is_err());
        assert_eq!(read("(").unwrap_err(), "unclosed group");
    }
}
