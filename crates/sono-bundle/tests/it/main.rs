//! Archives and files through the public interface.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail by panicking, and say when they are skipped"
)]

mod hostile;
mod pack;
mod policy;
mod read;
mod store;
mod tools;
mod vectors;
