//! Runs the targets: started by `cargo xtask fuzz`.
#![expect(clippy::print_stdout, reason = "its report is what it is for")]

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use clap::Parser;
use sono_fuzz::{TARGETS, Target, fuzz, run_input};

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
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let targets = chosen(&arguments.target)?;
    if let Some(path) = &arguments.input {
        let [target] = targets.as_slice() else {
            bail!("--input needs exactly one --target");
        };
        let input = fs_err::read(path)?;
        return Ok(match run_input(target, &input) {
            Ok(()) => {
                println!("{}: nothing wrong with {}", target.name, path.display());
                ExitCode::SUCCESS
            }
            Err(message) => {
                println!("{}: {message}", target.name);
                ExitCode::FAILURE
            }
        });
    }
    let mut failed = false;
    for target in targets {
        let report = fuzz(target, arguments.seed, Duration::from_secs(arguments.seconds));
        println!(
            "{:<20} {:>9} executions  seed {}  slowest {} ms  {}",
            target.name,
            report.executions,
            arguments.seed,
            report.slowest.as_millis(),
            if report.failure.is_some() { "FAILED" } else { "ok" }
        );
        if let Some(failure) = report.failure {
            failed = true;
            fs_err::create_dir_all(&arguments.failures)?;
            let path = arguments.failures.join(format!("{}-{}", target.name, arguments.seed));
            fs_err::write(&path, &failure.input).context("keep the failing input")?;
            println!("  {}", failure.message);
            println!(
                "  again: cargo xtask fuzz --target {} --input {}",
                target.name,
                path.display()
            );
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
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
