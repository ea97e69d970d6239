//! Starts the programs of a pulled image in a root directory that holds nothing else.

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

/// The images that every run needs: the aggregator's and the worker's.
pub(crate) const NEEDED: [&str; 2] = ["sono", "sono-worker"];

/// A command of an image and the text that its output must contain; `VERSION` stands for the release's version.
struct Start {
    image: &'static str,
    command: &'static [&'static str],
    expected: &'static str,
}

const STARTS: [Start; 6] = [
    Start {
        image: "sono",
        command: &["/sonobuoy", "--version"],
        expected: "VERSION",
    },
    Start {
        image: "sono",
        command: &["/sonobuoy", "aggregator", "--help"],
        expected: "Usage: ",
    },
    Start {
        image: "sono",
        command: &["/sonobuoy", "worker", "--help"],
        expected: "single-node",
    },
    Start {
        image: "sono-worker",
        command: &["/sonobuoy", "--version"],
        expected: "VERSION",
    },
    Start {
        image: "sono-worker",
        command: &["/sonobuoy", "worker", "--help"],
        expected: "single-node",
    },
    Start {
        image: "sono-cli",
        command: &["/sono", "version", "--short"],
        expected: "VERSION",
    },
];

/// Runs the commands of `STARTS` for `image` (in `layout` as `name`). Its files are unpacked to `root`.
pub(crate) fn check(layout: &Layout, name: &str, image: &str, release: &str, root: &Path) -> anyhow::Result<()> {
    let mut starts = STARTS.iter().filter(|start| start.image == image).peekable();
    if starts.peek().is_none() {
        return Ok(());
    }
    let platform = this_machine();
    unpack(layout, name, &platform, root).with_context(|| format!("unpack {name} for {platform}"))?;
    for Start { command, expected, .. } in starts {
        let printed = output(root, command).with_context(|| format!("{name} does not start on {platform}"))?;
        let expected = expected.replace("VERSION", release);
        ensure!(
            printed.contains(&expected),
            "{} of {name} does not print `{expected}`; its output: {printed}",
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

/// Unpacks the layers of the platform's image in order.
fn unpack(layout: &Layout, name: &str, platform: &Platform, root: &Path) -> anyhow::Result<()> {
    let json = |digest: &str| anyhow::Ok(serde_json::from_slice::<Value>(&layout.read(digest)?)?);
    let index = json(&layout.find(name)?.digest)?;
    let entries = index["manifests"].as_array().context("not an image index")?;
    let is_wanted = |entry: &&Value| {
        let parsed = serde_json::from_value::<Platform>(entry["platform"].clone());
        parsed.is_ok_and(|parsed| parsed == *platform)
    };
    let Some(entry) = entries.iter().find(is_wanted) else {
        bail!("the index has no image for this machine; push from a machine of a released platform");
    };
    let manifest = json(entry["digest"].as_str().unwrap_or_default())?;
    fs::create_dir_all(root)?;
    for layer in manifest["layers"].as_array().into_iter().flatten() {
        let media_type = layer["mediaType"].as_str().unwrap_or_default();
        ensure!(
            media_type.ends_with("+gzip"),
            "a layer has the unexpected media type {media_type}"
        );
        let file = fs::File::open(layout.blob(layer["digest"].as_str().unwrap_or_default()))?;
        let mut archive = tar::Archive::new(MultiGzDecoder::new(file));
        archive.set_preserve_permissions(true);
        archive.unpack(root)?;
    }
    Ok(())
}

/// Runs the command with `root` as its root directory and its own `/proc`, as in a container. An unprivileged caller
/// becomes root in a user namespace.
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
    let output = unshare
        .stdin(Stdio::null())
        .output()
        .context("cannot start `unshare`")?;
    let mut printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        printed.push_str(&String::from_utf8_lossy(&output.stderr));
        bail!("{}: {}: {}", command.join(" "), output.status, printed.trim());
    }
    Ok(printed)
}
