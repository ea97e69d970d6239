//! Builds programs out of Go modules that `deploy/testbed` pins, into the cache.

use std::path::{Path, PathBuf};

use anyhow::bail;
use fs_err as fs;
use sha2::{Digest as _, Sha256};

use crate::{cache, command, images::short_hex, step::long_step};

pub(crate) struct Build {
    /// Names the directory in the cache, with the version.
    pub(crate) name: String,
    /// Holds our go.mod and go.sum.
    pub(crate) module: PathBuf,
    /// Import paths; a program is named by its last part.
    pub(crate) packages: Vec<String>,
    /// Import paths of packages whose tests are a program; it is named by the last part and `.test`.
    pub(crate) tests: Vec<String>,
    pub(crate) tags: &'static str,
    pub(crate) linker_flags: String,
    /// What somebody without Go can do instead of installing it; comes behind "install it".
    pub(crate) without_go: &'static str,
}

impl Build {
    /// Builds what the cache lacks and returns the directory of the programs. An interrupted build goes on where it was:
    /// finished programs are there, and the Go compiler keeps its own cache of the packages.
    pub(crate) fn ensure(&self) -> anyhow::Result<PathBuf> {
        let directory = self.directory()?;
        let programs = self
            .packages
            .iter()
            .map(|package| (package, program(package).to_owned()));
        let tests = self
            .tests
            .iter()
            .map(|package| (package, format!("{}.test", program(package))));
        let missing: Vec<_> = programs
            .chain(tests)
            .filter(|(_, name)| !directory.join(name).exists())
            .collect();
        if !missing.is_empty() && command::find_program("go").is_none() {
            bail!("Go is needed to build {}; install it{}", self.name, self.without_go);
        }
        for (package, name) in missing {
            long_step(
                &format!("building {name} of {} (up to 5 minutes when cold)", self.name),
                &format!("built {name} of {}", self.name),
                || self.build(package, &directory.join(&name)),
            )?;
        }
        Ok(directory)
    }

    fn build(&self, package: &str, program: &Path) -> anyhow::Result<()> {
        let unfinished = program.with_extension("unfinished");
        // Others work on the machine while this takes minutes.
        let mut go = command::new("nice", ["-n", "5", "go"]);
        if self.tests.iter().any(|test| test == package) {
            go.args(["test", "-c"]);
        } else {
            go.arg("build");
        }
        go.args(["-p", "2", "-trimpath", "-buildvcs=false"]);
        go.arg("-tags")
            .arg(self.tags)
            .arg("-ldflags")
            .arg(format!("-s -w {}", self.linker_flags));
        go.arg("-o").arg(&unfinished).arg(package);
        command::run(go.current_dir(&self.module).env("CGO_ENABLED", "0"))?;
        fs::rename(unfinished, program)?;
        Ok(())
    }

    /// The key is all that decides the bytes of the programs, except for the compiler.
    fn directory(&self) -> anyhow::Result<PathBuf> {
        let mut key = Sha256::new();
        key.update(fs::read(self.module.join("go.mod"))?);
        key.update(fs::read(self.module.join("go.sum"))?);
        key.update(self.tags);
        key.update(&self.linker_flags);
        cache::directory(&format!("{}-{}", self.name, short_hex(&key.finalize())))
    }
}

fn program(package: &str) -> &str {
    package.rsplit('/').find(|part| *part != "v2").unwrap_or(package)
}
