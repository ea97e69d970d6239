//! Compares the output of commands with a page.

/// Matches any text within a line, or any lines if it is alone in a line.
const ANY: char = '…';

/// The first difference: the expected and the printed line.
pub(super) fn difference(expected: &str, printed: &str) -> Option<(String, String)> {
    let expected: Vec<&str> = expected.lines().collect();
    let printed: Vec<&str> = printed.lines().collect();
    let mut longest = (0, 0);
    if lines_match(&expected, &printed, (0, 0), &mut longest) {
        return None;
    }
    let line = |lines: &[&str], at: usize| lines.get(at).map_or("(the end)", |line| line).to_owned();
    Some((line(&expected, longest.0), line(&printed, longest.1)))
}

/// Whether the lines match from `at` on. `longest` is the end of the longest match so far.
fn lines_match(expected: &[&str], printed: &[&str], at: (usize, usize), longest: &mut (usize, usize)) -> bool {
    if at.0 > longest.0 {
        *longest = at;
    }
    let Some(line) = expected.get(at.0) else {
        return at.1 == printed.len();
    };
    if line.trim() == ANY.to_string() {
        return (at.1..=printed.len()).any(|next| lines_match(expected, printed, (at.0 + 1, next), longest));
    }
    printed.get(at.1).is_some_and(|found| line_matches(line, found))
        && lines_match(expected, printed, (at.0 + 1, at.1 + 1), longest)
}

fn line_matches(expected: &str, printed: &str) -> bool {
    let mut parts = expected.trim_end().split(ANY);
    let Some(mut rest) = parts.next().and_then(|first| printed.trim_end().strip_prefix(first)) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ellipsis_matches_any_text() {
        for (expected, printed, matches) in [
            ("a\nb\n", "a\nb\n", true),
            ("a\nb\n", "a\n", false),
            ("a\n", "a\nb\n", false),
            ("", "", true),
            ("", "a\n", false),
            ("a … b\n", "a 1 b\n", true),
            ("a … b\n", "a b\n", false),
            ("a…\n", "a\n", true),
            ("…a…b…\n", "1a2b3\n", true),
            ("…a…b…\n", "1b2a3\n", false),
            ("…b\n", "aab\n", true),
            ("a\n…\nz\n", "a\nb\nc\nz\n", true),
            ("a\n…\nz\n", "a\nz\n", true),
            ("a\n…\nz\n", "a\nb\n", false),
            ("…\nb\n…\n", "a\nb\nc\nb\n", true),
            ("a   \n", "a\n", true),
        ] {
            assert_eq!(
                difference(expected, printed).is_none(),
                matches,
                "{expected:?} {printed:?}"
            );
        }
    }

    #[test]
    fn difference_is_first_line_that_differs() {
        let of = |expected: &str, printed: &str| difference(expected, printed).unwrap();
        assert_eq!(of("a\nb\nc\n", "a\nx\nc\n"), ("b".to_owned(), "x".to_owned()));
        assert_eq!(of("a\nb\n", "a\n"), ("b".to_owned(), "(the end)".to_owned()));
        assert_eq!(of("a\n", "a\nb\n"), ("(the end)".to_owned(), "b".to_owned()));
    }
}
