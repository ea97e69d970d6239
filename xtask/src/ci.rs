//! `cargo xtask ci`: all checks of a change, except for the tests on a real cluster (`cargo xtask e2e`).

use std::{
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use sono_testbed::{
    command, repository, say,
    step::{human, long_step},
};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Skip a step (may be repeated)
    #[arg(long, value_name = "STEP")]
    skip: Vec<Step>,
    /// Run only this step (may be repeated)
    #[arg(long, value_name = "STEP")]
    only: Vec<Step>,
}

/// The steps, fast ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Step {
    Fmt,
    Tidy,
    Deny,
    Test,
    Attack,
    Gen,
    Docs,
    Fuzz,
    Clippy,
    Doc,
}

impl Step {
    const ALL: [Self; 10] = [
        Self::Fmt,
        Self::Tidy,
        Self::Deny,
        Self::Test,
        Self::Attack,
        Self::Gen,
        Self::Docs,
        Self::Fuzz,
        Self::Clippy,
        Self::Doc,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Tidy => "tidy",
            Self::Deny => "deny",
            Self::Test => "test",
            Self::Attack => "attack",
            Self::Gen => "gen",
            Self::Docs => "docs",
            Self::Fuzz => "fuzz",
            Self::Clippy => "clippy",
            Self::Doc => "doc",
        }
    }

    fn command(self) -> Command {
        let cargo = |arguments: &[&str]| command::new(command::cargo(), arguments);
        match self {
            Self::Fmt => cargo(&["fmt", "--all", "--", "--check"]),
            Self::Tidy => cargo(&["xtask", "tidy"]),
            Self::Deny => cargo(&["xtask", "deny"]),
            Self::Test => cargo(&["xtask", "test"]),
            Self::Attack => cargo(&["xtask", "attack"]),
            Self::Gen => cargo(&["xtask", "gen", "--check"]),
            Self::Docs => cargo(&["xtask", "docs", "--check"]),
            Self::Fuzz => cargo(&["xtask", "fuzz", "--seconds", "5"]),
            Self::Clippy => cargo(&[
                "clippy",
                "--workspace",
                "--all-targets",
                "--locked",
                "--",
                "--deny",
                "warnings",
            ]),
            Self::Doc => {
                let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--locked"]);
                doc.env("RUSTDOCFLAGS", "--deny warnings");
                doc
            }
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let steps = chosen(&arguments.only, &arguments.skip);
    ensure!(!steps.is_empty(), "all steps are skipped");
    let mut times: Vec<(Step, Duration)> = Vec::new();
    for step in steps {
        let start = Instant::now();
        let name = step.name();
        long_step(&format!("ci step {name}"), &format!("ci step {name} passed"), || {
            command::run_visibly(step.command().current_dir(repository::root()))
        })
        .with_context(|| format!("ci step {name} failed; to repeat it: `cargo xtask ci --only {name}`"))?;
        times.push((step, start.elapsed()));
    }
    for (step, time) in times {
        say::progress(format_args!("{:>8}  {}", step.name(), human(time)));
    }
    Ok(ExitCode::SUCCESS)
}

fn chosen(only: &[Step], skip: &[Step]) -> Vec<Step> {
    // Attacks require network namespaces.
    let possible = |step: &Step| *step != Step::Attack || cfg!(target_os = "linux");
    let is_chosen = |step: &Step| {
        let named = only.contains(step);
        (named || only.is_empty() && possible(step)) && !skip.contains(step)
    };
    Step::ALL.into_iter().filter(is_chosen).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_applies_only_and_skip() {
        let all = Step::ALL.into_iter();
        let here: Vec<Step> = all
            .filter(|step| cfg!(target_os = "linux") || *step != Step::Attack)
            .collect();
        assert_eq!(chosen(&[], &[]), here);
        assert_eq!(
            chosen(&[Step::Attack, Step::Gen], &[Step::Gen]),
            [Step::Attack],
            "also where it cannot run: the step itself reports that"
        );
        assert_eq!(
            chosen(&[], &[Step::Test, Step::Doc, Step::Attack]),
            [
                Step::Fmt,
                Step::Tidy,
                Step::Deny,
                Step::Gen,
                Step::Docs,
                Step::Fuzz,
                Step::Clippy
            ]
        );
        assert_eq!(chosen(&[Step::Doc, Step::Fmt], &[]), [Step::Fmt, Step::Doc]);
        assert_eq!(chosen(&[Step::Doc], &[Step::Doc]), []);
    }
}
