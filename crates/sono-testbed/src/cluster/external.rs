//! An external cluster, which is used if `KUBECONFIG` is set to another file than the test cluster's.

use std::{env, path::PathBuf};

use super::state;

pub(crate) fn kubeconfig() -> Option<PathBuf> {
    let path = PathBuf::from(env::var_os("KUBECONFIG").filter(|value| !value.is_empty())?);
    (path != state::kubeconfig()).then_some(path)
}
