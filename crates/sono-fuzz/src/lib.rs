//! Fuzz targets for everything that reads bytes from outside, and a seeded mutator that drives them without a nightly
//! compiler: `cargo xtask fuzz`.
//!
//! A [`Target`] is a plain function of bytes that panics when something is wrong, so that libFuzzer can call it as well.
//! The mutator does not use coverage; its sequence of inputs depends only on the seed.

mod mutate;
mod random;
mod session;
mod supervise;
mod targets;

pub use random::Random;
pub use session::{Failure, Report, fuzz, run_input};
pub use supervise::{Ended, InputRecorder, supervise};
pub use targets::{TARGETS, Target};
