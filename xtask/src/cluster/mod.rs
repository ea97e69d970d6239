//! `cargo xtask cluster`: a real Kubernetes on this machine, without a container engine and without an image registry.
//!
//! Everything is built from the Go module proxy or installed from Debian; `deploy/testbed` pins it. What was started is
//! known by its control group, never by its name: `down` ends exactly that.

mod addons;
mod certificates;
mod cgroup;
mod configuration;
mod control_plane;
mod daemon;
pub(crate) mod debian;
mod down;
mod fake_nodes;
mod foreign;
mod go;
mod host;
mod kubeconfig;
mod kubectl;
mod mounts;
mod network;
mod node;
mod node_parts;
mod pin;
mod programs;
mod runtime;
mod settings;
mod state;
mod status;
mod up;

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};

pub(crate) use kubectl::program as kubectl;
pub(crate) use programs::{of_kubernetes, registry, suite};
pub(crate) use runtime::{Runtime, load_images};
pub(crate) use settings::KubernetesVersion;

use crate::say;

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build what is missing and start the cluster; says so and ends when it runs already
    Up(settings::UpArguments),
    /// Only build what is missing of a version, beside whatever runs
    Build {
        #[arg(default_value = settings::DEFAULT_KUBERNETES)]
        version: settings::KubernetesVersion,
    },
    /// Stop the cluster and remove everything it left on this machine
    Down,
    /// Versions, nodes and processes
    Status,
    /// Print the path of the kubeconfig and nothing else
    Kubeconfig,
    /// Run the kubectl we built against the cluster
    Kubectl {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Write the pinned Go module of another Kubernetes version to deploy/testbed
    Pin { version: settings::KubernetesVersion },
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::Up(arguments) => up::run(&arguments)?,
        Command::Build { version } => {
            programs::ensure(&version)?;
        }
        Command::Down => down::run()?,
        Command::Status => status::run()?,
        Command::Kubeconfig => say::data(kubeconfig_path().display()),
        Command::Kubectl { arguments } => return kubectl::pass_through(&arguments),
        Command::Pin { version } => pin::run(&version)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The cluster that `KUBECONFIG` names, otherwise ours.
pub(crate) fn kubeconfig_path() -> PathBuf {
    foreign::kubeconfig().unwrap_or_else(state::kubeconfig)
}

/// Of the cluster that runs, or of the one that would.
pub(crate) fn version() -> anyhow::Result<KubernetesVersion> {
    match state::State::running() {
        Ok(state) => Ok(state.settings.kubernetes),
        Err(_) => settings::DEFAULT_KUBERNETES.parse(),
    }
}
