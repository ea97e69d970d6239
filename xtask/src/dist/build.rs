//! Compiles the program reproducibly, without time and paths of the build.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use clap::Args;
use fs_err as fs;
use sono_testbed::{command, step::long_step};

use super::{
    packages::{Packages, ROOT},
    source::Source,
    target::{Machine, Target},
};

/// Options of the build.
#[derive(Args, Clone, Debug)]
pub(super) struct Settings {
    /// Registry and path of the program's default images, such as registry.example/team (default: the images of `cargo xtask
    /// images`)
    #[arg(long, value_name = "PREFIX")]
    image_registry: Option<String>,
    /// Cargo profile; use others than release only for tests of this command
    #[arg(long, default_value = "release")]
    profile: String,
}

/// A path on this machine and its replacement in the program.
type Renaming = (PathBuf, String);

/// Builds the program and returns its path.
pub(super) fn program(
    tree: &Path,
    target: &Target,
    source: &Source,
    machine: &Machine,
    packages: &Packages,
    settings: &Settings,
) -> anyhow::Result<PathBuf> {
    let renamings = renamings(tree, machine, packages);
    let folder = tree.join("target/dist");
    let mut cargo = command::new(
        command::cargo(),
        ["build", "--quiet", "--locked", "--package", ROOT, "--bin", "sono"],
    );
    cargo
        .args([
            "--profile",
            &settings.profile,
            "--target",
            target.triple,
            "--target-dir",
        ])
        .arg(&folder)
        .current_dir(tree)
        .env("CARGO_INCREMENTAL", "0")
        .env("SOURCE_DATE_EPOCH", source.time.to_string())
        .env("SONO_COMMIT", &source.revision)
        .env("CARGO_ENCODED_RUSTFLAGS", rust_flags(target, &renamings).join("\u{1f}"));
    // Personal settings must not affect a release.
    for variable in [
        "RUSTFLAGS",
        "RUSTC_WRAPPER",
        "CARGO_BUILD_RUSTFLAGS",
        "CARGO_TARGET_DIR",
    ] {
        cargo.env_remove(variable);
    }
    for (variable, image) in images(settings.image_registry.as_deref(), &packages.version.to_string()) {
        cargo.env(variable, image);
    }
    if !target.is_windows() {
        cargo.env("CFLAGS", c_flags(&renamings));
    }
    long_step(
        &format!(
            "building sono for {target}, profile {} (minutes when cold)",
            settings.profile
        ),
        &format!("built sono for {target}"),
        || command::run_visibly(&mut cargo),
    )?;
    let profile = if settings.profile == "dev" {
        "debug"
    } else {
        &settings.profile
    };
    let program = folder.join(target.triple).join(profile).join(target.program());
    let bytes = fs::read(&program)?;
    for (path, _) in &renamings {
        let path = path.to_str().context("a path is not UTF-8")?;
        ensure!(
            !contains(&bytes, path.as_bytes()),
            "{} contains the path `{path}`, so the build is not reproducible elsewhere",
            program.display()
        );
    }
    Ok(program)
}

/// Build variables of `sono_types::constants` with the images of the release.
fn images(prefix: Option<&str>, version: &str) -> Vec<(&'static str, String)> {
    let Some(prefix) = prefix else {
        return Vec::new();
    };
    let image = |name: &str| format!("{}/{name}:v{version}", prefix.trim_end_matches('/'));
    vec![
        ("SONO_BUILD_AGGREGATOR_IMAGE", image("sono")),
        ("SONO_BUILD_WORKER_IMAGE", image("sono-worker")),
        ("SONO_BUILD_SYSTEMD_LOGS_IMAGE", image("sono-systemd-logs")),
    ]
}

/// Path replacements for the tree, the folders of unpacked packages, and the standard library's sources, whether or not this
/// machine has them.
fn renamings(tree: &Path, machine: &Machine, packages: &Packages) -> Vec<Renaming> {
    let registries: BTreeSet<PathBuf> = packages
        .third_parties()
        .filter_map(|package| Some(package.manifest_path.parent()?.parent()?.as_std_path().to_owned()))
        .collect();
    let library = Path::new(&machine.sysroot).join("lib/rustlib/src/rust");
    [(tree.to_owned(), "/sono".to_owned())]
        .into_iter()
        .chain(registries.into_iter().map(|registry| (registry, "/cargo".to_owned())))
        .chain([(library, format!("/rustc/{}", machine.compiler_commit))])
        .collect()
}

fn rust_flags(target: &Target, renamings: &[Renaming]) -> Vec<String> {
    let mut flags: Vec<String> = renamings
        .iter()
        .map(|(path, name)| format!("--remap-path-prefix={}={name}", path.display()))
        .collect();
    if target.is_windows() {
        // Omit the time in the program's header, and link the C runtime statically.
        flags.extend(["-Clink-arg=/Brepro", "-Ctarget-feature=+crt-static"].map(ToOwned::to_owned));
    }
    flags
}

/// Compiler flags for the cryptography library, which is written in C.
fn c_flags(renamings: &[Renaming]) -> String {
    let flags = renamings
        .iter()
        .map(|(path, name)| format!("-ffile-prefix-map={}={name}", path.display()));
    flags.collect::<Vec<_>>().join(" ")
}

fn contains(bytes: &[u8], pattern: &[u8]) -> bool {
    !pattern.is_empty() && bytes.windows(pattern.len()).any(|window| window == pattern)
}

#[cfg(test)]
mod tests {
    use super::{super::target::TARGETS, *};

    #[test]
    fn images_have_version_of_release() {
        assert_eq!(images(None, "1.2.3"), []);
        assert_eq!(
            images(Some("registry.example/team/"), "1.2.3"),
            [
                (
                    "SONO_BUILD_AGGREGATOR_IMAGE",
                    "registry.example/team/sono:v1.2.3".to_owned()
                ),
                (
                    "SONO_BUILD_WORKER_IMAGE",
                    "registry.example/team/sono-worker:v1.2.3".to_owned()
                ),
                (
                    "SONO_BUILD_SYSTEMD_LOGS_IMAGE",
                    "registry.example/team/sono-systemd-logs:v1.2.3".to_owned()
                )
            ]
        );
    }

    #[test]
    fn flags_remap_paths_for_both_compilers() {
        let renamings = [
            (PathBuf::from("/home/a/tree"), "/sono".to_owned()),
            (PathBuf::from("/home/a/registry"), "/cargo".to_owned()),
        ];
        let rust = [
            "--remap-path-prefix=/home/a/tree=/sono",
            "--remap-path-prefix=/home/a/registry=/cargo",
        ];
        assert_eq!(rust_flags(&TARGETS[0], &renamings), rust);
        assert_eq!(
            rust_flags(&TARGETS[4], &renamings)[2..],
            ["-Clink-arg=/Brepro", "-Ctarget-feature=+crt-static"]
        );
        assert_eq!(
            c_flags(&renamings),
            "-ffile-prefix-map=/home/a/tree=/sono -ffile-prefix-map=/home/a/registry=/cargo"
        );
    }

    #[test]
    fn contains_finds_path_in_program() {
        assert!(contains(b"\0panicked at /home/a/x.rs\0", b"/home/a"));
        assert!(!contains(b"\0panicked at /sono/x.rs\0", b"/home/a"));
    }
}
