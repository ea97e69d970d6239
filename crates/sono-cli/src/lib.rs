//! The command line: arguments are parsed ([`args`]), resolved (`settings`) and executed (`commands`). Only `output`
//! prints.
//!
//! This crate knows users and terminals. Runs, results and clusters are defined in the crates below.

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
mod kubernetes_version;
mod log;
mod manifest;
mod output;
mod plugin_pod;
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
