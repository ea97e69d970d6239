//! Archives and files through the public interface.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod hostile;
mod pack;
mod policy;
mod read;
mod store;
mod tools;
mod vectors;
