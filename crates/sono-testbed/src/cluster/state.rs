//! The running cluster's files. Only one cluster per machine, because addresses and names are fixed.

use std::path::{Path, PathBuf};

use anyhow::Context;
use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::{host::HostSettings, programs::Programs, settings::Settings};
use crate::cache;

/// The cluster's directory. Short, because paths of Unix sockets are limited to 107 bytes.
pub(crate) const DIRECTORY: &str = "/var/lib/sono-testbed";

pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(name)
}

pub(crate) fn kubeconfig() -> PathBuf {
    path("kubeconfig")
}

/// Directory of logs, which are retained until the next cluster starts.
pub(crate) fn log_directory() -> anyhow::Result<PathBuf> {
    cache::directory("cluster-logs")
}

/// The recorded state of a cluster, for `down`.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct State {
    pub(crate) settings: Settings,
    /// Whether the start is complete.
    pub(crate) complete: bool,
    pub(crate) host: HostSettings,
    /// The cluster's programs, also if the checkout has since pinned others.
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
            .with_context(|| format!("cannot read {}", file().display()))
    }

    /// The state of a running cluster; fails without one.
    pub(crate) fn running() -> anyhow::Result<Self> {
        let state = Self::load()?.filter(|state| state.complete);
        state.context("the test cluster is not running; start it with `cargo xtask cluster up`")
    }

    pub(crate) fn save(&self) -> anyhow::Result<()> {
        fs::create_dir_all(DIRECTORY)?;
        fs::write(file(), serde_json::to_vec_pretty(self)?)?;
        Ok(())
    }
}
