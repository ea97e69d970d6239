//! The target systems of a release.

use std::fmt;

use anyhow::Context;
use fs_err as fs;
use sono_testbed::command;

/// The archive format of a system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    TarGz,
    Zip,
}

/// A row of [`TARGETS`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Target triple of the Rust compiler.
    pub(super) triple: &'static str,
    /// Name in Go, Kubernetes and krew.
    pub(super) system: &'static str,
    pub(super) architecture: &'static str,
}

/// The targets of a release. On Linux glibc is linked dynamically, because name services are loaded at run time.
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

    /// File name without extension; krew's manifest and deploy/ci/sono-ci.sh depend on it.
    pub(super) fn stem(&self, version: &str) -> String {
        format!("sono_{version}_{}_{}", self.system, self.architecture)
    }

    pub(super) fn archive(&self, version: &str) -> String {
        let extension = match self.packing() {
            Packing::TarGz => "tar.gz",
            Packing::Zip => "zip",
        };
        format!("{}.{extension}", self.stem(version))
    }

    /// Cargo's environment variable for the target's linker.
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

/// Parses a target triple, for clap.
pub(super) fn parse(triple: &str) -> Result<&'static Target, String> {
    TARGETS.iter().find(|target| target.triple == triple).ok_or_else(|| {
        let known: Vec<&str> = TARGETS.iter().map(|target| target.triple).collect();
        format!("not a target of the release; the targets are {}", known.join(", "))
    })
}

/// The compiler of this machine.
pub(super) struct Machine {
    /// The compiler's own target.
    pub(super) host: String,
    /// Commit of the compiler's source, as in the paths of the standard library.
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
                .with_context(|| format!("`rustc -vV` does not print {name}"))
        };
        Ok(Self {
            host: line("host")?,
            compiler_commit: line("commit-hash")?,
            sysroot: command::output(&mut rustc(&["--print", "sysroot"]))?.trim().to_owned(),
        })
    }

    /// The reason if `target` cannot be built here.
    pub(super) fn missing_for(&self, target: &Target) -> anyhow::Result<Option<String>> {
        if target.triple == self.host {
            return Ok(None);
        }
        let libraries = rustc(&["--print", "target-libdir", "--target", target.triple]);
        let libraries = command::output(&mut { libraries })?;
        let has_library = fs::read_dir(libraries.trim()).is_ok_and(|mut files| files.next().is_some());
        if !has_library {
            let reason = format!("missing standard library (run `rustup target add {}`)", target.triple);
            return Ok(Some(reason));
        }
        let has_linker = std::env::var_os(target.linker_variable()).is_some() || self.links_by_itself(target);
        let reason = || format!("missing linker (set {})", target.linker_variable());
        Ok((!has_linker).then(reason))
    }

    /// Whether the host's linker supports the target: Apple's linker supports both architectures.
    fn links_by_itself(&self, target: &Target) -> bool {
        self.host.ends_with("-apple-darwin") && target.system == "darwin"
    }
}

fn rustc(arguments: &[&str]) -> std::process::Command {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut rustc = command::new(rustc, arguments);
    // Selects the pinned toolchain.
    rustc.current_dir(sono_testbed::repository::root());
    rustc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archive_names_match_krew_manifest() {
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
        let root = sono_testbed::repository::root();
        let version = env!("CARGO_PKG_VERSION");
        let manifest = fs::read_to_string(root.join("deploy/krew/sono.yaml")).unwrap();
        for target in &TARGETS {
            assert!(manifest.contains(&target.archive(version)), "{target}");
        }
    }

    #[test]
    fn parse_accepts_only_known_targets() {
        assert_eq!(parse("x86_64-pc-windows-msvc"), Ok(&TARGETS[4]));
        assert!(
            parse("riscv64gc-unknown-linux-gnu")
                .unwrap_err()
                .ends_with("x86_64-pc-windows-msvc")
        );
    }

    #[test]
    fn missing_for_names_library_or_linker() {
        let machine = Machine {
            host: "x86_64-unknown-linux-gnu".to_owned(),
            ..Machine::this().unwrap()
        };
        assert_eq!(machine.missing_for(&TARGETS[0]).unwrap(), None);
        // Only Windows machines can link for Windows, whether or not the library is installed.
        let reason = machine.missing_for(&TARGETS[4]).unwrap().unwrap_or_default();
        assert!(
            reason.starts_with("missing standard library (") || reason.starts_with("missing linker ("),
            "{reason}"
        );
    }
}
