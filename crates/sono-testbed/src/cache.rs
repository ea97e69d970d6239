//! The cache between runs, outside the source tree: `$SONO_CACHE`, or `sono` in the user's cache directory.

use std::{env, path::PathBuf};

use anyhow::Context;
use fs_err as fs;

/// The variable with the cache's path.
pub const VARIABLE: &str = "SONO_CACHE";

/// A directory of the cache; created if missing.
pub fn directory(name: &str) -> anyhow::Result<PathBuf> {
    let directory = root()?.join(name);
    fs::create_dir_all(&directory)?;
    Ok(directory)
}

fn root() -> anyhow::Result<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set(VARIABLE)
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("sono")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/sono")))
        .with_context(|| format!("neither {VARIABLE} nor HOME is set"))
}
