//! `cargo xtask release X.Y.Z`: releases a tested commit, in steps that can be repeated. RELEASING.md is the checklist.
//!
//! A release takes two calls: the first commits the new version, CI tests that commit, the second tags it. So the tag names the
//! tested commit, not its child.

mod bump;
mod facts;
mod plan;
mod proof;
mod workflow;

use std::{env, path::Path, process::ExitCode};

use anyhow::{Context, ensure};
use cargo_metadata::semver::Version;
use clap::Args;
use fs_err as fs;
use sono_testbed::{command, repository, say};

use self::{
    facts::Facts,
    plan::{Plan, Step},
};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Version to release, such as 1.2.3
    version: Version,
    /// Print checks and steps without changing anything
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { version, dry_run } = arguments;
    let tree = repository::root();
    let gh = command::find_program("gh");
    // Without a token gh would ask for a password, or fail for a reason unrelated to CI.
    let gh = gh.filter(|_| env::var_os("GH_TOKEN").is_some() || env::var_os("GITHUB_TOKEN").is_some());
    release(&tree, version, gh.as_deref(), *dry_run, &mut |line| say::data(line))?;
    Ok(ExitCode::SUCCESS)
}

fn release(
    tree: &Path,
    version: &Version,
    gh: Option<&Path>,
    is_dry: bool,
    print: &mut dyn FnMut(String),
) -> anyhow::Result<()> {
    let Plan { findings, steps, next } = plan::plan(version, &Facts::of(tree, version, gh)?);
    for finding in &findings {
        print(finding.to_string());
    }
    ensure!(
        findings.iter().all(|finding| finding.found.is_ok()),
        "v{version} is not released: see the checks marked NO"
    );
    for step in &steps {
        let would = if is_dry { "would " } else { "" };
        print(format!("{would}{step}"));
        if !is_dry {
            carry_out(tree, version, *step)
                .with_context(|| format!("cannot {step}; run the command again after fixing it"))?;
        }
    }
    print(format!("next: {next}"));
    Ok(())
}

fn carry_out(tree: &Path, version: &Version, step: Step) -> anyhow::Result<()> {
    match step {
        Step::Write => {
            for file in bump::files(tree, version)? {
                fs::write(tree.join(file.path), file.after)?;
            }
            Ok(())
        }
        Step::Commit => {
            let message = format!("Release v{version}");
            let mut commit = command::new("git", ["commit", "--quiet", "-m", &message, "--"]);
            command::run(commit.args(bump::PATHS).current_dir(tree))
        }
        Step::Tag => {
            let changelog = fs::read_to_string(tree.join(bump::CHANGELOG))?;
            let section = bump::section(&changelog, &version.to_string())
                .context("the changelog has no section for the version")?;
            let message = format!("v{version}\n\n{section}\n");
            let name = format!("v{version}");
            let mut tag = command::new(
                "git",
                ["tag", "--annotate", "--cleanup=verbatim", "-m", &message, &name],
            );
            command::run(tag.current_dir(tree))
        }
    }
}

#[cfg(test)]
mod tests;
