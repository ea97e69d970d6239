//! Build, test and release tasks of this repository. Wires the command line to one module per task; knows no product crate.

mod attack;
mod bench;
mod cache;
mod ci;
mod cluster;
mod command;
mod corpus;
mod deny;
mod dist;
mod docs;
mod e2e;
mod fuzz;
mod r#gen;
mod images;
mod release;
mod repository;
mod say;
mod sim;
mod step;
mod test;
mod tidy;
mod tool;
mod wait;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Tasks of this repository")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

/// One variant per task, one module per variant. A new task (`test`, `ci`, `e2e`, `tidy`, …) is added here and in `run`.
#[derive(Subcommand)]
enum Task {
    /// A real Kubernetes on this machine, built and started by us
    Cluster(cluster::Arguments),
    /// Container images of the product and of the tests, written without a container engine
    Images(images::Arguments),
    /// All tests that need no cluster
    Test(test::Arguments),
    /// Everything a change has to pass, apart from the tests on a real cluster
    Ci(ci::Arguments),
    /// The architecture's invariants
    Tidy,
    /// Files of the repository that are made from something else
    Gen(r#gen::Arguments),
    /// The pages: their commands, their links, their index
    Docs(docs::Arguments),
    /// Result files of a folder, read by our readers and by an independent one
    Corpus(corpus::Arguments),
    /// Damaged input for everything that reads bytes from outside
    Fuzz(fuzz::Arguments),
    /// Kill, cut, stall and lie, then look whether anything was lost
    Sim(sim::Arguments),
    /// Attackers against the real programs: whether a bystander loses anything
    Attack(attack::Arguments),
    /// What the product does how quickly
    Bench(bench::Arguments),
    /// Tests on a real cluster
    E2e(e2e::Arguments),
    /// What a release delivers: archives, sums, bills of materials
    Dist(dist::Arguments),
    /// From a green commit to a tag: checks, version, changelog, tag
    Release(release::Arguments),
    /// Licences, duplicates and sources of all dependencies
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

    /// clap finds what contradicts itself when a subcommand is first asked for; here all of them are.
    #[test]
    fn the_arguments_of_all_tasks_are_sound() {
        Arguments::command().debug_assert();
    }
}
