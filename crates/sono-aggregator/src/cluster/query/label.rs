//! Validation of label selectors: the server would refuse an invalid one once per list.

/// Why a text is not a label selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotASelector(String);

fn invalid<T>(reason: &str) -> Result<T, NotASelector> {
    Err(NotASelector(reason.to_owned()))
}

/// Checks a selector; an empty one selects everything.
pub(super) fn check(selector: &str) -> Result<(), NotASelector> {
    let mut rest = selector.trim();
    while !rest.is_empty() {
        let end = term_end(rest)?;
        let (term, after) = rest.split_at(end);
        check_term(term.trim()).map_err(|reason| NotASelector(format!("`{}`: {reason}", term.trim())))?;
        rest = match after.strip_prefix(',') {
            Some(next) if next.trim().is_empty() => return invalid("the selector ends with a comma"),
            Some(next) => next,
            None => after,
        };
    }
    Ok(())
}

/// The end of the first requirement: a comma outside of parentheses.
fn term_end(text: &str) -> Result<usize, NotASelector> {
    let mut inside = false;
    for (index, character) in text.char_indices() {
        match character {
            '(' if inside => return invalid("nested parentheses"),
            '(' => inside = true,
            ')' if !inside => return invalid("a closing parenthesis without an opening one"),
            ')' => inside = false,
            ',' if !inside => return Ok(index),
            _ => {}
        }
    }
    if inside {
        return invalid("a parenthesis that is not closed");
    }
    Ok(text.len())
}

fn check_term(term: &str) -> Result<(), NotASelector> {
    if let Some(key) = term.strip_prefix('!') {
        return check_key(key.trim());
    }
    if let Some((head, values)) = term.strip_suffix(')').and_then(|term| term.split_once('(')) {
        let mut words = head.split_whitespace();
        let (key, operator) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if !["in", "notin"].contains(&operator) || words.next().is_some() {
            return invalid("expected `in` or `notin` before the parenthesis");
        }
        check_key(key)?;
        return values.split(',').try_for_each(|value| check_value(value.trim()));
    }
    for operator in ["!=", "==", "=", ">", "<"] {
        if let Some((key, value)) = term.split_once(operator) {
            check_key(key.trim())?;
            let value = value.trim();
            return match operator {
                ">" | "<" if value.parse::<i64>().is_err() => {
                    Err(NotASelector(format!("`{value}` is not a whole number")))
                }
                _ => check_value(value),
            };
        }
    }
    check_key(term)
}

fn check_key(key: &str) -> Result<(), NotASelector> {
    let (prefix, name) = key
        .split_once('/')
        .map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let prefix_fits = prefix.is_none_or(|prefix| {
        (1..=253).contains(&prefix.len())
            && prefix
                .split('.')
                .all(|part| is_word(part, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit(), b"-"))
    });
    if prefix_fits && is_label_word(name) {
        Ok(())
    } else {
        Err(NotASelector(format!("`{key}` is not a label key")))
    }
}

fn check_value(value: &str) -> Result<(), NotASelector> {
    if value.is_empty() || is_label_word(value) {
        Ok(())
    } else {
        Err(NotASelector(format!("`{value}` is not a label value")))
    }
}

fn is_label_word(text: &str) -> bool {
    text.len() <= 63 && is_word(text, u8::is_ascii_alphanumeric, b"-_.")
}

fn is_word(text: &str, outer: fn(&u8) -> bool, inner: &[u8]) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(outer)
        && bytes.last().is_some_and(outer)
        && bytes.iter().all(|byte| outer(byte) || inner.contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors() {
        let good = [
            "",
            "a",
            "!a",
            "a=b",
            "a==b",
            "a!=b",
            "a=",
            "a in (b, c)",
            "a notin (b)",
            "x.y/a=b,c",
            "a>1,b<2",
            " a = b , c ",
            "a in (b,c),!d",
        ];
        for selector in good {
            assert_eq!(check(selector), Ok(()), "{selector}");
        }
        for (selector, reason) in [
            ("a=b,", "the selector ends with a comma"),
            ("a in (b", "a parenthesis that is not closed"),
            ("a)", "a closing parenthesis without an opening one"),
            (
                "a like (b)",
                "`a like (b)`: expected `in` or `notin` before the parenthesis",
            ),
            ("a b", "`a b`: `a b` is not a label key"),
            ("a=b c", "`a=b c`: `b c` is not a label value"),
            ("-a", "`-a`: `-a` is not a label key"),
            ("X/a", "`X/a`: `X/a` is not a label key"),
            ("a>b", "`a>b`: `b` is not a whole number"),
            (",a", "``: `` is not a label key"),
        ] {
            assert_eq!(check(selector), invalid(reason), "{selector}");
        }
    }
}
