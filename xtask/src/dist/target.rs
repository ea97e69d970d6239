//! The systems that a release is for.

use std::fmt;

use anyhow::Context;
use fs_err as fs;

use crate::command;

/// What the archive is for the people of a system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    TarGz,
    Zip,
}

/// A row of [`TARGETS`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// As the Rust compiler calls it.
    pub(super) triple: &'static str,
    /// As Go, Kubernetes and krew call it.
    pub(super) system: &'static str,
    pub(super) architecture: &'static str,
}

/// Linux has glibc from the system and not inside: name services of a laptop are loaded while the program runs.
pub(super) const TARGETS: [Target; 5] = [
    Target::new("x86_64-unknown-linux-gnu", "linux", "amd64"),
    Target::new("aarch64-unknown-linux-gnu", "linux", "arm64"),
    Target::new("x86_64-apple-darwin", "darwin", "amd64"),
    Target::new("aarch64-apple-darwin", "darwin", "arm64"),
    Target::new("x86_64-pc-windows-msvc", "windows", "amd64"),
];

impl Target {
    const fn new(triple: &'static str, system: &'static str, architecture: &'static str) -> Self {
        Self {
            triple,
            system,
            architecture,
        }
    }

    pub(super) fn is_windows(&self) -> bool {
        self.system == "windows"
    }

    pub(super) fn packing(&self) -> Packing {
        if self.is_windows() {
            Packing::Zip
        } else {
            Packing::TarGz
        }
    }

    pub(super) fn program(&self) -> &'static str {
        if self.is_windows() { "sono.exe" } else { "sono" }
    }

    /// Without an ending; krew's manifest and deploy/ci/sono-ci.sh look for these names.
    pub(super) fn stem(&self, version: &str) -> String {
        format!("sono_{version}_{}_{}", self.system, self.architecture)
    }

    pub(super) fn archive(&self, version: &str) -> String {
        let ending = match self.packing() {
            Packing::TarGz => "tar.gz",
            Packing::Zip => "zip",
        };
        format!("{}.{ending}", self.stem(version))
    }

    /// The variable by which cargo is told of a linker.
    fn linker_variable(&self) -> String {
        let name = self.triple.to_uppercase().replace('-', "_");
        format!("CARGO_TARGET_{name}_LINKER")
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.triple)
    }
}

/// For clap.
pub(super) fn parse(triple: &str) -> Result<&'static Target, String> {
    TARGETS.iter().find(|target| target.triple == triple).ok_or_else(|| {
        let known: Vec<&str> = TARGETS.iter().map(|target| target.triple).collect();
        format!("a release has {}", known.join(", "))
    })
}

/// What is there to build with.
pub(super) struct Machine {
    /// The compiler's own target.
    pub(super) host: String,
    /// Of the compiler's source, as it stands in the paths of the standard library.
    pub(super) compiler_commit: String,
    pub(super) sysroot: String,
}

impl Machine {
    pub(super) fn this() -> anyhow::Result<Self> {
        let version = command::output(&mut rustc(&["-vV"]))?;
        let line = |name: &str| {
            let mut lines = version.lines();
            lines
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                .map(ToOwned::to_owned)
                .with_context(|| format!("rustc -vV says no {name}"))
        };
        Ok(Self {
            host: line("host")?,
            compiler_commit: line("commit-hash")?,
            sysroot: command::output(&mut rustc(&["--print", "sysroot"]))?.trim().to_owned(),
        })
    }

    /// Why `target` cannot be built here, if it cannot.
    pub(super) fn lacks(&self, target: &Target) -> anyhow::Result<Option<String>> {
        if target.triple == self.host {
            return Ok(None);
        }
        let libraries = rustc(&["--print", "target-libdir", "--target", target.triple]);
        let libraries = command::output(&mut { libraries })?;
        let has_library = fs::read_dir(libraries.trim()).is_ok_and(|mut files| files.next().is_some());
        if !has_library {
            let reason = format!("no standard library for it (rustup target add {})", target.triple);
            return Ok(Some(reason));
        }
        let has_linker = std::env::var_os(target.linker_variable()).is_some() || self.links_by_itself(target);
        let reason = || format!("no linker for it ({} is not set)", target.linker_variable());
        Ok((!has_linker).then(reason))
    }

    /// Apple's linker knows both of its architectures.
    fn links_by_itself(&self, target: &Target) -> bool {
        self.host.ends_with("-apple-darwin") && target.system == "darwin"
    }
}

fn rustc(arguments: &[&str]) -> std::process::Command {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut rustc = command::new(rustc, arguments);
    // There the pinned toolchain answers.
    rustc.current_dir(crate::repository::root());
    rustc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_have_the_names_that_krew_and_ci_look_for() {
        let names: Vec<String> = TARGETS.iter().map(|target| target.archive("1.2.3")).collect();
        assert_eq!(
            names,
            [
                "sono_1.2.3_linux_amd64.tar.gz",
                "sono_1.2.3_linux_arm64.tar.gz",
                "sono_1.2.3_darwin_amd64.tar.gz",
                "sono_1.2.3_darwin_arm64.tar.gz",
                "sono_1.2.3_windows_amd64.zip"
            ]
        );
        let root = crate::repository::root();
        let version = env!("CARGO_PKG_VERSION");
        let manifest = fs::read_to_string(root.join("deploy/krew/sono.yaml")).unwrap();
        for target in &TARGETS {
            assert!(manifest.contains(&target.archive(version)), "{target}");
        }
    }

    #[test]
    fn only_known_targets_are_taken() {
        assert_eq!(parse("x86_64-pc-windows-msvc"), Ok(&TARGETS[4]));
        assert!(
            parse("riscv64gc-unknown-linux-gnu")
                .unwrap_err()
                .ends_with("x86_64-pc-windows-msvc")
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let machine = Machine {
            host: "x86_64-unknown-linux-gnu".to_owned(),
            ..Machine::this().unwrap()
        };
        assert_eq!(machine.lacks(&TARGETS[0]).unwrap(), None);
        // Nothing but a Windows machine can link for Windows, whether or not the library is there.
        let reason = machine.lacks(&TARGETS[4]).unwrap().unwrap_or_default();
        assert!(
            reason.starts_with("no standard library for it (") || reason.starts_with("no linker for it ("),
            "{reason}"
        );
    }
}
