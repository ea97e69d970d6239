//! Loads images into the container runtimes of the cluster.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, bail};

use super::{
    external,
    load::{Loaded, load},
    node::Node,
    state::State,
};
use crate::{
    command,
    images::Archive,
    say,
    step::{human, step},
};

pub(crate) struct Runtime {
    ctr: PathBuf,
    socket: PathBuf,
}

impl Runtime {
    pub(crate) fn of(node: Node, containerd: &Path) -> Self {
        Self {
            ctr: containerd.join("ctr"),
            socket: node.runtime_socket(),
        }
    }

    /// A `ctr` command for the kubelet's images and containers.
    pub(crate) fn ctr(&self) -> Command {
        let mut command = Command::new(&self.ctr);
        command
            .arg("--address")
            .arg(&self.socket)
            .args(["--namespace", "k8s.io"]);
        command
    }
}

/// Loads the images into every node of the current cluster.
pub fn load_images(archives: &[Archive]) -> anyhow::Result<()> {
    if let Some(kubeconfig) = external::kubeconfig() {
        return load_external(archives)
            .with_context(|| format!("cannot load images into the cluster of {}", kubeconfig.display()));
    }
    let state = State::running()?;
    for node in Node::up_to(state.settings.nodes) {
        let runtime = Runtime::of(node, &state.programs.containerd);
        for archive in archives {
            let start = Instant::now();
            let done = match load(&runtime, archive)? {
                Loaded::Imported => "loaded",
                Loaded::AlreadyLoaded => "unchanged:",
            };
            let (image, node) = (&archive.reference, node.name());
            say::progress(format_args!("{done} {image} on {node} in {}", human(start.elapsed())));
        }
    }
    Ok(())
}

/// Loads images into a kind cluster, the only supported kind of external cluster.
fn load_external(archives: &[Archive]) -> anyhow::Result<()> {
    if command::find_program("kind").is_none() {
        bail!(
            "loading images requires a kind cluster and the program `kind`; push the archives to the cluster's registry instead"
        );
    }
    for archive in archives {
        step(&format!("loaded {} with kind", archive.reference), || {
            command::run(command::new("kind", ["load", "image-archive"]).arg(&archive.path))
        })?;
    }
    Ok(())
}
