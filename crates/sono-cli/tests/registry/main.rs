//! Tests of images with a real registry server and without a cluster. `cargo xtask e2e` builds the server and runs these tests
//! first; `--registry` runs only these.
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

/// Names of a release's images, in the order of the output.
const IMAGES: [&str; 4] = ["sono-cli", "sono-systemd-logs", "sono-worker", "sono"];

/// Exit code and output of a finished process.
#[derive(Debug, PartialEq, Eq)]
struct Finished {
    code: i32,
    stdout: String,
    stderr: String,
}

fn finished(output: &Output) -> Finished {
    Finished {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout.clone()).unwrap(),
        stderr: String::from_utf8(output.stderr.clone()).unwrap(),
    }
}

/// Runs `cargo xtask images` with the archives in `folder`, without the user's logins.
fn images(folder: &Path, arguments: &[&str], docker_config: Option<&Path>) -> Finished {
    let xtask = std::env::var_os("SONO_TEST_XTASK").expect("run `cargo xtask e2e`");
    let mut command = Command::new(xtask);
    command.args(["images", "--out"]).arg(folder).args(arguments);
    command.env("DOCKER_CONFIG", docker_config.unwrap_or(folder));
    finished(&command.output().unwrap())
}

/// Runs `sono` in an isolated environment.
fn sono(folder: &Path, arguments: &[&str], docker_config: Option<&Path>) -> Finished {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("sono"));
    command.current_dir(folder).args(arguments);
    command
        .env_clear()
        .env("HOME", folder)
        .env("PATH", "/nowhere")
        .env("TZ", "UTC");
    command.envs(docker_config.map(|path| ("DOCKER_CONFIG", path)));
    finished(&command.output().unwrap())
}

/// A directory with the archives of a release's images, copied from the build of `cargo xtask e2e`.
fn archives() -> tempfile::TempDir {
    let built = PathBuf::from(std::env::var_os("SONO_TEST_IMAGES").expect("run `cargo xtask e2e`"));
    let folder = tempfile::tempdir().unwrap();
    for image in IMAGES {
        let name = format!("{image}.oci.tar");
        fs::copy(built.join(&name), folder.path().join(&name)).unwrap();
    }
    folder
}

/// The archives with their index.
fn indexed_archives() -> tempfile::TempDir {
    let folder = archives();
    let finished = images(folder.path(), &["--index"], None);
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    folder
}

/// Digests of the indexed images by name.
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
