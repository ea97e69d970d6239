//! A file that is read in one sitting.

use super::violation::Violation;
use crate::rust_source::is_test_file;

/// Of product files.
const MAX_LINES: usize = 500;
/// Of files with tests: cases are read one at a time.
const MAX_TEST_LINES: usize = 900;

/// Longer files of today, each with the reason why it stays for now. At most a few.
const EXCEPTIONS: &[(&str, &str)] = &[(
    "crates/sono-cli/src/changes.rs",
    "a table of flags and what each changes; to be split together with `settings`",
)];

pub(super) fn check(path: &str, text: &str) -> Option<Violation> {
    let most = if is_test_file(path) { MAX_TEST_LINES } else { MAX_LINES };
    let lines = text.lines().count();
    let excepted = EXCEPTIONS.iter().any(|(excepted, _)| *excepted == path);
    match (lines > most, excepted) {
        (true, false) => {
            let message = format!("has {lines} lines, more than {most}: split it");
            Some(Violation::at(path, None, message))
        }
        (false, true) => {
            let message = "is not longer than other files: take it out of the exceptions in xtask/src/tidy/length.rs";
            Some(Violation::at(path, None, message))
        }
        _ => None,
    }
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

    #[test]
    fn exception_that_is_not_needed_is_a_violation() {
        let (path, _) = EXCEPTIONS[0];
        assert_eq!(check(path, &"\n".repeat(MAX_LINES + 1)), None);
        assert!(check(path, "").is_some());
    }
}
