//! The history of runs: the card of each run as a file in a directory, and an index that can be rebuilt.
//!
//! A card is written under a temporary name and renamed, so that a killed process leaves no torn card. Its file name has the order
//! time and the id of the run; nothing else decides about the order. The index (`index.json`) only saves time: a card that it lacks
//! is read. Recorders do not wait for each other: without the lock, the index stays as it is.

mod entry;
mod index;
mod key;
mod reference;
mod retention;
mod store;

pub use entry::{Entry, EntryPlugin};
pub use reference::{ReferenceError, RunKind, RunReference};
pub use retention::Retention;
pub use store::{Added, CardProblem, History, HistoryError, Listing, Recorded, run_id};
