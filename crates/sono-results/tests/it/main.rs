//! Whole trees and reports through the public interface, on small trees of files and on Sonobuoy's own test vectors.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail by panicking, and say when they are skipped"
)]

mod corpus;
mod files;
mod health;
mod limits;
mod process;
mod robust;
mod vectors;
