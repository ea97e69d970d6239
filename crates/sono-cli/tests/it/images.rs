//! `sono images` against registries on loopback.

use std::path::Path;

use sono_testkit::{Contents, FakeRegistry};

use super::{Finished, command, failure, finished, sono};

const PLUGIN: &str = "sonobuoy-config: {driver: Job, plugin-name: tool}\nspec: {name: tool, image: IMAGE}\n";

fn plugin(directory: &Path, image: &str) {
    fs_err::write(directory.join("tool.yaml"), PLUGIN.replace("IMAGE", image)).unwrap();
}

/// Runs `sono` outside the test's runtime, which serves the registry.
async fn run(directory: &Path, arguments: &[&str]) -> Finished {
    let mut command = command(directory);
    command.args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    finished(&output.await.unwrap())
}

#[test]
fn the_suites_images_are_listed_without_a_cluster() {
    let directory = tempfile::tempdir().unwrap();
    let listed = sono(directory.path(), &["images", "--kubernetes-version", "v1.37.2"]);
    assert_eq!((listed.code, listed.stderr.as_str()), (0, ""));
    let lines: Vec<&str> = listed.stdout.lines().collect();
    assert!(lines.is_sorted());
    // 41 of the suite, conformance, systemd-logs, aggregator and worker.
    assert_eq!(lines.len(), 45);
    assert!(lines.contains(&"registry.k8s.io/conformance:v1.37.2"));

    let alone = ["images", "list", "-p", "systemd-logs", "--kubernetes-version", "v1.2.3"];
    assert_eq!(
        sono(directory.path(), &alone),
        Finished {
            code: 0,
            stdout: "sono.local/sono-systemd-logs:dev\nsono.local/sono-worker:dev\nsono.local/sono:dev\n".to_owned(),
            stderr: String::new(),
        }
    );
}

#[test]
fn a_version_without_a_list_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(
        sono(directory.path(), &["images", "pull", "--kubernetes-version", "v1.2.3"]),
        failure(
            "error: the images of the Kubernetes tests of v1.2.3 are unknown\n  known versions: 1.37\n  \
             hint:  run e2e.test --list-images in registry.k8s.io/conformance:v1.2.3, and pass its output with --images-file\n"
        )
    );
}

/// B-19: for versions with an unknown list of images, the list printed by the tests is used.
#[test]
fn images_that_the_tests_list_themselves() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("list.txt");
    fs_err::write(
        &list,
        "# v1.2.3\nregistry.example/e2e/agnhost:1\n\nregistry.example/e2e/nginx:2\n",
    )
    .unwrap();
    let arguments = [
        "images",
        "list",
        "-p",
        "e2e",
        "--kubernetes-version",
        "v1.2.3",
        "--images-file",
        "list.txt",
    ];
    assert_eq!(
        sono(directory.path(), &arguments).stdout,
        "registry.example/e2e/agnhost:1\nregistry.example/e2e/nginx:2\nregistry.k8s.io/conformance:v1.2.3\n\
         sono.local/sono-worker:dev\nsono.local/sono:dev\n"
    );
    fs_err::write(&list, "registry.example/e2e/agnhost:1\nUsage of e2e.test:\n").unwrap();
    assert_eq!(
        sono(directory.path(), &arguments),
        failure(
            "error: list.txt:2: invalid image `Usage of e2e.test:`\n  hint:  expected one name per line, as e2e.test --list-images prints them\n"
        )
    );
}

#[test]
fn push_requires_a_destination() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(
        sono(directory.path(), &["images", "push", "--kubernetes-version", "v1.37.2"]),
        failure(
            "error: no destination for the images\n  hint:  set --custom-registry, --e2e-repo-config or --e2e-repo\n"
        )
    );
}

/// B-19, B-12: no container engine is required, and missing images are reported.
#[tokio::test]
async fn images_are_copied_between_registries_and_into_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let source = FakeRegistry::serve(Contents::default().with_index("group/tool", "1.0")).await;
    let target = FakeRegistry::serve(Contents::default()).await;
    let image = format!("{}/group/tool:1.0", source.address());
    plugin(here, &image);
    let common = ["-p", "tool.yaml", "--kubernetes-version", "v1.37.2"];
    let images = |action: &'static str, more: &[&'static str]| [&["images", action], more, &common[..]].concat();

    let custom = format!("{}/mine", target.address());
    let push = [
        &images("push", &["--all-platforms", "--store", "store"])[..],
        &["--custom-registry", &custom],
    ]
    .concat();
    let pushed = run(here, &push).await;
    // The images of a development build are in no registry.
    assert_eq!(pushed.code, 1);
    assert!(
        pushed.stderr.contains(&format!("\npushed {custom}/tool:1.0 sha256:")),
        "{}",
        pushed.stderr
    );
    let blobs = |registry: &FakeRegistry| registry.contents().blobs.clone();
    assert_eq!(blobs(&target), blobs(&source));

    let inspected = run(here, &images("inspect", &["-o", "json"])).await;
    let values: Vec<serde_json::Value> = serde_json::from_str(&inspected.stdout).unwrap();
    let tool = values.iter().find(|value| value["image"] == image.as_str()).unwrap();
    assert_eq!(tool["platforms"], serde_json::json!(["linux/amd64", "linux/arm64"]));
    let errors = values.iter().filter(|value| value.get("error").is_some()).count();
    assert_eq!((inspected.code, errors), (1, 2), "{}", inspected.stderr);

    let deleted = run(here, &images("delete", &["--store", "store"])).await;
    assert_eq!(deleted.stderr, "removed images: 1, freed: 666.02 KiB\n");
}

/// The cluster's version is only read if an image depends on it.
#[test]
fn version_is_read_only_if_needed() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let plugin = |image: &str| {
        format!("sonobuoy-config: {{driver: Job, plugin-name: p}}\nspec: {{name: c, image: '{image}'}}\n")
    };
    fs_err::write(here.join("plain.yaml"), plugin("example.org/a:1")).unwrap();
    fs_err::write(
        here.join("versioned.yaml"),
        plugin("example.org/a:$SONOBUOY_K8S_VERSION"),
    )
    .unwrap();
    let plain = sono(here, &["images", "list", "-p", "plain.yaml"]);
    assert_eq!((plain.code, plain.stderr.as_str()), (0, ""));
    assert!(plain.stdout.contains("example.org/a:1\n"), "{}", plain.stdout);
    let versioned = sono(here, &["images", "list", "-p", "versioned.yaml"]);
    assert_eq!(versioned.code, 1);
    assert!(
        versioned.stderr.contains("--kubernetes-version v1.37.2"),
        "{}",
        versioned.stderr
    );
}
