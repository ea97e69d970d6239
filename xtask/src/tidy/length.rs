//! A file that is read in one sitting.

use super::violation::Violation;

const MOST_LINES: usize = 900;

pub(super) fn check(path: &str, text: &str) -> Option<Violation> {
    let lines = text.lines().count();
    (lines > MOST_LINES).then(|| {
        Violation::at(
            path,
            None,
            format!("has {lines} lines, more than {MOST_LINES}: split it"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_itself_is_fine() {
        assert_eq!(check("a.rs", &"\n".repeat(MOST_LINES)), None);
        assert_eq!(
            check("a.rs", &"\n".repeat(MOST_LINES + 1)),
            Some(Violation::at("a.rs", None, "has 901 lines, more than 900: split it"))
        );
    }
}
