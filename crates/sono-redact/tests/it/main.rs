//! The engine as its callers use it.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking, and print what survives"
)]

mod bad_input;
mod borders;
mod encodings;
mod false_positives;
mod packed;
mod places;
mod planted;
mod speed;
