//! Simulated workers over real mutual TLS against the real aggregator program, with a fake API server: what is lost when
//! it is killed, cut off, lied to and flooded (`sim`), who can stop the results of others (`attack`), and how much it takes in how
//! quickly (`bench`).
//!
//! [`schedule`] decides everything from a seed; the rest does it and looks at what came of it. It knows the aggregator as
//! a program, by its protocol and its archive.

mod aggregator;
mod attack;
mod bench;
mod check;
mod content;
mod disk;
mod hostile;
mod intruder;
mod keeper;
mod machine;
mod program;
mod random;
pub mod schedule;
mod simulate;
mod status;
mod worker;
mod world;

pub use disk::can_lose_power;
pub use machine::can_set_clocks;
pub use program::program;
pub use simulate::{Options, Outcome, simulate};
