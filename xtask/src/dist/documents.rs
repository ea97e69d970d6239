//! Completions and manual pages, written by the program.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;
use fs_err as fs;
use sono_testbed::command;

use super::archive::Files;

/// Shells and the file names of their completions.
const COMPLETIONS: [(&str, &str); 5] = [
    ("bash", "sono.bash"),
    ("zsh", "_sono"),
    ("fish", "sono.fish"),
    ("powershell", "_sono.ps1"),
    ("elvish", "sono.elv"),
];

/// Adds the documents of `program`, if it runs on this machine, or else of a quick build for this machine: the texts do not
/// depend on the system.
pub(super) fn add(files: &mut Files, tree: &Path, program: Option<&Path>) -> anyhow::Result<()> {
    let folder = match program {
        Some(program) => program.parent().map(Path::to_owned),
        None => Some(for_this_machine(tree)?),
    };
    let folder = folder.context("the program has no parent folder")?;
    for (shell, name) in COMPLETIONS {
        let script = command::output(sono(&folder)?.args(["completion", shell]))?;
        files.add(format!("completions/{name}"), script);
    }
    let pages = tempfile::tempdir()?;
    command::run(sono(&folder)?.args(["__document", "man", "--out"]).arg(pages.path()))?;
    for entry in fs::read_dir(pages.path())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        files.add(format!("man/man1/{name}"), fs::read(entry.path())?);
    }
    Ok(())
}

/// The program, called by name through `PATH`, because completions contain the name it was called by.
fn sono(folder: &Path) -> anyhow::Result<Command> {
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([folder.to_owned()].into_iter().chain(env::split_paths(&path)))?;
    let mut sono = Command::new("sono");
    sono.env("PATH", path);
    Ok(sono)
}

fn for_this_machine(tree: &Path) -> anyhow::Result<PathBuf> {
    let folder = tree.join("target/dist");
    let mut build = command::new(
        command::cargo(),
        ["build", "--quiet", "--locked", "--package", super::packages::ROOT],
    );
    command::run_visibly(build.args(["--target-dir"]).arg(&folder).current_dir(tree))?;
    Ok(folder.join("debug"))
}
