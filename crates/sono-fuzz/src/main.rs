//! The program behind `cargo xtask fuzz`: runs the fuzz targets.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the program prints its report")]

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

use anyhow::{Context, bail};
use clap::Parser;
use sono_fuzz::{Ended, InputRecorder, TARGETS, Target, fuzz, run_input, supervise};

#[derive(Parser)]
#[command(name = "sono-fuzz", about = "Fuzz the code that reads bytes from outside")]
struct Arguments {
    /// Run only this target (may be repeated)
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// Time for each target, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    seconds: u64,
    /// Seed of the sequence of inputs
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Execute only the input in this file; requires exactly one --target
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Directory for failing inputs
    #[arg(long, value_name = "DIRECTORY", default_value = "target/fuzz")]
    failures: PathBuf,
    /// File that receives each input before its execution (internal)
    #[arg(long, value_name = "FILE", hide = true)]
    running: Option<PathBuf>,
}

fn main() -> ExitCode {
    // One line without a backtrace.
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
        bail!("--input {} requires exactly one --target", path.display());
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

/// Runs one target in a child process; returns whether it succeeded.
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
        Ended::Exited(code) => code == 0,
        Ended::Killed { how, input } => {
            println!("{:<20} FAILED: an input killed the process ({how})", target.name);
            print_reproduction(target, &input);
            false
        }
    })
}

/// Runs one target in this process; returns whether it succeeded.
fn run(arguments: &Arguments, target: &'static Target, running: &Path) -> anyhow::Result<bool> {
    let mut recorder = InputRecorder::new(running)?;
    if let Some(path) = &arguments.input {
        let input = fs_err::read(path)?;
        recorder.record(&input)?;
        return Ok(match run_input(target, &input) {
            Ok(()) => {
                println!("{}: no failure with {}", target.name, path.display());
                true
            }
            Err(message) => {
                println!("{}: {message}", target.name);
                false
            }
        });
    }
    let mut record_error = None;
    let record = |input: &[u8]| record_error = record_error.take().or_else(|| recorder.record(input).err());
    let report = fuzz(target, arguments.seed, Duration::from_secs(arguments.seconds), record);
    if let Some(error) = record_error {
        return Err(error).context("cannot record the current input");
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
    fs_err::write(&path, &failure.input).context("cannot save the failing input")?;
    println!("  {}", failure.message);
    print_reproduction(target, &path);
    Ok(false)
}

/// Path of a failing input of this session.
fn failing(arguments: &Arguments, target: &Target) -> PathBuf {
    arguments.failures.join(format!("{}-{}", target.name, arguments.seed))
}

fn print_reproduction(target: &Target, input: &Path) {
    println!(
        "  reproduce: cargo xtask fuzz --target {} --input {}",
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
            format!("unknown target {name:?}; known targets: {}", known.join(", "))
        })
    };
    names.iter().map(find).collect()
}
