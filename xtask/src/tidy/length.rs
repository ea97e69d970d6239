//! Limits the length of source files.

use super::violation::Violation;

const MAX_LINES: usize = 900;

pub(super) fn check(path: &str, text: &str) -> Option<Violation> {
    let lines = text.lines().count();
    (lines > MAX_LINES).then(|| {
        Violation::at(
            path,
            None,
            format!("has {lines} lines, more than {MAX_LINES}: split it"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_above_limit_is_reported() {
        assert_eq!(check("a.rs", &"\n".repeat(MAX_LINES)), None);
        assert_eq!(
            check("a.rs", &"\n".repeat(MAX_LINES + 1)),
            Some(Violation::at("a.rs", None, "has 901 lines, more than 900: split it"))
        );
    }
}
