//! Whether what is printed is what a page says.

/// Stands for anything within a line, or alone in it for any lines.
const ANY: char = '…';

/// Where `printed` leaves `expected`: the first line that nothing fits, both sides of it.
pub(super) fn difference(expected: &str, printed: &str) -> Option<(String, String)> {
    let expected: Vec<&str> = expected.lines().collect();
    let printed: Vec<&str> = printed.lines().collect();
    let mut furthest = (0, 0);
    if fits(&expected, &printed, (0, 0), &mut furthest) {
        return None;
    }
    let line = |lines: &[&str], at: usize| lines.get(at).map_or("(the end)", |line| line).to_owned();
    Some((line(&expected, furthest.0), line(&printed, furthest.1)))
}

/// `at` are the lines that are compared next, `furthest` those that no way of reading came beyond.
fn fits(expected: &[&str], printed: &[&str], at: (usize, usize), furthest: &mut (usize, usize)) -> bool {
    if at.0 > furthest.0 {
        *furthest = at;
    }
    let Some(line) = expected.get(at.0) else {
        return at.1 == printed.len();
    };
    if line.trim() == ANY.to_string() {
        return (at.1..=printed.len()).any(|next| fits(expected, printed, (at.0 + 1, next), furthest));
    }
    printed.get(at.1).is_some_and(|found| line_fits(line, found))
        && fits(expected, printed, (at.0 + 1, at.1 + 1), furthest)
}

fn line_fits(expected: &str, printed: &str) -> bool {
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
    fn an_ellipsis_stands_for_anything() {
        for (expected, printed, fit) in [
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
            assert_eq!(difference(expected, printed).is_none(), fit, "{expected:?} {printed:?}");
        }
    }

    #[test]
    fn the_line_that_differs_is_named() {
        let of = |expected: &str, printed: &str| difference(expected, printed).unwrap();
        assert_eq!(of("a\nb\nc\n", "a\nx\nc\n"), ("b".to_owned(), "x".to_owned()));
        assert_eq!(of("a\nb\n", "a\n"), ("b".to_owned(), "(the end)".to_owned()));
        assert_eq!(of("a\n", "a\nb\n"), ("(the end)".to_owned(), "b".to_owned()));
    }
}
