//! Whether the programs of an image start, in nothing but what the registry sent.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail, ensure};
use flate2::read::MultiGzDecoder;
use fs_err as fs;
use serde_json::Value;
use sono_images::{Layout, Platform};

use crate::say;

/// The images without which there is no run: the aggregator's and the worker's.
pub(crate) const NEEDED: [&str; 2] = ["sono", "sono-worker"];

/// A program of an image, and what it must say; `VERSION` stands for the release's.
struct Start {
    image: &'static str,
    command: &'static [&'static str],
    says: &'static str,
}

const STARTS: [Start; 6] = [
    Start {
        image: "sono",
        command: &["/sonobuoy", "--version"],
        says: "VERSION",
    },
    Start {
        image: "sono",
        command: &["/sonobuoy", "aggregator", "--help"],
        says: "Usage: ",
    },
    Start {
        image: "sono",
        command: &["/sonobuoy", "worker", "--help"],
        says: "single-node",
    },
    Start {
        image: "sono-worker",
        command: &["/sonobuoy", "--version"],
        says: "VERSION",
    },
    Start {
        image: "sono-worker",
        command: &["/sonobuoy", "worker", "--help"],
        says: "single-node",
    },
    Start {
        image: "sono-cli",
        command: &["/sono", "version", "--short"],
        says: "VERSION",
    },
];

/// Starts what `image` (in `layout` as `name`) must be able to start. `root` is where its files go.
pub(crate) fn check(layout: &Layout, name: &str, image: &str, release: &str, root: &Path) -> anyhow::Result<()> {
    let mut starts = STARTS.iter().filter(|start| start.image == image).peekable();
    if starts.peek().is_none() {
        return Ok(());
    }
    let platform = this_machine();
    unpack(layout, name, &platform, root).with_context(|| format!("unpack {name} for {platform}"))?;
    for Start { command, says, .. } in starts {
        let said = output(root, command).with_context(|| format!("{name} does not start on {platform}"))?;
        let expected = says.replace("VERSION", release);
        ensure!(
            said.contains(&expected),
            "{} of {name} does not say `{expected}`, but: {said}",
            command.join(" ")
        );
        say::progress(format_args!("starts: {} of {name} ({platform})", command.join(" ")));
    }
    Ok(())
}

fn this_machine() -> Platform {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    Platform {
        os: "linux".to_owned(),
        architecture: architecture.to_owned(),
        variant: None,
    }
}

/// The files of an image for this platform, layer over layer.
fn unpack(layout: &Layout, name: &str, platform: &Platform, root: &Path) -> anyhow::Result<()> {
    let json = |digest: &str| anyhow::Ok(serde_json::from_slice::<Value>(&layout.read(digest)?)?);
    let index = json(&layout.find(name)?.digest)?;
    let entries = index["manifests"].as_array().context("it is no index")?;
    let is_wanted = |entry: &&Value| {
        let said = serde_json::from_value::<Platform>(entry["platform"].clone());
        said.is_ok_and(|said| said == *platform)
    };
    let Some(entry) = entries.iter().find(is_wanted) else {
        bail!("it is not there for this machine; push from one that it is for");
    };
    let manifest = json(entry["digest"].as_str().unwrap_or_default())?;
    fs::create_dir_all(root)?;
    for layer in manifest["layers"].as_array().into_iter().flatten() {
        let media_type = layer["mediaType"].as_str().unwrap_or_default();
        ensure!(
            media_type.ends_with("+gzip"),
            "a layer is {media_type}, which is not ours"
        );
        let file = fs::File::open(layout.blob(layer["digest"].as_str().unwrap_or_default()))?;
        let mut archive = tar::Archive::new(MultiGzDecoder::new(file));
        archive.set_preserve_permissions(true);
        archive.unpack(root)?;
    }
    Ok(())
}

/// Runs it with `root` as its root and a `/proc` of its own, as a container has them. Whoever is not root becomes it in a user
/// namespace.
fn output(root: &Path, command: &[&str]) -> anyhow::Result<String> {
    fs::create_dir_all(root.join("proc"))?;
    let mut unshare = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        unshare.arg("--map-root-user");
    }
    unshare
        .args(["--mount", "--pid", "--fork", "--mount-proc", "--root"])
        .arg(root)
        .args(command)
        .env_clear()
        .env("PATH", "/usr/bin:/bin");
    let output = unshare.stdin(Stdio::null()).output().context("start it")?;
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        bail!("{}: {}: {}", command.join(" "), output.status, said.trim());
    }
    Ok(said)
}
