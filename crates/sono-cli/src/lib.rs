//! The command line: arguments are read ([`args`]), resolved (`settings`), and done (`commands`); `output` is the only
//! place that prints.
//!
//! It knows people and terminals. What a run, a result or a cluster is stands in the crates below.

mod aggregator;
pub mod args;
mod changes;
mod clock;
mod commands;
mod completion;
mod error;
mod go_regex;
mod identity;
mod judgement;
mod log;
mod manifest;
mod output;
mod plugins;
mod program;
mod registries;
mod settings;
mod signals;
mod text_file;
mod trees;
mod usage;
mod view;

pub use program::main;
