//! Files that the program writes of itself, and the ones that follow from its version.

use std::path::Path;

use anyhow::{Context, ensure};
use clap::ValueEnum;
use fs_err as fs;

use super::krew;
use crate::{command, repository, say};

/// A file of the repository that is made anew in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Document {
    Reference,
    PluginSchema,
    Krew,
}

impl Document {
    pub(super) const ALL: [Self; 3] = [Self::Reference, Self::PluginSchema, Self::Krew];

    fn name(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::PluginSchema => "plugin-schema",
            Self::Krew => "krew",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Reference => "docs/reference.md",
            Self::PluginSchema => "deploy/plugin.schema.json",
            Self::Krew => "deploy/krew/sono.yaml",
        }
    }

    fn text(self) -> anyhow::Result<String> {
        match self {
            Self::Reference | Self::PluginSchema => command::output(&mut program(&["__document", self.name()])),
            Self::Krew => Ok(krew::manifest(env!("CARGO_PKG_VERSION"))),
        }
    }
}

/// The program of this tree, built if need be.
fn program(arguments: &[&str]) -> std::process::Command {
    let mut run = command::new(
        command::cargo(),
        ["run", "--quiet", "--locked", "--package", "sono-cli", "--"],
    );
    run.args(arguments).current_dir(repository::root());
    run
}

/// Writes them, or says which are not what they should be.
pub(super) fn write(documents: &[Document], check: bool) -> anyhow::Result<()> {
    let mut stale = Vec::new();
    for document in documents {
        let path = repository::root().join(document.path());
        let text = document.text().with_context(|| document.path())?;
        let is_current = fs::read_to_string(&path).is_ok_and(|found| same(&found, &text));
        if is_current {
            say::progress(format_args!("{} is current", document.path()));
        } else if check {
            stale.push(format!("{} (cargo xtask gen {})", document.path(), document.name()));
        } else {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(&path, text)?;
            say::progress(format_args!("{} is written", document.path()));
        }
    }
    ensure!(stale.is_empty(), "not current: {}", stale.join(", "));
    Ok(())
}

/// Git may have turned the ends of lines into Windows'.
fn same(found: &str, text: &str) -> bool {
    found.replace("\r\n", "\n") == text.replace("\r\n", "\n")
}

/// Manual pages, a file for each command.
pub(super) fn manual(directory: &Path) -> anyhow::Result<()> {
    let directory = std::path::absolute(directory)?;
    let out = directory.to_str().context("the directory's name is no UTF-8")?;
    command::run(&mut program(&["__document", "man", "--out", out]))?;
    say::progress(format_args!("manual pages are in {out}"));
    Ok(())
}
