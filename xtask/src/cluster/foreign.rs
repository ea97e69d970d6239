//! A cluster that somebody else runs: with `KUBECONFIG` set to anything but ours, that one is used.

use std::{env, path::PathBuf};

use super::state;

pub(crate) fn kubeconfig() -> Option<PathBuf> {
    let path = PathBuf::from(env::var_os("KUBECONFIG").filter(|value| !value.is_empty())?);
    (path != state::kubeconfig()).then_some(path)
}
