//! Complete trees and reports through the public interface, with small file trees and Sonobuoy's test vectors.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod corpus;
mod files;
mod health;
mod limits;
mod process;
mod robust;
mod vectors;
