//! `sono images` and `sono plugin install` with a real registry.

use std::path::Path;

use fs_err as fs;
use serde_json::{Value, json};
use sono_images::{Credentials, Layout, Options, Registry};
use sono_testkit::{RegistryServer, ServerOptions};

use super::{Finished, digests, images, indexed_archives, sono, tag};

const PLUGIN: &str = "sonobuoy-config: {driver: Job, plugin-name: tool}\nspec: {name: tool, image: IMAGE}\n";

/// A registry server that requires TLS and a login, with a release's images below `team`.
struct Published {
    server: RegistryServer,
    folder: tempfile::TempDir,
}

impl Published {
    fn new() -> Self {
        let folder = indexed_archives();
        let server = RegistryServer::start(ServerOptions {
            tls: true,
            password: true,
        });
        let published = Self { server, folder };
        let to = format!("{}/team", published.server.address());
        let authority = published.authority();
        let docker = published.docker();
        let finished = images(
            published.folder.path(),
            &["--push", &to, "--ca-file", &authority],
            Some(&docker),
        );
        assert_eq!(finished.code, 0, "{}", finished.stderr);
        published
    }

    fn authority(&self) -> String {
        self.server.authority().display().to_string()
    }

    fn docker(&self) -> std::path::PathBuf {
        self.server.docker_config(self.server.address())
    }

    /// Runs `sono` with the login and the certificate authority.
    fn sono(&self, folder: &Path, arguments: &[&str]) -> Finished {
        let authority = self.authority();
        let arguments = [arguments, &["--ca-file", &authority]].concat();
        sono(folder, &arguments, Some(&self.docker()))
    }

    fn client(&self) -> Registry {
        let options = Options {
            credentials: Credentials::read(&self.docker().join("config.json")).unwrap(),
            authorities: Some(self.server.authority()),
            ..Options::default()
        };
        Registry::new(options).unwrap()
    }
}

#[test]
fn images_are_pulled_as_layout_or_archive_and_pushed_under_other_names() {
    let published = Published::new();
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let address = published.server.address();
    let image = format!("{address}/team/sono-systemd-logs:{}", tag());
    fs::write(here.join("tool.yaml"), PLUGIN.replace("IMAGE", &image)).unwrap();
    let common = ["-p", "tool.yaml", "--kubernetes-version", "v1.37.2"];
    let digests = digests(published.folder.path());

    let inspected = published.sono(here, &[&["images", "inspect", "-o", "json"], &common[..]].concat());
    let values: Vec<Value> = serde_json::from_str(&inspected.stdout).unwrap();
    let tool = values.iter().find(|value| value["image"] == image.as_str()).unwrap();
    let architecture = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    assert_eq!(
        *tool,
        json!({"image": image, "digest": digests["sono-systemd-logs"], "platforms": [format!("linux/{architecture}")], "missing": []})
    );

    // The images of a development build are in no registry; they exist only in the local directory.
    let ours = [
        ("sono", "sono.local/sono:dev"),
        ("sono-worker", "sono.local/sono-worker:dev"),
    ];
    let store = here.join("store");
    let layout = Layout::at(&store);
    for (name, image) in ours {
        let archive = published.folder.path().join(format!("{name}.oci.tar"));
        let stored = sono_images::import(&layout, &archive).unwrap();
        layout.name(image, stored[0].descriptor.clone()).unwrap();
    }
    let pushing = |to: &str| {
        let push = [
            "images",
            "push",
            "--all-platforms",
            "--store",
            "store",
            "--custom-registry",
            to,
        ];
        published.sono(here, &[&push[..], &common[..]].concat())
    };
    let mirror = format!("{address}/mirror/of");
    let pushed = pushing(&mirror);
    assert_eq!(pushed.code, 0, "{}", pushed.stderr);
    // `images pull` pulled the images that were not in the store.
    assert!(
        pushed
            .stderr
            .contains(&format!("pulled {image} {} ", digests["sono-systemd-logs"])),
        "{}",
        pushed.stderr
    );
    assert_eq!(layout.find(&image).unwrap().digest, digests["sono-systemd-logs"]);
    let tags = |image: &str| published.server.tags(&format!("mirror/of/{image}"));
    assert_eq!([tags("sono"), tags("sono-worker")], [["dev"], ["dev"]]);
    assert_eq!(tags("sono-systemd-logs"), [tag()]);

    let pull = ["images", "pull", "--all-platforms", "--store", "other"];
    let pulled = published.sono(here, &[&pull[..], &common[..]].concat());
    // All images except the two that are in no registry.
    assert_eq!(pulled.code, 1);
    assert!(
        pulled.stderr.contains("error: 2 of 3 images could not be pulled\n"),
        "{}",
        pulled.stderr
    );
    let other = Layout::at(here.join("other"));
    let descriptor = other.find(&image).unwrap();
    assert_eq!(descriptor.digest, digests["sono-systemd-logs"]);
    assert!(other.parts(&descriptor).unwrap().iter().all(|part| other.has(part)));

    let download = ["images", "download", "--store", "store"];
    let downloaded = published.sono(here, &[&download[..], &common[..]].concat());
    assert_eq!(
        (downloaded.code, downloaded.stdout.as_str()),
        (0, "kubernetes_e2e_images_v1.37.2.tar\n")
    );
    let unpacked = Layout::at(here.join("unpacked"));
    let stored = sono_images::import(&unpacked, &here.join(downloaded.stdout.trim())).unwrap();
    let mut names: Vec<&str> = stored.iter().map(|stored| stored.image.as_str()).collect();
    names.sort_unstable();
    let mut expected = [image.as_str(), ours[0].1, ours[1].1];
    expected.sort_unstable();
    assert_eq!(names, expected);
}

#[test]
fn missing_login_has_a_hint() {
    let server = RegistryServer::start(ServerOptions {
        password: true,
        ..ServerOptions::default()
    });
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let image = format!("{}/team/tool:1", server.address());
    fs::write(here.join("tool.yaml"), PLUGIN.replace("IMAGE", &image)).unwrap();
    let finished = sono(
        here,
        &[
            "images",
            "inspect",
            "-p",
            "tool.yaml",
            "--kubernetes-version",
            "v1.37.2",
        ],
        None,
    );
    assert_eq!(finished.code, 1);
    let line = finished
        .stderr
        .lines()
        .find(|line| line.contains(&image))
        .unwrap_or_default();
    let hint = "(log in: docker login, podman login --compat-auth-file, or a credential helper)";
    assert!(line.ends_with(hint), "{}", finished.stderr);
}

/// A file as pushed by ORAS and similar tools: an empty configuration, the file as a layer, its name as an annotation.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_installed_from_an_artifact() {
    let published = Published::new();
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let layout = Layout::at(here.join("artifact"));
    let config = layout.write("application/vnd.oci.empty.v1+json", b"{}").unwrap();
    let definition = PLUGIN.replace("IMAGE", "a.example/tool:1");
    let layer = layout.write("application/yaml", definition.as_bytes()).unwrap();
    let mut layer = serde_json::to_value(layer).unwrap();
    layer["annotations"] = json!({ "org.opencontainers.image.title": "tool.yaml" });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.example.plugin",
        "config": config,
        "layers": [layer],
    });
    let manifest = layout
        .write(
            "application/vnd.oci.image.manifest.v1+json",
            manifest.to_string().as_bytes(),
        )
        .unwrap();
    layout.name("tool", manifest).unwrap();
    let address = published.server.address();
    let artifact = format!("{address}/plugins/tool:1");
    sono_images::push(&published.client(), &layout, "tool", &artifact, &|_| {})
        .await
        .unwrap();

    let source = format!("oci://{artifact}");
    let installed = published.sono(here, &["plugin", "install", "mine", &source]);
    assert_eq!(
        installed,
        Finished {
            code: 0,
            stdout: format!("Installed plugin tool into file .sonobuoy/mine.yaml from source {source}\n")
                .replace(".sonobuoy", &here.join(".sonobuoy").display().to_string()),
            stderr: format!(
                "SHA-256 of the source: {}\n",
                sono_testkit::digest(definition.as_bytes()).trim_start_matches("sha256:")
            ),
        }
    );
    assert_eq!(
        fs::read_to_string(here.join(".sonobuoy/mine.yaml")).unwrap(),
        definition
    );
}
