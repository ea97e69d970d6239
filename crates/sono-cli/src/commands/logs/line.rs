//! Log lines. Pure.

use jiff::Timestamp;

use super::sources::Source;
use crate::output::visible;

/// Log line with its time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// `None` if the line does not begin with a time.
    pub(super) time: Option<Timestamp>,
    pub(super) text: &'a [u8],
}

/// Splits a line into its time and text.
pub(super) fn split(line: &[u8]) -> Line<'_> {
    let end = line.iter().position(|byte| *byte == b' ');
    let time = end
        .and_then(|end| str::from_utf8(&line[..end]).ok())
        .and_then(|time| time.parse().ok());
    match (time, end) {
        (Some(time), Some(end)) => Line {
            time: Some(time),
            text: &line[end + 1..],
        },
        _ => Line { time: None, text: line },
    }
}

/// Line with its container as prefix and a line end.
pub(super) fn with_prefix(source: &Source, text: &[u8]) -> Vec<u8> {
    let mut line = format!("{}: ", visible(&source.to_string())).into_bytes();
    line.extend_from_slice(text);
    if line.last() != Some(&b'\n') {
        line.push(b'\n');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_split_off() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let check = |line: &str, expected: Option<&str>, text: &str| {
            let expected = Line {
                time: expected.map(time),
                text: text.as_bytes(),
            };
            assert_eq!(split(line.as_bytes()), expected, "{line:?}");
        };
        let at = "2026-01-01T00:00:01.123456789Z";
        check(&format!("{at} a b\n"), Some(at), "a b\n");
        check(&format!("{at} \n"), Some(at), "\n");
        check("no time at all\n", None, "no time at all\n");
        check("\n", None, "\n");
        check("2026-01-01T00:00:01+02:00 x", Some("2025-12-31T22:00:01Z"), "x");
    }
}
