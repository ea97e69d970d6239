//! Builds programs from Go modules pinned in `deploy/testbed` into the cache.

use std::path::{Path, PathBuf};

use anyhow::bail;
use fs_err as fs;
use sha2::{Digest as _, Sha256};

use crate::{cache, command, images::short_hex, step::long_step};

pub(crate) struct Build {
    /// Name and version, for the directory in the cache.
    pub(crate) name: String,
    /// Directory of go.mod and go.sum.
    pub(crate) module: PathBuf,
    /// Import paths of programs; the last part is the program's name.
    pub(crate) packages: Vec<String>,
    /// Import paths of packages with a test program; its name is the last part and `.test`.
    pub(crate) tests: Vec<String>,
    pub(crate) tags: &'static str,
    pub(crate) linker_flags: String,
    /// Alternative to installing Go, appended to "install it".
    pub(crate) without_go: &'static str,
}

impl Build {
    /// Builds missing programs and returns their directory. An interrupted build continues with the next program, and the
    /// Go compiler caches packages.
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
            bail!("building {} requires Go; install it{}", self.name, self.without_go);
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
        // The build takes minutes; leave CPU time to other work on the machine.
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

    /// The cache directory. Its key covers everything that affects the programs, except for the compiler.
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
