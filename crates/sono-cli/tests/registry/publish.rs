//! `cargo xtask images --index` and `--push`.

use fs_err as fs;
use sono_images::{Layout, Options, Registry};
use sono_testkit::{RegistryServer, ServerOptions};

use super::{IMAGES, archives, digests, images, indexed_archives, tag, tags};

const NATIVE: &str = if cfg!(target_arch = "aarch64") {
    "arm64"
} else {
    "amd64"
};
const OTHER: &str = if cfg!(target_arch = "aarch64") {
    "amd64"
} else {
    "arm64"
};

#[test]
fn index_reports_present_and_missing_images() {
    let folder = archives();
    // A directory for each architecture, like in the workflow.
    let of_one = folder.path().join("images-here");
    fs::create_dir(&of_one).unwrap();
    fs::rename(folder.path().join("sono.oci.tar"), of_one.join("sono.oci.tar")).unwrap();
    let finished = images(folder.path(), &["--index"], None);
    let digests = digests(folder.path());
    let line = |image: &str| format!("sono.local/{image}:dev {} linux/{NATIVE}\n", digests[image]);
    let order = ["sono", "sono-worker", "sono-systemd-logs", "sono-cli"];
    assert_eq!(finished.stdout, order.map(line).concat());
    let missing = |image: &str| format!("missing: sono.local/{image}:dev for linux/{OTHER}\n");
    assert_eq!((finished.code, finished.stderr), (0, order.map(missing).concat()));

    // The output is reproducible.
    let again = images(folder.path(), &["--index"], None);
    assert_eq!(again.stdout, finished.stdout);

    // A release requires all images; otherwise it writes nothing that could be pushed.
    let all = images(folder.path(), &["--index", "--all"], None);
    assert_eq!(all.code, 1);
    assert!(
        all.stderr.contains("error: the release is incomplete: 4 missing\n"),
        "{}",
        all.stderr
    );
    let pushed = images(folder.path(), &["--push", "127.0.0.1:9/team"], None);
    assert!(
        pushed.stderr.contains("run `cargo xtask images --index` first"),
        "{}",
        pushed.stderr
    );
}

#[test]
fn two_different_images_of_one_architecture_are_rejected() {
    let folder = archives();
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    // The archive of one image under the name of the other.
    let layout = Layout::at(folder.path().join("layout"));
    let stored = sono_images::import(&layout, &folder.path().join("sono-systemd-logs.oci.tar")).unwrap();
    layout
        .name("sono.local/sono:dev", stored[0].descriptor.clone())
        .unwrap();
    let archive = fs::File::create(other.join("sono.oci.tar")).unwrap();
    layout.archive(&["sono.local/sono:dev".to_owned()], archive).unwrap();
    let finished = images(folder.path(), &["--index"], None);
    assert_eq!(finished.code, 1);
    let expected = format!("error: sono.local/sono:dev has two different images for linux/{NATIVE}: sha256:");
    assert!(finished.stderr.contains(&expected), "{}", finished.stderr);
}

#[test]
fn images_are_pushed_tested_and_then_tagged() {
    let folder = indexed_archives();
    let digests = digests(folder.path());
    let server = RegistryServer::start(ServerOptions::default());
    let to = format!("{}/team", server.address());
    let finished = images(folder.path(), &["--push", &to], None);
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    let line = |image: &str| format!("{to}/{image}:{} {}\n", tag(), digests[image]);
    assert_eq!(finished.stdout, IMAGES.map(line).concat());
    assert_eq!(tags(&server, "team"), [[tag()], [tag()], [tag()], [tag()]]);
    let started: Vec<&str> = finished
        .stderr
        .lines()
        .filter_map(|line| line.strip_prefix("starts: "))
        .collect();
    let start = |command: &str, image: &str| format!("{command} of {to}/{image}@{} (linux/{NATIVE})", digests[image]);
    assert_eq!(
        started,
        [
            start("/sono version --short", "sono-cli"),
            start("/sonobuoy --version", "sono-worker"),
            start("/sonobuoy worker --help", "sono-worker"),
            start("/sonobuoy --version", "sono"),
            start("/sonobuoy aggregator --help", "sono"),
            start("/sonobuoy worker --help", "sono"),
        ]
    );

    // The second push sends no data, and the outcome is the same.
    let again = images(folder.path(), &["--push", &to], None);
    assert_eq!((again.code, &again.stdout), (0, &finished.stdout), "{}", again.stderr);
    let existed = |line: &&str| line.starts_with("pushed: ") && line.ends_with("(2 blobs, 2 already existed)");
    assert_eq!(
        again.stderr.lines().filter(existed).count(),
        IMAGES.len(),
        "{}",
        again.stderr
    );
}

#[tokio::test]
async fn a_published_tag_is_not_changed() {
    let folder = indexed_archives();
    let server = RegistryServer::start(ServerOptions::default());
    let to = format!("{}/team", server.address());
    let taken = format!("{to}/sono-worker:{}", tag());
    let layout = Layout::at(folder.path().join("index"));
    let options = Options::from_environment(|_| None, &[], None, [to.as_str()]).unwrap();
    let registry = Registry::new(options).unwrap();
    sono_images::push(&registry, &layout, "sono.local/sono:dev", &taken, &|_| {})
        .await
        .unwrap();
    let digests = digests(folder.path());
    let finished = images(folder.path(), &["--push", &to], None);
    assert_eq!(finished.code, 1);
    let expected = format!(
        "error: {taken} is already published as {}, not {}: release the next version\n",
        digests["sono"], digests["sono-worker"]
    );
    assert!(finished.stderr.contains(&expected), "{}", finished.stderr);
    assert_eq!(tags(&server, "team"), [vec![], vec![], vec![tag()], vec![]]);
}

#[test]
fn a_registry_with_tls_requires_its_authority() {
    let folder = indexed_archives();
    let server = RegistryServer::start(ServerOptions {
        tls: true,
        ..ServerOptions::default()
    });
    let to = format!("{}/team", server.address());
    let authority = server.authority().display().to_string();
    // Registries on this machine are otherwise reached by plain HTTP.
    let plain = images(folder.path(), &["--push", &to], None);
    assert_eq!(plain.code, 1);
    assert!(
        plain.stderr.contains("error: cannot read the manifest of "),
        "{}",
        plain.stderr
    );
    // Another authority.
    let other = RegistryServer::start(ServerOptions {
        tls: true,
        ..ServerOptions::default()
    });
    let stranger = other.authority().display().to_string();
    let distrusted = images(folder.path(), &["--push", &to, "--ca-file", &stranger], None);
    assert_eq!(distrusted.code, 1);
    assert!(distrusted.stderr.contains("certificate"), "{}", distrusted.stderr);
    assert_eq!(tags(&server, "team"), [[""; 0]; 4]);

    let finished = images(folder.path(), &["--push", &to, "--ca-file", &authority], None);
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    assert_eq!(tags(&server, "team"), [[tag()], [tag()], [tag()], [tag()]]);
}

#[test]
fn login_is_read_from_the_docker_configuration() {
    let folder = indexed_archives();
    let server = RegistryServer::start(ServerOptions {
        password: true,
        ..ServerOptions::default()
    });
    let to = format!("{}/team", server.address());
    let stranger = images(folder.path(), &["--push", &to], None);
    assert_eq!(stranger.code, 1);
    assert!(
        stranger.stderr.contains("Not authorized") || stranger.stderr.contains("UNAUTHORIZED"),
        "{}",
        stranger.stderr
    );
    assert_eq!(tags(&server, "team"), [[""; 0]; 4]);

    let docker = server.docker_config(server.address());
    let finished = images(folder.path(), &["--push", &to], Some(&docker));
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    assert_eq!(tags(&server, "team"), [[tag()], [tag()], [tag()], [tag()]]);
}
