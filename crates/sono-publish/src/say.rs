//! The only module that prints. Data goes to stdout, everything said about the work to stderr.

use std::{
    fmt::Display,
    io::{Write, stderr, stdout},
};

/// A reader that went away is no failure of the task, so a failed write is dropped.
pub(crate) fn data(text: impl Display) {
    writeln!(stdout().lock(), "{text}").ok();
}

pub(crate) fn progress(text: impl Display) {
    writeln!(stderr().lock(), "{text}").ok();
}
