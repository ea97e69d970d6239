//! Images and a real registry server, without a cluster: `cargo xtask e2e` builds the server and runs these first; `--registry`
//! runs these alone.
#![expect(clippy::unwrap_used, reason = "these are tests")]

mod command_line;
mod cut;
mod publish;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use fs_err as fs;
use sono_testkit::RegistryServer;

/// Names of a release's images, in the order in which they are told.
const IMAGES: [&str; 4] = ["sono-cli", "sono-systemd-logs", "sono-worker", "sono"];

/// Code, standard output and standard error.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    code: i32,
    stdout: String,
    stderr: String,
}

fn said(output: &Output) -> Said {
    Said {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout.clone()).unwrap(),
        stderr: String::from_utf8(output.stderr.clone()).unwrap(),
    }
}

/// `cargo xtask images` with the archives in `folder`, without anybody's logins.
fn images(folder: &Path, arguments: &[&str], docker_config: Option<&Path>) -> Said {
    let xtask = std::env::var_os("SONO_TEST_XTASK").expect("run `cargo xtask e2e`");
    let mut command = Command::new(xtask);
    command.args(["images", "--out"]).arg(folder).args(arguments);
    command.env("DOCKER_CONFIG", docker_config.unwrap_or(folder));
    said(&command.output().unwrap())
}

/// `sono` in an environment of its own.
fn sono(folder: &Path, arguments: &[&str], docker_config: Option<&Path>) -> Said {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("sono"));
    command.current_dir(folder).args(arguments);
    command
        .env_clear()
        .env("HOME", folder)
        .env("PATH", "/nowhere")
        .env("TZ", "UTC");
    command.envs(docker_config.map(|path| ("DOCKER_CONFIG", path)));
    said(&command.output().unwrap())
}

/// A folder with the archives of a release's images, copied from where `cargo xtask e2e` has built them.
fn archives() -> tempfile::TempDir {
    let built = PathBuf::from(std::env::var_os("SONO_TEST_IMAGES").expect("run `cargo xtask e2e`"));
    let folder = tempfile::tempdir().unwrap();
    for image in IMAGES {
        let name = format!("{image}.oci.tar");
        fs::copy(built.join(&name), folder.path().join(&name)).unwrap();
    }
    folder
}

/// The same, put together.
fn put_together() -> tempfile::TempDir {
    let folder = archives();
    let said = images(folder.path(), &["--index"], None);
    assert_eq!(said.code, 0, "{}", said.stderr);
    folder
}

/// The digests of the images that were put together, by name.
fn digests(folder: &Path) -> BTreeMap<&'static str, String> {
    let layout = sono_images::Layout::at(folder.join("index"));
    let digest = |image: &str| layout.find(&format!("sono.local/{image}:dev")).unwrap().digest;
    IMAGES.into_iter().map(|image| (image, digest(image))).collect()
}

/// The tags of a release's images below `prefix`.
fn tags(server: &RegistryServer, prefix: &str) -> Vec<Vec<String>> {
    IMAGES.map(|image| server.tags(&format!("{prefix}/{image}"))).to_vec()
}

/// The tag of this version.
fn tag() -> String {
    format!("v{}", env!("CARGO_PKG_VERSION"))
}
