//! A violation of a rule and its location.

use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Violation {
    /// Relative to the repository, with `/` on every system.
    pub(super) path: String,
    /// Line number, counted from 1.
    pub(super) line: Option<usize>,
    pub(super) message: String,
}

impl Violation {
    pub(super) fn at(path: impl Into<String>, line: impl Into<Option<usize>>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            line: line.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, message } = self;
        match line {
            Some(line) => write!(formatter, "{path}:{line}: {message}"),
            None => write!(formatter, "{path}: {message}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn violation_is_printed_in_format_of_editors() {
        assert_eq!(Violation::at("a/b.rs", 3, "no").to_string(), "a/b.rs:3: no");
        assert_eq!(Violation::at("a/b.rs", None, "no").to_string(), "a/b.rs: no");
    }
}
