//! `cargo xtask cluster`: a real Kubernetes on this machine, without a container engine and without an image registry.
//!
//! All programs are built from the Go module proxy or installed from Debian; `deploy/testbed` pins them. `down` finds the
//! cluster's processes by their control group, never by name.

mod addons;
mod certificates;
mod cgroup;
mod configuration;
mod control_plane;
mod daemon;
mod down;
mod external;
mod fake_nodes;
mod go;
mod host;
mod kubeconfig;
mod kubectl;
mod load;
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
pub use kubectl::program as kubectl;
pub(crate) use programs::of_kubernetes;
pub use programs::{registry, suite};
pub use runtime::load_images;
pub use settings::KubernetesVersion;

use crate::say;

/// Arguments of `cargo xtask cluster`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build missing programs and start the cluster, unless it is already running
    Up(settings::UpArguments),
    /// Build the missing programs of a version without starting a cluster
    Build {
        #[arg(default_value = settings::DEFAULT_KUBERNETES)]
        version: settings::KubernetesVersion,
    },
    /// Stop the cluster and remove everything it created on this machine
    Down,
    /// Show versions, nodes and processes
    Status,
    /// Print only the path of the kubeconfig
    Kubeconfig,
    /// Run the built kubectl against the cluster
    Kubectl {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Write the pinned Go module of another Kubernetes version to deploy/testbed
    Pin { version: settings::KubernetesVersion },
}

/// Runs `cargo xtask cluster`.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
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

/// Kubeconfig of the external cluster in `KUBECONFIG`, otherwise of the test cluster.
pub fn kubeconfig_path() -> PathBuf {
    external::kubeconfig().unwrap_or_else(state::kubeconfig)
}

/// Kubernetes version of the running cluster, or the default version.
pub(crate) fn version() -> anyhow::Result<KubernetesVersion> {
    match state::State::running() {
        Ok(state) => Ok(state.settings.kubernetes),
        Err(_) => settings::DEFAULT_KUBERNETES.parse(),
    }
}
