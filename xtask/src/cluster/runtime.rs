//! The container runtimes of the cluster, as something that images are put into.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, bail};

use super::{foreign, node::Node, state::State};
use crate::{
    command,
    images::{Archive, Loaded, load},
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

    /// `ctr` on the images and containers that the kubelet sees.
    pub(crate) fn ctr(&self) -> Command {
        let mut command = Command::new(&self.ctr);
        command
            .arg("--address")
            .arg(&self.socket)
            .args(["--namespace", "k8s.io"]);
        command
    }
}

/// Puts the images into every node of the cluster that is in use.
pub(crate) fn load_images(archives: &[Archive]) -> anyhow::Result<()> {
    if let Some(kubeconfig) = foreign::kubeconfig() {
        return load_foreign(archives)
            .with_context(|| format!("load images into the cluster of {}", kubeconfig.display()));
    }
    let state = State::running()?;
    for node in Node::up_to(state.settings.nodes) {
        let runtime = Runtime::of(node, &state.programs.containerd);
        for archive in archives {
            let start = Instant::now();
            let done = match load(&runtime, archive)? {
                Loaded::Imported => "loaded",
                Loaded::AlreadyThere => "unchanged:",
            };
            let (image, node) = (&archive.reference, node.name());
            say::progress(format_args!("{done} {image} on {node} in {}", human(start.elapsed())));
        }
    }
    Ok(())
}

/// `kind` is the one foreign cluster whose runtimes can be reached.
fn load_foreign(archives: &[Archive]) -> anyhow::Result<()> {
    if command::find_program("kind").is_none() {
        bail!(
            "only a kind cluster can be loaded, and there is no `kind` here; push the archives to its registry instead"
        );
    }
    for archive in archives {
        step(&format!("loaded {} by kind", archive.reference), || {
            command::run(command::new("kind", ["load", "image-archive"]).arg(&archive.path))
        })?;
    }
    Ok(())
}
