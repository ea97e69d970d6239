//! Runs the targets: started by `cargo xtask fuzz`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its report is what it is for")]

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

use anyhow::{Context, bail};
use clap::Parser;
use sono_fuzz::{Ended, Keeper, TARGETS, Target, fuzz, run_input, supervise};

#[derive(Parser)]
#[command(
    name = "sono-fuzz",
    about = "Feeds damaged input to everything that reads bytes from outside"
)]
struct Arguments {
    /// Only this target (may be repeated)
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// How long for each target
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    seconds: u64,
    /// Which sequence of inputs
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Try the input in this file instead; needs one --target
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Where failing inputs are written
    #[arg(long, value_name = "DIRECTORY", default_value = "target/fuzz")]
    failures: PathBuf,
    /// Where the input that is being tried is kept, by the process that tries them
    #[arg(long, value_name = "FILE", hide = true)]
    running: Option<PathBuf>,
}

fn main() -> ExitCode {
    // An error that a person can fix is one line, not a backtrace.
    program().unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn program() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let targets = chosen(&arguments.target)?;
    if let Some(path) = &arguments.input
        && targets.len() != 1
    {
        bail!(
            "--input needs exactly one --target, to be tried with {}",
            path.display()
        );
    }
    let mut failed = false;
    for target in targets {
        failed |= match &arguments.running {
            Some(running) => !run(&arguments, target, running)?,
            None => !watch(&arguments, target)?,
        };
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Tries one target in a process of its own; whether it held.
fn watch(arguments: &Arguments, target: &Target) -> anyhow::Result<bool> {
    let failing = failing(arguments, target);
    let running = failing.with_extension("running");
    let mut command = Command::new(env::current_exe()?);
    command
        .args(["--target", target.name, "--seconds", &arguments.seconds.to_string()])
        .args(["--seed", &arguments.seed.to_string(), "--failures"])
        .arg(&arguments.failures)
        .arg("--running")
        .arg(&running);
    if let Some(input) = &arguments.input {
        command.arg("--input").arg(input);
    }
    Ok(match supervise(&mut command, &running, &failing)? {
        Ended::Told(code) => code == 0,
        Ended::Killed { how, input } => {
            println!("{:<20} FAILED: an input ended the process ({how})", target.name);
            again(target, &input);
            false
        }
    })
}

/// Tries one target in this process; whether it held.
fn run(arguments: &Arguments, target: &'static Target, running: &Path) -> anyhow::Result<bool> {
    let mut keeper = Keeper::new(running)?;
    if let Some(path) = &arguments.input {
        let input = fs_err::read(path)?;
        keeper.keep(&input)?;
        return Ok(match run_input(target, &input) {
            Ok(()) => {
                println!("{}: nothing wrong with {}", target.name, path.display());
                true
            }
            Err(message) => {
                println!("{}: {message}", target.name);
                false
            }
        });
    }
    let mut unkept = None;
    let keep = |input: &[u8]| unkept = unkept.take().or_else(|| keeper.keep(input).err());
    let report = fuzz(target, arguments.seed, Duration::from_secs(arguments.seconds), keep);
    if let Some(error) = unkept {
        return Err(error).context("keep the input that is tried");
    }
    println!(
        "{:<20} {:>9} executions  seed {}  slowest {} ms  {}",
        target.name,
        report.executions,
        arguments.seed,
        report.slowest.as_millis(),
        if report.failure.is_some() { "FAILED" } else { "ok" }
    );
    let Some(failure) = report.failure else { return Ok(true) };
    let path = failing(arguments, target);
    fs_err::write(&path, &failure.input).context("keep the failing input")?;
    println!("  {}", failure.message);
    again(target, &path);
    Ok(false)
}

/// Where a failing input of this session is written.
fn failing(arguments: &Arguments, target: &Target) -> PathBuf {
    arguments.failures.join(format!("{}-{}", target.name, arguments.seed))
}

fn again(target: &Target, input: &Path) {
    println!(
        "  again: cargo xtask fuzz --target {} --input {}",
        target.name,
        input.display()
    );
}

fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Target>> {
    if names.is_empty() {
        return Ok(TARGETS.iter().collect());
    }
    let find = |name: &String| {
        TARGETS.iter().find(|target| target.name == name).with_context(|| {
            let known: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            format!("no target {name:?}; there are {}", known.join(", "))
        })
    };
    names.iter().map(find).collect()
}
