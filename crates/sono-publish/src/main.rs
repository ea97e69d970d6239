//! What `cargo xtask images --index` and `--push` do: the images of a release, for all architectures, into a registry.
//!
//! Knows which programs must start in which image, and nothing of how images are built.

mod index;
mod push;
mod say;
mod start;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The folder, beside the archives, of the images that were put together.
const INDEX: &str = "index";

#[derive(Parser)]
#[command(name = "sono-publish", about = "Images of a release, for `cargo xtask images`")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Put the archives of all architectures together
    Index(index::Arguments),
    /// Write what was put together to a registry
    Push(push::Arguments),
}

fn run(task: Task) -> anyhow::Result<()> {
    match task {
        Task::Index(arguments) => index::run(&arguments),
        Task::Push(arguments) => push::run(&arguments),
    }
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::progress(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
