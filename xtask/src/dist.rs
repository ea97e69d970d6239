//! `cargo xtask dist`: the files of a release, reproducible for the same commit and compiler.

mod archive;
mod build;
mod compare;
mod debian;
mod documents;
mod notices;
mod packages;
mod sbom;
mod source;
mod target;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{bail, ensure};
use clap::Args;
use fs_err as fs;
use sha2::{Digest as _, Sha256};
use sono_testbed::{repository, say, step::step};

use self::{
    archive::Files,
    build::Settings,
    packages::Packages,
    source::Source,
    target::{Machine, TARGETS, Target},
};

/// Name of the file with the checksums of all other files.
const SUMS: &str = "SHA256SUMS";

#[derive(Args)]
pub(crate) struct Arguments {
    /// Folder for the files; replaces those of an earlier call
    #[arg(long, value_name = "DIR", default_value = "dist")]
    out: PathBuf,
    /// Build only this target, and fail if it cannot be built here (may be repeated)
    #[arg(long, value_name = "TRIPLE", value_parser = target::parse)]
    target: Vec<&'static Target>,
    /// Fail if a target of the release cannot be built here
    #[arg(long, conflicts_with = "target")]
    all: bool,
    /// Build the commit twice, in clean folders, and compare byte for byte
    #[arg(long)]
    twice: bool,
    /// Include uncommitted changes; the program's commit then ends with -dirty
    #[arg(long, conflicts_with = "twice")]
    allow_dirty: bool,
    #[command(flatten)]
    settings: Settings,
}

/// The targets of a release.
#[cfg(test)]
pub(crate) fn triples() -> impl Iterator<Item = &'static str> {
    TARGETS.iter().map(|target| target.triple)
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Arguments {
        out,
        target,
        all,
        twice,
        allow_dirty,
        settings,
    } = arguments;
    let tree = repository::root();
    let out = std::path::absolute(out)?;
    ensure!(!tree.starts_with(&out), "{} contains the source tree", out.display());
    let source = Source::of(&tree, *allow_dirty)?;
    let machine = Machine::this()?;
    let (targets, not_built) = chosen(&machine, target, *all)?;
    let job = Job {
        source: &source,
        machine: &machine,
        targets: &targets,
        settings,
    };
    if *twice {
        job.twice(&tree, &out)?;
    } else {
        job.once(&tree, &out)?;
    }
    for target in &targets {
        say::progress(format_args!("built: {target}"));
    }
    for (target, reason) in not_built {
        say::progress(format_args!("not built: {target}: {reason}"));
    }
    say::data(fs::read_to_string(out.join(SUMS))?.trim_end());
    Ok(ExitCode::SUCCESS)
}

type Chosen = (Vec<&'static Target>, Vec<(&'static Target, String)>);

/// The targets to build, and the others with the reason.
fn chosen(machine: &Machine, named: &[&'static Target], all: bool) -> anyhow::Result<Chosen> {
    let requested: Vec<&Target> = if named.is_empty() {
        TARGETS.iter().collect()
    } else {
        named.to_vec()
    };
    let mut possible = Vec::new();
    let mut impossible = Vec::new();
    for target in requested {
        match machine.missing_for(target)? {
            None => possible.push(target),
            Some(reason) => impossible.push((target, reason)),
        }
    }
    if let Some((target, reason)) = impossible.first()
        && (all || !named.is_empty())
    {
        bail!("cannot build {target} here: {reason}");
    }
    ensure!(!possible.is_empty(), "cannot build any target of a release here");
    Ok((possible, impossible))
}

struct Job<'a> {
    source: &'a Source,
    machine: &'a Machine,
    targets: &'a [&'static Target],
    settings: &'a Settings,
}

impl Job<'_> {
    /// Builds `tree` into `out` and removes earlier files there.
    fn once(&self, tree: &Path, out: &Path) -> anyhow::Result<()> {
        let mut files = Vec::new();
        for target in self.targets {
            files.extend(self.target(tree, target)?);
        }
        files.sort();
        let lines: Vec<String> = files
            .iter()
            .map(|(name, bytes)| format!("{}  {name}\n", hex::encode(Sha256::digest(bytes))))
            .collect();
        files.push((SUMS.to_owned(), lines.concat().into_bytes()));
        clear(out)?;
        for (name, bytes) in files {
            fs::write(out.join(name), bytes)?;
        }
        Ok(())
    }

    /// Builds twice and compares. The two folders have names of different lengths, and are deleted unless a file differs.
    fn twice(&self, tree: &Path, out: &Path) -> anyhow::Result<()> {
        let folder = tempfile::Builder::new().prefix("sono-dist-").tempdir()?;
        let trees = ["one", "the/other/place"].map(|name| folder.path().join(name));
        let outs = ["one.out", "other.out"].map(|name| folder.path().join(name));
        for (clone, built) in trees.iter().zip(&outs) {
            say::progress(format_args!("{} in {}", self.source.revision, clone.display()));
            self.source.clone_to(tree, clone)?;
            self.once(clone, built)?;
            // Each has a gigabyte.
            fs::remove_dir_all(clone)?;
        }
        let [one, other] = &outs;
        if let Some(difference) = compare::difference(one, other)? {
            let folder = folder.keep();
            bail!("the two builds differ: {difference}; both are in {}", folder.display());
        }
        clear(out)?;
        for entry in fs::read_dir(one)? {
            let entry = entry?;
            fs::copy(entry.path(), out.join(entry.file_name()))?;
        }
        say::progress("both builds are identical");
        Ok(())
    }

    /// The archive, the bill of materials and, on Linux, the Debian package, by name.
    fn target(&self, tree: &Path, target: &Target) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
        let Self {
            source,
            machine,
            targets: _,
            settings,
        } = self;
        let packages = Packages::of(tree, target.triple)?;
        let version = packages.version.to_string();
        let program = build::program(tree, target, source, machine, &packages, settings)?;
        let name = target.archive(&version);
        let mut files = Files::default();
        let packed = step(&format!("packed {name}"), || {
            files.add_program(target.program(), fs::read(&program)?);
            for file in ["LICENSE", "README.md", "CHANGELOG.md"] {
                files.add(file, fs::read(tree.join(file))?);
            }
            files.add("THIRD-PARTY-NOTICES.txt", notices::document(&packages, machine)?);
            let is_native = target.triple == machine.host;
            documents::add(&mut files, tree, is_native.then_some(program.as_path()))?;
            files.packed(target.packing(), source.time)
        })?;
        let bill = sbom::document(&packages, source, target.triple);
        let bill = format!("{}\n", serde_json::to_string_pretty(&bill)?).into_bytes();
        let mut delivered = vec![(name, packed), (format!("{}.cdx.json", target.stem(&version)), bill)];
        if let Some(package) = debian::package(&files, target, &version, source)? {
            let name = format!("{}.deb", target.stem(&version));
            say::progress(format_args!("packed {name}"));
            delivered.push((name, package));
        }
        Ok(delivered)
    }
}

/// Empties the folder. Deletes only files of this command, in case another folder is named by mistake.
fn clear(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_ours = name == SUMS || (name.starts_with("sono_") && entry.file_type()?.is_file());
        ensure!(
            is_ours,
            "{} was not written by this command; use an empty folder",
            entry.path().display()
        );
        fs::remove_file(entry.path())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_without_names_builds_all_possible_targets() {
        let machine = Machine::this().unwrap();
        let (built, impossible) = chosen(&machine, &[], false).unwrap();
        assert!(built.iter().any(|target| target.triple == machine.host));
        assert_eq!(built.len() + impossible.len(), TARGETS.len());
        if let Some((missing, _)) = impossible.first() {
            let refused = chosen(&machine, &[missing], false).unwrap_err().to_string();
            assert!(
                refused.starts_with(&format!("cannot build {missing} here: ")),
                "{refused}"
            );
            assert!(chosen(&machine, &[], true).is_err());
        }
    }

    #[test]
    fn clear_deletes_only_files_of_this_command() {
        let folder = tempfile::tempdir().unwrap();
        for name in [SUMS, "sono_1.2.3_linux_amd64.tar.gz"] {
            fs::write(folder.path().join(name), "old").unwrap();
        }
        clear(folder.path()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        fs::write(folder.path().join("thesis.tex"), "years").unwrap();
        assert!(clear(folder.path()).is_err());
        assert!(folder.path().join("thesis.tex").is_file());
    }
}
