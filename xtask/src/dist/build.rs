//! Compiles the program so that neither the time nor the place of the build is in it.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use clap::Args;
use fs_err as fs;

use super::{
    packages::{Packages, ROOT},
    source::Source,
    target::{Machine, Target},
};
use crate::{command, step::long_step};

/// What may be chosen.
#[derive(Args, Clone, Debug)]
pub(super) struct Settings {
    /// Registry and path of the images that the program asks for where nobody names one, such as registry.example/team; without it
    /// those of `cargo xtask images`
    #[arg(long, value_name = "PREFIX")]
    image_registry: Option<String>,
    /// Cargo profile; any other than release is for trying this command
    #[arg(long, default_value = "release")]
    profile: String,
}

/// From a place on this machine to the one that stands in the program.
type Renaming = (PathBuf, String);

/// Returns the program's path.
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
    // What somebody sets for daily work is no part of a release.
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
    let path = folder.join(target.triple).join(profile).join(target.program());
    let bytes = fs::read(&path)?;
    for (place, _) in &renamings {
        let place = place.to_str().context("a path is no UTF-8")?;
        ensure!(
            !contains(&bytes, place.as_bytes()),
            "`{place}` is in {}: built elsewhere it would be another program",
            path.display()
        );
    }
    Ok(path)
}

/// Variables of `sono_types::constants`: released programs ask for released images.
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

/// The tree, the folders that packages are unpacked in, and the standard library's sources, which stand under one name
/// whether or not this machine has them.
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
        .map(|(place, name)| format!("--remap-path-prefix={}={name}", place.display()))
        .collect();
    if target.is_windows() {
        // No time in the program's head, and no library of the compiler's that users would have to install.
        flags.extend(["-Clink-arg=/Brepro", "-Ctarget-feature=+crt-static"].map(ToOwned::to_owned));
    }
    flags
}

/// For the cryptography, which is C.
fn c_flags(renamings: &[Renaming]) -> String {
    let flags = renamings
        .iter()
        .map(|(place, name)| format!("-ffile-prefix-map={}={name}", place.display()));
    flags.collect::<Vec<_>>().join(" ")
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    !wanted.is_empty() && bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::{super::target::TARGETS, *};

    #[test]
    fn released_programs_ask_for_images_of_their_version() {
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
    fn places_are_renamed_for_both_compilers() {
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
    fn a_place_is_found_in_a_program() {
        assert!(contains(b"\0panicked at /home/a/x.rs\0", b"/home/a"));
        assert!(!contains(b"\0panicked at /sono/x.rs\0", b"/home/a"));
    }
}
