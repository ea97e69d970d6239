//! The command line: started by `cargo xtask sim` and `cargo xtask bench`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its report is what it is for")]

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
#[command(
    name = "sono-sim",
    about = "Simulated workers and seeded faults against the real aggregator"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Kill, cut, stall and lie, then look whether anything was lost
    Sim(Sim),
    /// Attack, then look whether a bystander lost anything
    Attack(AttackArguments),
    /// One scenario of `attack`, in this process
    #[command(hide = true)]
    Scene(SceneArguments),
    /// One attacker of a scenario
    #[command(hide = true)]
    Attacker(AttackerArguments),
    /// How much comes in how quickly, and what it takes
    Ingest(Box<Ingest>),
    /// What the queries of a cluster with many pods cost
    Queries(Queries),
    /// How much memory the aggregator holds on a cluster with many nodes
    Memory(Memory),
}

#[derive(Debug, Args)]
struct Sim {
    /// The aggregator's program
    #[arg(long, value_name = "FILE")]
    aggregator: PathBuf,
    /// The first seed
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// How many seeds, one after the other
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    seeds: u64,
    /// Go on with further seeds for so long, whatever --seeds says
    #[arg(long, value_name = "MINUTES", conflicts_with = "seeds")]
    minutes: Option<u64>,
    /// Leave out full disks, which need root, and clocks that are set, which need Debian's package faketime
    #[arg(long)]
    no_machine_faults: bool,
    /// Workers, that is expected results
    #[arg(long, value_name = "COUNT", default_value_t = 40)]
    workers: usize,
    /// How often the aggregator is killed in a run
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    rounds: usize,
    /// The most memory that the aggregator may hold
    #[arg(long, value_name = "MIB", default_value_t = 128)]
    max_memory: u64,
    /// Every kill takes along what was not synced to disk; needs root and loop devices
    #[arg(long)]
    power_loss: bool,
    /// How many seeds at the same time: most of a simulation is waiting
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    jobs: usize,
    /// Stop at the first seed that breaks something
    #[arg(long)]
    fail_fast: bool,
    /// Print the schedule and do nothing
    #[arg(long)]
    show: bool,
}

/// Does what the arguments say.
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
    ensure!(sim.workers >= 4, "a simulation needs at least 4 workers");
    ensure!(sim.jobs > 0, "no simulation is to run");
    let shape = Shape {
        workers: sim.workers,
        rounds: sim.rounds,
    };
    let without = sim.no_machine_faults;
    let scheduled = move |seed| {
        let schedule = Schedule::new(seed, shape);
        if without { schedule.without_machine() } else { schedule }
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
                "  again: cargo xtask sim --seed {seed} --workers {} --rounds {}{}{}",
                shape.workers,
                shape.rounds,
                if sim.power_loss { " --power-loss" } else { "" },
                if without { " --no-machine-faults" } else { "" }
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

fn report(what: &str, outcome: &Outcome) {
    eprintln!(
        "seed {:>6} {what:<11} {:>3} kills {:>4} tries {:>4} again {:>4} acknowledged {:>3} statuses {:>3} MiB {:>6} ms  {}",
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
        "shortages": sum(|outcome| outcome.shortages),
        "own_ends": sum(|outcome| outcome.own_ends),
        "tries": sum(|outcome| outcome.tries),
        "acknowledged": sum(|outcome| outcome.acknowledged),
        "violations": sum(|outcome| outcome.violations.len()),
        "broken_seeds": broken,
        "memory_mib": outcomes.iter().map(|outcome| outcome.memory >> 20).max(),
        "recovery_ms": {"p50": at(50), "p95": at(95), "max": recoveries.last()},
    })
}
