//! Tools from the package registry, built once into the cache.

use std::path::PathBuf;

use sono_testbed::{cache, command, repository, step::long_step};

/// Builds the program of the package `name` in this version and returns its path. Cargo installs the program only after a
/// complete build.
pub(crate) fn program(name: &str, version: &str) -> anyhow::Result<PathBuf> {
    let folder = cache::directory(&format!("{name}-{version}"))?;
    let program = folder
        .join("bin")
        .join(name)
        .with_extension(std::env::consts::EXE_EXTENSION);
    if !program.is_file() {
        let package = format!("{name}@{version}");
        long_step(
            &format!("building {package} (minutes)"),
            &format!("built {package}"),
            || {
                let mut install =
                    command::new(command::cargo(), ["install", "--quiet", "--locked", &package, "--root"]);
                install.arg(&folder).current_dir(repository::root());
                // The build settings of this repository must not affect tools.
                install.env_remove("RUSTFLAGS").env_remove("CARGO_TARGET_DIR");
                command::run_visibly(&mut install)
            },
        )?;
    }
    Ok(program)
}
