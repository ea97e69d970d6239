//! Fuzz targets for everything that reads bytes from outside, and a seeded mutator that drives them without a nightly
//! compiler: `cargo xtask fuzz`.
//!
//! A [`Target`] is a plain function of bytes that panics when something is wrong, so that libFuzzer can call it as well.
//! The mutator knows nothing of coverage; its sequence of inputs depends on the seed alone.

mod keep;
mod mutate;
mod random;
mod session;
mod targets;

pub use keep::{Ended, Keeper, supervise};
pub use random::Random;
pub use session::{Failure, Report, fuzz, run_input};
pub use targets::{TARGETS, Target};
