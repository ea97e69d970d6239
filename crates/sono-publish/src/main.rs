//! Implements `cargo xtask images --index` and `--push`: publishes a release's images for all architectures.
//!
//! Knows which programs must start in which image; does not know how images are built.

mod index;
mod push;
mod say;
mod start;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Folder of the combined images, next to the archives.
const INDEX: &str = "index";

#[derive(Parser)]
#[command(name = "sono-publish", about = "Images of a release, for `cargo xtask images`")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Combine the archives of all architectures
    Index(index::Arguments),
    /// Push the combined images to a registry
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
