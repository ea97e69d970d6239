//! A file that is read in one sitting.

use super::violation::Violation;
use crate::rust_source::is_test_file;

/// Of product files.
const MAX_LINES: usize = 500;
/// Of files with tests: cases are read one at a time.
const MAX_TEST_LINES: usize = 900;

pub(super) fn check(path: &str, text: &str) -> Option<Violation> {
    let most = if is_test_file(path) { MAX_TEST_LINES } else { MAX_LINES };
    let lines = text.lines().count();
    (lines > most).then(|| Violation::at(path, None, format!("has {lines} lines, more than {most}: split it")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_itself_is_fine() {
        for (path, most) in [
            ("a/src/a.rs", MAX_LINES),
            ("a/src/a/tests.rs", MAX_TEST_LINES),
            ("a/tests/it/a.rs", MAX_TEST_LINES),
        ] {
            assert_eq!(check(path, &"\n".repeat(most)), None);
            let message = format!("has {} lines, more than {most}: split it", most + 1);
            assert_eq!(
                check(path, &"\n".repeat(most + 1)),
                Some(Violation::at(path, None, message))
            );
        }
    }
}
