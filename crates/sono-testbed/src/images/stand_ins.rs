//! Images with the names in real plugin definitions and with shell scripts instead of their programs, to test the definitions
//! without pulling images.

use std::path::Path;

use fs_err as fs;

use super::{
    archive::{Image, Settings},
    root::Entry,
    test_plugin,
};
use crate::repository;

/// Each image's name, the path of its program, and the script that stands in for it.
const STAND_INS: [(&str, &str, &str); 4] = [
    ("sonobuoy/testimage:v0.1", "/testImage", "test-image.sh"),
    ("sonobuoy/systemd-logs:v0.4", "/get_systemd_logs.sh", "systemd-logs.sh"),
    ("schnake/progress-reporter:v0.1", "/run.sh", "progress.sh"),
    ("user/easy-sonobuoy-cmds:v0.1", "/run.sh", "commands.sh"),
];

/// The images.
pub fn images() -> anyhow::Result<Vec<Image>> {
    let folder = repository::root().join("deploy/images/stand-ins");
    let image = |(name, program, script): (&str, &str, &str)| {
        let mut root = test_plugin::root()?.with(program, Entry::Program(folder.join(script)));
        for (path, text) in resources(&folder.join("resources"))? {
            root = root.with(&path, Entry::Text(text));
        }
        Ok(Image {
            // Container runtimes complete names without a registry with Docker's.
            reference: format!("docker.io/{name}"),
            root,
            settings: Settings {
                user: 0,
                ..Settings::running(&["/bin/sh"])
            },
        })
    };
    STAND_INS.into_iter().map(image).collect()
}

fn resources(folder: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mut resources = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        resources.push((format!("/resources/{name}"), fs::read_to_string(entry.path())?));
    }
    Ok(resources)
}
