//! The only module that prints: data to stdout, progress to stderr.

use std::{
    fmt::Display,
    io::{Write, stderr, stdout},
};

/// Prints a line to stdout. Ignores write errors: a closed pipe (`| head`) does not fail the task.
pub fn data(text: impl Display) {
    writeln!(stdout().lock(), "{text}").ok();
}

/// Prints a line to stderr.
pub fn progress(text: impl Display) {
    writeln!(stderr().lock(), "{text}").ok();
}
