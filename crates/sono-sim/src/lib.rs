//! Simulated workers over real mutual TLS against the real aggregator program, with a fake API server. `sim` looks for
//! lost results under kills, faults and hostile input, `attack` for attackers that disturb other plugins; `bench` measures
//! throughput and memory.
//!
//! [`schedule`] derives all events from a seed; the other modules carry them out and check the outcome. The crate knows
//! the aggregator only as a program with a protocol and an archive.

mod aggregator;
mod attack;
mod bench;
mod check;
mod content;
mod disk;
mod hostile;
mod intruder;
mod machine;
mod program;
mod random;
pub mod schedule;
mod simulate;
mod status;
mod supervisor;
mod worker;
mod world;

pub use program::program;
pub use simulate::{Options, Outcome, simulate};
