//! `cargo xtask attack`: attackers against the real programs. Each scenario once let a plugin, or a client without a
//! certificate, block the results of others. The bystander is another plugin; all its results must be stored.

mod attacker;
mod bystander;
mod cluster;
mod network;
mod scenario;
mod scene;

use std::{
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::{Args, ValueEnum as _};
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

pub(crate) use self::{attacker::AttackerArguments, scenario::SceneArguments};
use self::{attacker::attack, scenario::Scenario};
use crate::random::Random;

/// Time limit for a scenario.
const SCENARIO_LIMIT: Duration = Duration::from_mins(4);

#[derive(Debug, Args)]
pub(crate) struct AttackArguments {
    /// Path of the aggregator program; the worker program must be next to it
    #[arg(long, value_name = "FILE")]
    aggregator: PathBuf,
    /// Run only this scenario (may be repeated)
    #[arg(long, value_name = "NAME")]
    only: Vec<Scenario>,
    /// Repeat for this many minutes, with seeds that vary the number of attackers
    #[arg(long, value_name = "MINUTES")]
    minutes: Option<u64>,
    /// First seed; 0 is the standard load
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,
    /// Number of scenarios in parallel
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    jobs: usize,
    /// Run the attackers as pods of the cluster in KUBECONFIG, against an aggregator there
    #[arg(long, conflicts_with = "minutes")]
    cluster: bool,
    /// Path of the program `sono`, for --cluster
    #[arg(long, value_name = "FILE", requires = "cluster")]
    sono: Option<PathBuf>,
}

/// The outcome of a scenario, which its process prints as JSON.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Outcome {
    load: String,
    /// Peak memory of the aggregator; 0 if unknown.
    memory_mib: u64,
    /// Attempts, stored results and expected results of the bystander.
    attempts: usize,
    successes: usize,
    expected: usize,
    p99_ms: u64,
    /// Violated invariants.
    faults: Vec<String>,
}

impl Outcome {
    fn failed(error: &anyhow::Error) -> Self {
        Self {
            faults: vec![format!("{error:#}")],
            ..Self::default()
        }
    }

    fn passed(&self) -> bool {
        self.successes == self.expected && self.faults.is_empty()
    }
}

/// Runs the scenarios; fails if one of them fails.
pub(crate) async fn run(arguments: AttackArguments) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let mut report = Report::default();
    if arguments.cluster {
        let sono = arguments.sono.context("--cluster requires --sono")?;
        for scenario in chosen(&arguments.only).into_iter().filter(|one| one.is_for_clusters()) {
            let outcome = cluster::run(&sono, scenario).await;
            report.add(scenario, 0, &outcome.unwrap_or_else(|error| Outcome::failed(&error)));
        }
        return Ok(report.end());
    }
    let program = arguments.aggregator.canonicalize()?;
    let own_network = network::is_possible();
    if !own_network {
        Report::print(
            "skipped: network namespaces are not available (they require `ip` and root or user namespaces), so attackers share the host's network; foreign-host, since another program may use its port there",
        );
    }
    let until = arguments.minutes.map(|minutes| began + Duration::from_mins(minutes));
    for seed in arguments.seed.. {
        let scenarios = chosen(&arguments.only).into_iter();
        let runs = scenarios
            .filter(|one| own_network || !one.needs_own_network())
            .map(|scenario| {
                let program = &program;
                async move {
                    let outcome = in_a_process(program, scenario, seed, own_network).await;
                    (scenario, outcome.unwrap_or_else(|error| Outcome::failed(&error)))
                }
            });
        let mut runs = futures::stream::iter(runs).buffer_unordered(arguments.jobs.max(1));
        while let Some((scenario, outcome)) = runs.next().await {
            report.add(scenario, seed, &outcome);
        }
        if until.is_none_or(|until| Instant::now() >= until) {
            break;
        }
    }
    Ok(report.end())
}

fn chosen(only: &[Scenario]) -> Vec<Scenario> {
    let all = Scenario::value_variants().iter().copied();
    all.filter(|scenario| only.is_empty() || only.contains(scenario))
        .collect()
}

/// The standard count, scaled by the seed to between half and twice of it.
fn varied(count: usize, seed: u64) -> usize {
    if seed == 0 {
        return count;
    }
    let percent = 50 + Random::new(seed, count as u64).below(151);
    (count * usize::try_from(percent).unwrap_or(100) / 100).max(1)
}

/// Runs a scenario in a child process, in a separate network namespace if `own_network`.
async fn in_a_process(program: &Path, scenario: Scenario, seed: u64, own_network: bool) -> anyhow::Result<Outcome> {
    let name = scenario.to_possible_value().context("the scenario has a name")?;
    let mut command = network::command(own_network)?;
    command
        .arg("scene")
        .arg(name.get_name())
        .args(["--seed", &seed.to_string(), "--aggregator"])
        .arg(program)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    if own_network {
        command.arg("--own-network");
    }
    let output = timeout(SCENARIO_LIMIT, command.output())
        .await
        .context("the scenario timed out")??;
    let text = String::from_utf8(output.stdout)?;
    let last = text
        .lines()
        .last()
        .with_context(|| format!("the scenario's process ended ({}) without a report", output.status))?;
    Ok(serde_json::from_str(last)?)
}

/// Prints the report row by row.
#[derive(Debug, Default)]
struct Report {
    passed: usize,
    failed: usize,
}

#[expect(clippy::print_stdout, reason = "prints the report")]
impl Report {
    fn print(text: &str) {
        println!("{text}");
    }

    fn row(cells: [&str; 6]) {
        let [scenario, load, memory, bystander, p99, verdict] = cells;
        println!("{scenario:<20} {load:<52} {memory:>10} {bystander:>22} {p99:>9} {verdict}");
    }

    fn add(&mut self, scenario: Scenario, seed: u64, outcome: &Outcome) {
        if self.passed + self.failed == 0 {
            Self::row(["scenario", "load", "memory", "bystander", "p99", "verdict"]);
        }
        let name = scenario.to_possible_value();
        let name = name.as_ref().map_or("", |name| name.get_name());
        let name = if seed == 0 {
            name.to_owned()
        } else {
            format!("{name} {seed}")
        };
        let verdict = if outcome.passed() { "passed" } else { "FAILED" };
        let memory = if outcome.memory_mib == 0 {
            "-".to_owned()
        } else {
            format!("{} MiB", outcome.memory_mib)
        };
        let bystander = format!(
            "{}/{} in {} attempts",
            outcome.successes, outcome.expected, outcome.attempts
        );
        let p99 = format!("{} ms", outcome.p99_ms);
        Self::row([&name, &outcome.load, &memory, &bystander, &p99, verdict]);
        for fault in &outcome.faults {
            println!("    {fault}");
        }
        if outcome.passed() {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
    }

    fn end(self) -> ExitCode {
        println!("{} passed, {} failed", self.passed, self.failed);
        if self.failed == 0 && self.passed > 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

/// Runs one attacker in this process.
pub(crate) async fn attacker(arguments: AttackerArguments) -> anyhow::Result<ExitCode> {
    attack(arguments).await?;
    Ok(ExitCode::SUCCESS)
}

/// Runs one scenario and prints its outcome as JSON.
#[expect(clippy::print_stdout, reason = "the parent process reads the outcome")]
pub(crate) async fn scene(arguments: SceneArguments) -> anyhow::Result<ExitCode> {
    let outcome = scenario::run(&arguments)
        .await
        .unwrap_or_else(|error| Outcome::failed(&error));
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(ExitCode::SUCCESS)
}
