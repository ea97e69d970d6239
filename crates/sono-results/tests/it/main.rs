//! Complete trees and reports through the public interface, with small file trees and Sonobuoy's test vectors.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail by panicking, and print when they are skipped"
)]

mod corpus;
mod files;
mod health;
mod limits;
mod process;
mod robust;
mod vectors;
