//! The command line behind `cargo xtask sim`, `attack` and `bench`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the program prints its report")]

use std::{
    ffi::OsString,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::ensure;
use clap::{Args, Parser, Subcommand};
use futures::StreamExt as _;
use serde_json::json;

use crate::{
    attack::{self, AttackArguments, AttackerArguments, SceneArguments},
    bench::{Ingest, Memory, Queries, ingest, memory, queries},
    schedule::{Schedule, Shape},
    simulate::{Options, Outcome, simulate},
};

#[derive(Debug, Parser)]
#[command(name = "sono-sim", about = "Simulate, attack and measure the real aggregator")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run simulations with seeded faults and check that no result is lost
    Sim(Sim),
    /// Run attacks and check that other plugins lose no result
    Attack(AttackArguments),
    /// Run one scenario of `attack` in this process
    #[command(hide = true)]
    Scene(SceneArguments),
    /// Run one attacker of a scenario
    #[command(hide = true)]
    Attacker(AttackerArguments),
    /// Measure upload throughput and memory
    Ingest(Box<Ingest>),
    /// Measure the queries of a cluster with many pods
    Queries(Queries),
    /// Measure the aggregator's memory on a cluster with many nodes
    Memory(Memory),
}

#[derive(Debug, Args)]
struct Sim {
    /// Path of the aggregator program
    #[arg(long, value_name = "FILE")]
    aggregator: PathBuf,
    /// First seed
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Number of consecutive seeds
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    seeds: u64,
    /// Run further seeds for this many minutes, instead of --seeds
    #[arg(long, value_name = "MINUTES", conflicts_with = "seeds")]
    minutes: Option<u64>,
    /// Skip full disks, which require root, and clock changes, which require Debian's package faketime
    #[arg(long)]
    no_machine_faults: bool,
    /// Number of workers and of expected results
    #[arg(long, value_name = "COUNT", default_value_t = 40)]
    workers: usize,
    /// Number of kills of the aggregator in a run
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    rounds: usize,
    /// Memory limit of the aggregator, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 128)]
    max_memory: u64,
    /// Drop unsynced writes at every kill; requires root and loop devices
    #[arg(long)]
    power_loss: bool,
    /// Number of simulations in parallel; they mostly wait
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    jobs: usize,
    /// Stop at the first seed with a violation
    #[arg(long)]
    fail_fast: bool,
    /// Print the schedule without running it
    #[arg(long)]
    show: bool,
}

/// Runs the command of the arguments.
pub fn program(arguments: impl IntoIterator<Item = OsString>) -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse_from(arguments);
    sono_tls::install_provider();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match arguments.command {
        Command::Sim(sim) => runtime.block_on(run(sim)),
        Command::Attack(arguments) => runtime.block_on(attack::run(arguments)),
        Command::Scene(arguments) => runtime.block_on(attack::scene(arguments)),
        Command::Attacker(arguments) => runtime.block_on(attack::attacker(arguments)),
        Command::Ingest(arguments) => {
            runtime.block_on(ingest(*arguments))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Queries(arguments) => {
            runtime.block_on(queries(arguments))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Memory(arguments) => {
            runtime.block_on(memory(arguments))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn run(sim: Sim) -> anyhow::Result<ExitCode> {
    ensure!(sim.workers >= 4, "--workers must be at least 4");
    ensure!(sim.jobs > 0, "--jobs must be at least 1");
    let shape = Shape {
        workers: sim.workers,
        rounds: sim.rounds,
    };
    let no_machine_faults = sim.no_machine_faults;
    let scheduled = move |seed| {
        let schedule = Schedule::new(seed, shape);
        if no_machine_faults {
            schedule.without_machine_faults()
        } else {
            schedule
        }
    };
    if sim.show {
        println!("{}", serde_json::to_string_pretty(&scheduled(sim.seed))?);
        return Ok(ExitCode::SUCCESS);
    }
    let options = Options {
        aggregator: sim.aggregator.canonicalize()?,
        max_memory: sim.max_memory << 20,
        power_loss: sim.power_loss,
    };
    let reference = simulate(&Schedule::undisturbed(sim.seed, shape), &options, None).await?;
    report("undisturbed", &reference);
    let (options, reference) = (Arc::new(options), Arc::new(reference));
    let until = sim.minutes.map(|minutes| Instant::now() + Duration::from_mins(minutes));
    let seeds = if until.is_some() { u64::MAX } else { sim.seeds };
    let simulations = (sim.seed..sim.seed.saturating_add(seeds))
        .take_while(|_| until.is_none_or(|until| Instant::now() < until))
        .map(|seed| {
            let (options, reference) = (Arc::clone(&options), Arc::clone(&reference));
            tokio::spawn(async move { simulate(&scheduled(seed), &options, Some(&reference)).await })
        });
    let mut outcomes = vec![Outcome::clone(&reference)];
    let mut simulations = futures::stream::iter(simulations).buffered(sim.jobs);
    while let Some(outcome) = simulations.next().await {
        let outcome = outcome??;
        report("disturbed", &outcome);
        let broken = !outcome.violations.is_empty();
        if broken {
            let seed = outcome.seed;
            eprintln!("  schedule: {}", serde_json::to_string(&scheduled(seed))?);
            eprintln!(
                "  reproduce: cargo xtask sim --seed {seed} --workers {} --rounds {}{}{}",
                shape.workers,
                shape.rounds,
                if sim.power_loss { " --power-loss" } else { "" },
                if no_machine_faults { " --no-machine-faults" } else { "" }
            );
        }
        outcomes.push(outcome);
        if broken && sim.fail_fast {
            break;
        }
    }
    drop(simulations);
    let broken: Vec<u64> = outcomes
        .iter()
        .filter(|outcome| !outcome.violations.is_empty())
        .map(|outcome| outcome.seed)
        .collect();
    println!("{}", summary(&sim, &outcomes, &broken));
    Ok(if broken.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn report(kind: &str, outcome: &Outcome) {
    eprintln!(
        "seed {:>6} {kind:<11} {:>3} kills {:>4} requests {:>4} failed {:>4} acknowledged {:>3} statuses {:>3} MiB {:>6} ms  {}",
        outcome.seed,
        outcome.kills,
        outcome.tries,
        outcome.failed,
        outcome.acknowledged,
        outcome.statuses,
        outcome.memory >> 20,
        outcome.took_ms,
        if outcome.violations.is_empty() { "ok" } else { "BROKEN" }
    );
    for violation in &outcome.violations {
        eprintln!("  {violation}");
    }
    if let Some(files) = &outcome.files {
        eprintln!("  files: {}", files.display());
    }
}

fn summary(sim: &Sim, outcomes: &[Outcome], broken: &[u64]) -> serde_json::Value {
    let sum = |of: fn(&Outcome) -> usize| outcomes.iter().map(of).sum::<usize>();
    let mut recoveries: Vec<u64> = outcomes
        .iter()
        .flat_map(|outcome| outcome.recoveries_ms.clone())
        .collect();
    recoveries.sort_unstable();
    let at =
        |percent: usize| recoveries.get((recoveries.len() * percent / 100).min(recoveries.len().saturating_sub(1)));
    json!({
        "seed": sim.seed,
        "seeds": outcomes.len() - 1,
        "workers": sim.workers,
        "rounds": sim.rounds,
        "power_loss": sim.power_loss,
        "kills": sum(|outcome| outcome.kills),
        "shortages": sum(|outcome| outcome.disk_full_messages),
        "own_ends": sum(|outcome| outcome.own_ends),
        "tries": sum(|outcome| outcome.tries),
        "acknowledged": sum(|outcome| outcome.acknowledged),
        "violations": sum(|outcome| outcome.violations.len()),
        "broken_seeds": broken,
        "memory_mib": outcomes.iter().map(|outcome| outcome.memory >> 20).max(),
        "recovery_ms": {"p50": at(50), "p95": at(95), "max": recoveries.last()},
    })
}
