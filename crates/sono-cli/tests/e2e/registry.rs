//! Images pushed like a release and pulled by the cluster's container runtime.
//!
//! The registry listens on the loopback interface of the first node, which is this machine. Other clusters cannot reach it.

use std::{path::PathBuf, process::Command};

use sono_testkit::{RegistryServer, ServerOptions};

use super::harness::{Run, kubectl, kubernetes, text};

/// The node that shares this machine's loopback interface.
const NODE: &str = "node1";

/// A Job, because the other nodes have different loopback interfaces.
const PLUGIN: &str = r#"
sonobuoy-config: {driver: Job, plugin-name: pulled, result-format: raw}
podSpec:
  nodeSelector: {kubernetes.io/hostname: NODE}
spec:
  name: pulled
  image: IMAGE
  imagePullPolicy: Always
  env: [{name: CHROOT_DIR, value: /nowhere}]
"#;

#[test]
fn a_run_with_images_that_the_cluster_pulled() {
    if !kubernetes::node_names().iter().any(|name| name == NODE) {
        println!(
            "not tested: without {NODE}, the nodes of this cluster cannot reach the registry on the loopback interface"
        );
        return;
    }
    let built = PathBuf::from(std::env::var_os("SONO_TEST_IMAGES").expect("run `cargo xtask e2e`"));
    let xtask = std::env::var_os("SONO_TEST_XTASK").expect("run `cargo xtask e2e`");
    let folder = tempfile::tempdir().expect("a temporary folder");
    for image in ["sono", "sono-cli", "sono-systemd-logs", "sono-worker"] {
        let name = format!("{image}.oci.tar");
        fs_err::copy(built.join(&name), folder.path().join(&name)).expect("the images are built");
    }
    let server = RegistryServer::start(ServerOptions::default());
    let to = format!("{}/pulled", server.address());
    for step in [&["--index"][..], &["--push", &to]] {
        let mut images = Command::new(&xtask);
        images.args(["images", "--out"]).arg(folder.path()).args(step);
        let output = images
            .env("DOCKER_CONFIG", folder.path())
            .output()
            .expect("xtask starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    let image = |name: &str| format!("{to}/{name}:v{}", env!("CARGO_PKG_VERSION"));
    let definition = PLUGIN
        .replace("IMAGE", &image("sono-systemd-logs"))
        .replace("NODE", NODE);
    let plugin = folder.path().join("pulled.yaml");
    fs_err::write(&plugin, definition).expect("the folder is ours");
    let run = Run::start(
        "pulled",
        &[],
        &[
            "-p",
            &plugin.display().to_string(),
            "--sonobuoy-image",
            &image("sono"),
            "--worker-image",
            &image("sono-worker"),
            "--image-pull-policy",
            "Always",
            "--aggregator-node-selector",
            &format!("kubernetes.io/hostname:{NODE}"),
            "--wait",
        ],
    );
    assert_eq!(text(&run.status(), "/plugins/0/status"), "complete");
    let log = run.file("plugins/pulled/results/global/systemd_logs");
    assert!(
        log.contains("this machine has no journalctl; the files of /var/log follow"),
        "{log}"
    );
    // Uses Events, because `imageID` may be any name under which the node has stored the same content.
    let events = kubectl(&[
        "-n",
        run.namespace(),
        "get",
        "events",
        "-o",
        "jsonpath={range .items[?(@.reason==\"Pulled\")]}{.message}{\"\\n\"}{end}",
    ]);
    for name in ["sono", "sono-worker", "sono-systemd-logs"] {
        let pulled = format!("Successfully pulled image \"{}\"", image(name));
        assert!(events.contains(&pulled), "{events}");
    }
}
