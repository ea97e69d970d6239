//! Lines of logs of the Kubernetes suite, and texts cut at characters.

/// The first bytes of a text, at most `max`.
pub(crate) fn head(text: &str, max: usize) -> &str {
    text.get(..text.floor_char_boundary(max)).unwrap_or_default()
}

/// The last bytes of a text, at most `max`.
pub(crate) fn tail(text: &str, max: usize) -> &str {
    let start = text.len().saturating_sub(max);
    text.get(text.ceil_char_boundary(start)..).unwrap_or_default()
}

/// Part of a text with the number of its first line, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) first_line: usize,
    pub(crate) text: String,
}

/// The whole text, or its start and its end if it is longer than twice `end` bytes.
pub(crate) fn pieces(text: &str, end: usize) -> Vec<Piece> {
    if text.len() <= 2 * end {
        return vec![Piece {
            first_line: 1,
            text: text.to_owned(),
        }];
    }
    let (start, last) = (head(text, end), tail(text, end));
    let before = text.len() - last.len();
    let skipped = text.get(..before).unwrap_or_default();
    vec![
        Piece {
            first_line: 1,
            text: start.to_owned(),
        },
        Piece {
            first_line: 1 + skipped.matches('\n').count(),
            text: last.to_owned(),
        },
    ]
}

/// The line without the header of klog (`I1122 19:35:45.5 24 dump.go:53] `) or of older suites (`Aug 17 17:08:48.0: INFO: `).
pub(crate) fn content(line: &str) -> &str {
    if is_klog(line) {
        return line.split_once("] ").map_or("", |(_, content)| content);
    }
    if is_dated(line)
        && let Some((_, content)) = line.split_once(": INFO: ")
    {
        return content;
    }
    line
}

/// Whether a line begins a record, so that it does not continue the previous one.
pub(crate) fn begins_record(line: &str) -> bool {
    is_klog(line)
        || is_dated(line)
        || (line.starts_with("At ") && line.contains(" - event for "))
        || [
            "STEP:",
            "END STEP:",
            "> Enter",
            "< Exit",
            "[FAILED]",
            "[AfterEach]",
            "[BeforeEach]",
            "[It]",
        ]
        .iter()
        .any(|start| line.starts_with(start))
}

fn is_klog(line: &str) -> bool {
    let bytes = line.as_bytes();
    matches!(bytes.first(), Some(b'I' | b'W' | b'E' | b'F'))
        && bytes
            .get(1..5)
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_digit))
        && bytes.get(5) == Some(&b' ')
}

/// `Aug 17 17:08:48.021: `
fn is_dated(line: &str) -> bool {
    let bytes = line.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_uppercase) && bytes.get(3) == Some(&b' ') && bytes.get(9) == Some(&b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_removed() {
        for (line, expected) in [
            ("I1122 19:35:45.571244      24 resource.go:151] POD  NODE", "POD  NODE"),
            ("I1122 19:35:45.571244      24 resource.go:161] ", ""),
            ("Aug 17 17:08:48.021: INFO: POD  NODE", "POD  NODE"),
            ("nc: invalid option -- 'v'", "nc: invalid option -- 'v'"),
            ("É", "É"),
            ("", ""),
        ] {
            assert_eq!(content(line), expected, "{line}");
        }
    }

    #[test]
    fn long_text_has_a_start_and_an_end_with_line_numbers() {
        let lines: Vec<String> = (1..=100).map(|number| format!("line {number}\n")).collect();
        let text = lines.concat();
        let found = pieces(&text, 30);
        assert_eq!(
            found,
            [
                Piece {
                    first_line: 1,
                    text: text[..30].to_owned()
                },
                Piece {
                    first_line: 97,
                    text: text[text.len() - 30..].to_owned()
                },
            ]
        );
        assert!(found[1].text.starts_with("e 97\nline 98"), "{found:?}");
        assert_eq!(
            pieces("é", 1),
            [Piece {
                first_line: 1,
                text: "é".to_owned()
            }]
        );
        assert_eq!((head("aé", 2), tail("éa", 2)), ("a", "a"));
    }
}
