//! The test vectors: definitions, archives and golden files of Sonobuoy, which are not part of this repository.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The path of `name` in the test vectors: in the directory `$SONO_VECTORS`, or else in `../shared/vectors` next to the repository.
/// Panics if it does not exist: tests that use it are in a module `vectors` and ignored, and `cargo xtask test` runs them if
/// the directory exists.
pub fn vectors(name: &str) -> PathBuf {
    let root = env::var_os("SONO_VECTORS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
        PathBuf::from,
    );
    let path = root.join(name);
    assert!(path.exists(), "{} does not exist", path.display());
    path
}
