//! Where the running cluster keeps its files. One cluster per machine, as it has fixed addresses and names on it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::{host::HostSettings, programs::Programs, settings::Settings};
use crate::cache;

/// Short, because the paths of Unix sockets are limited to 107 bytes.
pub(crate) const DIRECTORY: &str = "/var/lib/sono-testbed";

pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(name)
}

pub(crate) fn kubeconfig() -> PathBuf {
    path("kubeconfig")
}

/// Logs outlive the cluster, until the next one starts.
pub(crate) fn log_directory() -> anyhow::Result<PathBuf> {
    cache::directory("cluster-logs")
}

/// What `up` has promised and `down` has to undo.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct State {
    pub(crate) settings: Settings,
    /// False from the first file written until everything answered.
    pub(crate) complete: bool,
    pub(crate) host: HostSettings,
    /// The programs it was started with: a checkout that pins others by now must still find these.
    pub(crate) programs: Programs,
}

fn file() -> PathBuf {
    path("state.json")
}

impl State {
    pub(crate) fn load() -> anyhow::Result<Option<Self>> {
        if !file().exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(file())?;
        serde_json::from_str(&text)
            .map(Some)
            .with_context(|| format!("read {}", file().display()))
    }

    /// For tasks that need a cluster which answers.
    pub(crate) fn running() -> anyhow::Result<Self> {
        let state = Self::load()?.filter(|state| state.complete);
        state.context("no cluster runs here; start one with `cargo xtask cluster up`")
    }

    pub(crate) fn save(&self) -> anyhow::Result<()> {
        fs::create_dir_all(DIRECTORY)?;
        fs::write(file(), serde_json::to_vec_pretty(self)?)?;
        Ok(())
    }
}
