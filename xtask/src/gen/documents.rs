//! Files that the program writes of itself, and the ones that follow from its version.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use clap::ValueEnum;
use fs_err as fs;

use super::{krew, kustomize};
use crate::{command, repository, say};

/// Files of the repository that are made anew in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Document {
    Reference,
    PluginSchema,
    Krew,
    Kustomize,
}

impl Document {
    pub(super) const ALL: [Self; 4] = [Self::Reference, Self::PluginSchema, Self::Krew, Self::Kustomize];

    fn name(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::PluginSchema => "plugin-schema",
            Self::Krew => "krew",
            Self::Kustomize => "kustomize",
        }
    }

    /// A file, or a folder of files.
    fn path(self) -> &'static str {
        match self {
            Self::Reference => "docs/reference.md",
            Self::PluginSchema => "deploy/plugin.schema.json",
            Self::Krew => "deploy/krew/sono.yaml",
            Self::Kustomize => kustomize::FOLDER,
        }
    }

    /// By their paths in the repository.
    fn files(self) -> anyhow::Result<BTreeMap<String, String>> {
        let sono = |arguments: &[&str]| command::output(&mut program(arguments));
        let text = match self {
            Self::Reference | Self::PluginSchema => sono(&["__document", self.name()])?,
            Self::Krew => krew::manifest(env!("CARGO_PKG_VERSION")),
            Self::Kustomize => {
                let files = kustomize::files(&sono)?.into_iter();
                return Ok(files
                    .map(|(path, text)| (format!("{}/{path}", self.path()), text))
                    .collect());
            }
        };
        Ok([(self.path().to_owned(), text)].into())
    }

    /// Files in its folder that it would not write, by their paths in the repository.
    fn left_over(self, files: &BTreeMap<String, String>) -> anyhow::Result<Vec<String>> {
        let folder = repository::root().join(self.path());
        if !folder.is_dir() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        below(&folder, &mut found)?;
        let names = found
            .iter()
            .filter_map(|path| path.strip_prefix(repository::root()).ok());
        let names = names.map(|path| path.to_string_lossy().replace('\\', "/"));
        let by_hand = format!("{}/{}", self.path(), kustomize::BY_HAND);
        Ok(names
            .filter(|name| !files.contains_key(name) && *name != by_hand)
            .collect())
    }
}

/// All files below a folder.
fn below(folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            below(&path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
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
        let files = document.files().with_context(|| document.path())?;
        let mut changed = Vec::new();
        for (name, text) in &files {
            let path = repository::root().join(name);
            if fs::read_to_string(&path).is_ok_and(|found| same(&found, text)) {
                continue;
            }
            changed.push(name.clone());
            if check {
                continue;
            }
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(&path, text)?;
        }
        for name in document.left_over(&files)? {
            if !check {
                fs::remove_file(repository::root().join(&name))?;
            }
            changed.push(name);
        }
        if changed.is_empty() {
            say::progress(format_args!("{} is current", document.path()));
        } else if check {
            stale.push(format!("{} (cargo xtask gen {})", changed.join(", "), document.name()));
        } else {
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
