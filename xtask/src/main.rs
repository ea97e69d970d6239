//! Build, test and release tasks of this repository. Dispatches to one module per task; uses no product crate. The test cluster
//! and the suite's images are in `crates/sono-testbed`.

mod attack;
mod ci;
mod corpus;
mod deny;
mod dist;
mod docs;
mod e2e;
mod fuzz;
mod r#gen;
mod images;
mod release;
mod rust_source;
mod test;
mod tidy;
mod tool;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sono_testbed::{bench, cluster, say, sim};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Tasks of this repository")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

/// The tasks, with one module per variant.
#[derive(Subcommand)]
enum Task {
    /// Build and run a real Kubernetes on this machine
    Cluster(cluster::Arguments),
    /// Build container images of the product and of the tests without a container engine
    Images(images::Arguments),
    /// Run all tests that need no cluster
    Test(test::Arguments),
    /// Run all checks of a change, except for the tests on a real cluster
    Ci(ci::Arguments),
    /// Check the architecture's invariants
    Tidy,
    /// Write the repository's generated files
    Gen(r#gen::Arguments),
    /// Check the pages: commands, links, index, messages
    Docs(docs::Arguments),
    /// Compare the readers of result files with an independent reader
    Corpus(corpus::Arguments),
    /// Fuzz the code that reads bytes from outside
    Fuzz(fuzz::Arguments),
    /// Run simulations with seeded faults and check that no result is lost
    Sim(sim::Arguments),
    /// Run attacks and check that other plugins lose no result
    Attack(attack::Arguments),
    /// Run benchmarks of the aggregator
    Bench(bench::Arguments),
    /// Run the tests on a real cluster
    E2e(e2e::Arguments),
    /// Build the files of a release: archives, checksums, bills of materials
    Dist(dist::Arguments),
    /// Release a version: checks, version, changelog, tag
    Release(release::Arguments),
    /// Check licences, duplicates and sources of all dependencies
    Deny(deny::Arguments),
}

fn run(task: Task) -> anyhow::Result<ExitCode> {
    match task {
        Task::Cluster(arguments) => cluster::run(arguments),
        Task::Images(arguments) => images::run(&arguments),
        Task::Test(arguments) => test::run(&arguments),
        Task::Ci(arguments) => ci::run(&arguments),
        Task::Tidy => tidy::run(),
        Task::Gen(arguments) => r#gen::run(&arguments),
        Task::Docs(arguments) => docs::run(&arguments),
        Task::Corpus(arguments) => corpus::run(&arguments),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
        Task::Sim(arguments) => sim::run(&arguments),
        Task::Attack(arguments) => attack::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::E2e(arguments) => e2e::run(&arguments),
        Task::Dist(arguments) => dist::run(&arguments),
        Task::Release(arguments) => release::run(&arguments),
        Task::Deny(arguments) => deny::run(&arguments),
    }
}

fn main() -> ExitCode {
    run(Arguments::parse().task).unwrap_or_else(|error| {
        say::progress(format_args!("error: {error:#}"));
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Arguments;

    /// clap only checks a subcommand's arguments when it is used; this checks all subcommands.
    #[test]
    fn arguments_of_all_tasks_are_valid() {
        Arguments::command().debug_assert();
    }
}
