//! The kubectl we built, on our cluster.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::Context;

use super::{
    foreign,
    state::{self, State},
};
use crate::command;

/// For steps of the cluster itself, which know where the programs are.
pub(crate) fn command(kubernetes: &Path) -> Command {
    let mut command = Command::new(kubernetes.join("kubectl"));
    command.arg("--kubeconfig").arg(state::kubeconfig());
    command
}

/// The program, for tests that change the cluster.
pub(crate) fn program() -> anyhow::Result<PathBuf> {
    if foreign::kubeconfig().is_some() {
        return installed();
    }
    Ok(State::running()?.programs.kubernetes.join("kubectl"))
}

pub(crate) fn pass_through(arguments: &[OsString]) -> anyhow::Result<ExitCode> {
    let mut kubectl = if let Some(kubeconfig) = foreign::kubeconfig() {
        command::new(installed()?, ["--kubeconfig".into(), kubeconfig.into_os_string()])
    } else {
        command(&State::running()?.programs.kubernetes)
    };
    let status = kubectl.args(arguments).status().context("start kubectl")?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}

fn installed() -> anyhow::Result<PathBuf> {
    command::find_program("kubectl").context("there is no kubectl for the cluster of KUBECONFIG")
}
