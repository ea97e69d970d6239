//! The built kubectl, for the test cluster.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::Context;

use super::{
    external,
    state::{self, State},
};
use crate::command;

/// A kubectl command for the cluster's own steps, with the programs in `kubernetes`.
pub(crate) fn command(kubernetes: &Path) -> Command {
    let mut command = Command::new(kubernetes.join("kubectl"));
    command.arg("--kubeconfig").arg(state::kubeconfig());
    command
}

/// Path of kubectl, for tests that change the cluster.
pub fn program() -> anyhow::Result<PathBuf> {
    if external::kubeconfig().is_some() {
        return installed();
    }
    Ok(State::running()?.programs.kubernetes.join("kubectl"))
}

pub(crate) fn pass_through(arguments: &[OsString]) -> anyhow::Result<ExitCode> {
    let mut kubectl = if let Some(kubeconfig) = external::kubeconfig() {
        command::new(installed()?, ["--kubeconfig".into(), kubeconfig.into_os_string()])
    } else {
        command(&State::running()?.programs.kubernetes)
    };
    let status = kubectl.args(arguments).status().context("cannot start kubectl")?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}

fn installed() -> anyhow::Result<PathBuf> {
    command::find_program("kubectl").context("kubectl is not installed; the cluster of KUBECONFIG requires it")
}
