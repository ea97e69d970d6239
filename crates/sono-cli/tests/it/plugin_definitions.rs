//! Output of the subcommands of `gen`.

use serde_json::{Value, json};

use crate::{Finished, failure, sono};

fn printed(arguments: &[&str]) -> String {
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("a.yaml"), "one: 1\n").unwrap();
    let Finished { code, stdout, stderr } = sono(directory.path(), &[&["gen"], arguments].concat());
    assert_eq!((code, stderr.as_str()), (0, ""));
    stdout
}

fn definition(arguments: &[&str]) -> Value {
    sono_types::yaml::first_document(&printed(&[&["plugin"], arguments].concat())).unwrap()
}

#[test]
fn a_definition_from_flags() {
    assert_eq!(
        printed(&["plugin", "--name", "my-plugin", "--image", "my-plugin:latest"]),
        "sonobuoy-config:\n  driver: Job\n  plugin-name: my-plugin\n  result-format: raw\n\
         spec:\n  command:\n  - ./run.sh\n  image: my-plugin:latest\n  name: plugin\n\n"
    );
}

/// BUG 42: variables are in the order in which they are given.
#[test]
fn every_flag_sets_its_field() {
    let arguments = [
        "-n",
        "p",
        "-i",
        "i:1",
        "-t",
        "daemonset",
        "-f",
        "junit",
        "-c",
        "/bin/sh",
        "-c",
        "-c",
        "-a",
        "one",
        "-a",
        "--two",
        "-e",
        "Z=1",
        "-e",
        "B=x=y",
        "-e",
        "GONE=1",
        "-e",
        "A=",
        "-e",
        "GONE",
        "--configmap",
        "a.yaml",
        "-D",
        "what it does",
        "-u",
        "https://example.org/p.yaml",
    ];
    let expected = json!({
        "sonobuoy-config": {
            "driver": "DaemonSet", "plugin-name": "p", "result-format": "junit", "description": "what it does",
            "source-url": "https://example.org/p.yaml",
        },
        "spec": {
            "command": ["/bin/sh", "-c"], "args": ["one", "--two"], "image": "i:1", "name": "plugin",
            "env": [{"name": "Z", "value": "1"}, {"name": "B", "value": "x=y"}, {"name": "A", "value": ""}],
        },
        "config-map": { "a.yaml": "one: 1\n" },
    });
    for _ in 0..3 {
        assert_eq!(definition(&arguments), expected);
    }
}

/// BUG 60: a selector is added to the default podSpec and does not replace it.
#[test]
fn a_selector_is_added_to_the_default_pod_spec() {
    let usual = definition(&["-n", "p", "-i", "i", "--show-default-podspec"]);
    assert_eq!(usual["podSpec"]["serviceAccountName"], "sonobuoy-serviceaccount");
    assert_eq!(usual["podSpec"]["restartPolicy"], "Never");
    let selected = definition(&["-n", "p", "-i", "i", "--node-selector", "a=b,c=d"]);
    let mut expected = usual.clone();
    expected["podSpec"]["nodeSelector"] = json!({"kubernetes.io/os": "linux", "a": "b", "c": "d"});
    assert_eq!(selected, expected);
    let windows = definition(&["-n", "p", "-i", "i", "--node-selector", "kubernetes.io/os=windows"]);
    assert_eq!(
        windows["podSpec"]["nodeSelector"],
        json!({"kubernetes.io/os": "windows"})
    );
}

/// BUG 60: the definition contains the given files.
#[test]
fn built_in_definitions_accept_flags_and_files() {
    let version = ["--kubernetes-version", "v1.37.2"];
    let flags = ["e2e", "--configmap", "a.yaml", "--mode", "quick", "-n", "mine"];
    let e2e = definition(&[&flags[..], &version].concat());
    assert_eq!(e2e["config-map"], json!({ "a.yaml": "one: 1\n" }));
    assert_eq!(e2e["spec"]["image"], "registry.k8s.io/conformance:v1.37.2");
    let text = printed(&["plugin", "systemd-logs"]);
    assert!(
        text.ends_with("    name: results\n") || !text.ends_with("\n\n"),
        "{text}"
    );
    let logs: Value = sono_types::yaml::first_document(&text).unwrap();
    assert_eq!(logs["sonobuoy-config"]["plugin-name"], "systemd-logs");
    // Flags may precede the names.
    let directory = tempfile::tempdir().unwrap();
    let finished = sono(
        directory.path(),
        &[
            "--kubernetes-version",
            "v1.37.2",
            "gen",
            "--systemd-logs-image",
            "x:1",
            "plugin",
            "systemd-logs",
        ],
    );
    assert!(
        finished.stdout.contains("\n  image: x:1\n"),
        "{}{}",
        finished.stdout,
        finished.stderr
    );
    assert_eq!(
        sono(directory.path(), &["gen", "plugin", "e2e", "-p", "host-check"]),
        failure("error: plugin e2e is not selected by --plugin\n")
    );
}

#[test]
fn flags_for_an_invalid_definition_are_rejected() {
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("bad.json"), "{").unwrap();
    let finished = |arguments: &[&str]| sono(directory.path(), &[&["gen", "plugin"], arguments].concat());
    let name = finished(&["-n", "myPlugin", "-i", "i"]);
    assert_eq!(
        name.stderr.lines().next(),
        Some("error: invalid plugin name `myPlugin`")
    );
    let file = finished(&["-n", "p", "-i", "i", "--configmap", "bad.json"]);
    assert_eq!(
        file.stderr.lines().next(),
        Some("error: the definition of plugin `p` would be invalid")
    );
    for (arguments, expected) in [
        (
            ["-n", "p"],
            "error: the following required arguments were not provided:",
        ),
        (
            ["-t", "pod"],
            "error: invalid value 'pod' for '--type <DRIVER>': expected Job or DaemonSet",
        ),
        // BUG 45: an unknown command is an error, and its message is printed first.
        (["bogus", "-h"], "error: unrecognized subcommand 'bogus'"),
    ] {
        let finished = finished(&arguments);
        assert_eq!((finished.code, finished.stderr.lines().next()), (1, Some(expected)));
    }
}

/// Keys in the order that scripts expect, and the registries of current tests.
#[test]
fn the_default_image_config() {
    assert_eq!(
        printed(&["default-image-config"]),
        "buildImageRegistry: registry.k8s.io/build-image\n\
         dockerGluster: docker.io/gluster\n\
         dockerLibraryRegistry: docker.io/library\n\
         e2eRegistry: gcr.io/kubernetes-e2e-test-images\n\
         e2eVolumeRegistry: gcr.io/kubernetes-e2e-test-images/volume\n\
         gcRegistry: registry.k8s.io\n\
         gcEtcdRegistry: registry.k8s.io\n\
         promoterE2eRegistry: registry.k8s.io/e2e-test-images\n\
         sigStorageRegistry: registry.k8s.io/sig-storage\n\n"
    );
}

/// BUG 60: a plugin without a podSpec gets the default one, with the run's account.
#[test]
fn the_default_pod_spec_is_included_with_a_flag() {
    let directory = tempfile::tempdir().unwrap();
    let own = "sonobuoy-config: {driver: DaemonSet, plugin-name: own}\nspec: {name: c, image: i}\n";
    fs_err::write(directory.path().join("own.yaml"), own).unwrap();
    let stored = |flags: &[&str]| -> Value {
        let finished = sono(directory.path(), &[&["gen", "-p", "own.yaml"], flags].concat());
        let documents = sono_types::yaml::all_documents(&finished.stdout).unwrap();
        let plugins = documents
            .iter()
            .find(|object| object["metadata"]["name"] == "sonobuoy-plugins-cm")
            .unwrap();
        sono_types::yaml::first_document(plugins["data"]["plugin-0.yaml"].as_str().unwrap()).unwrap()
    };
    assert_eq!(stored(&[]).get("podSpec"), None);
    let shown = stored(&["--show-default-podspec", "--service-account-name=mine"]);
    assert_eq!(
        (
            &shown["podSpec"]["hostNetwork"],
            &shown["podSpec"]["serviceAccountName"]
        ),
        (&json!(true), &json!("mine"))
    );
}
