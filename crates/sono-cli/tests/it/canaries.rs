//! `sono run --canaries`: planting, search of the archive, removal.

use std::{
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use sono_testkit::FakeApi;

use crate::{
    Finished, command, failure, finished, healthy, normalized,
    retrieve::{packed, send_file},
    with_cluster,
};

const LIMIT: Duration = Duration::from_mins(1);
const NAME: &str = "sono-canaries";
const ARCHIVE: &str = "202601010000_sonobuoy_u.tar.gz";
const DEFINITION: &str = "sonocanaries.sonobuoy.canaries.sono.local";

/// A cluster that serves the custom resource, as if its definition were already accepted.
fn with_custom_resources() -> FakeApi {
    let api = healthy();
    let group = "apiextensions.k8s.io";
    api.offer(
        group,
        "v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        false,
    );
    api.offer("sonobuoy.canaries.sono.local", "v1", "sonocanaries", "SonoCanary", true);
    api
}

/// A command that is killed when the test ends, also after a failed assertion.
struct Running(Option<Child>);

impl Running {
    fn ended(mut self, api: &FakeApi) -> Finished {
        let child = self.0.take().unwrap();
        normalized(api, finished(&child.wait_with_output().unwrap()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

fn run(api: &FakeApi, directory: &Path, flags: &[&str]) -> Running {
    let kubeconfig = api.write_kubeconfig(directory);
    let always = [
        "run",
        "-p",
        "host-check",
        "--aggregator-workload",
        "pod",
        "--wait-output=silent",
    ];
    let child = command(directory)
        .env("KUBECONFIG", kubeconfig)
        .args(always)
        .args(flags)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    Running(Some(child.unwrap()))
}

/// Waits until `plural` has the object `name`.
fn until_created(api: &FakeApi, plural: &str, namespace: Option<&str>, name: &str) -> Value {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let made = api.wait_for(plural, namespace, name, LIMIT, |made| made.is_some());
    runtime.block_on(made).expect("the object is created");
    api.get(plural, namespace, name).unwrap()
}

/// The planted objects that exist.
fn planted(api: &FakeApi) -> Vec<String> {
    let mut found = Vec::new();
    for plural in [
        "secrets",
        "configmaps",
        "events",
        "customresourcedefinitions",
        "sonocanaries",
    ] {
        for object in api.all(plural) {
            if object.pointer("/metadata/labels/sono-canaries").is_some() {
                found.push(format!("{plural}/{}", object["metadata"]["name"].as_str().unwrap()));
            }
        }
    }
    found
}

/// Completes the run with an archive of these files.
fn complete(api: &FakeApi, files: &[(&str, &[u8])]) {
    let mut pod = until_created(api, "pods", Some("sonobuoy"), "sonobuoy");
    let archive = packed(files);
    let sha256 = sono_testkit::digest(&archive);
    let run = pod["metadata"]["annotations"]["sono-run-id"]
        .as_str()
        .unwrap()
        .to_owned();
    let status = json!({"plugins": [], "status": "complete", "tar-info": {
        "name": ARCHIVE.replace("_u", &format!("_{run}")), "created": "2026-01-01T00:00:00Z",
        "sha256": sha256.trim_start_matches("sha256:"), "size": archive.len()}});
    send_file(api, archive);
    pod["metadata"]["annotations"]["sonobuoy.hept.io/status"] = status.to_string().into();
    pod["status"] = json!({"phase": "Running"});
    api.put(pod);
}

#[test]
fn canaries_of_the_cluster_are_planted_and_removed_after_the_search() {
    let api = with_custom_resources();
    let directory = tempfile::tempdir().unwrap();
    let child = run(&api, directory.path(), &["--canaries=cluster"]);
    until_created(&api, "sonocanaries", Some("sonobuoy"), NAME);
    let of_kind = |plural: &str| format!("{plural}/{NAME}");
    assert_eq!(
        planted(&api),
        [
            of_kind("secrets"),
            of_kind("configmaps"),
            of_kind("events"),
            format!("customresourcedefinitions/{DEFINITION}"),
            of_kind("sonocanaries"),
        ]
    );
    let plugins = api.get("configmaps", Some("sonobuoy"), "sonobuoy-plugins-cm").unwrap();
    assert!(plugins.to_string().contains("plugin-name: sono-canaries"), "{plugins}");
    complete(&api, &[("meta/config.json", b"{}"), ("meta/run.log", b"clean")]);
    let ended = child.ended(&api);
    let last = ended.stdout.lines().last();
    let expected = "canaries in a Secret: 0 of 16 found; not in a Secret: 0 of 15 found";
    assert_eq!((ended.code, last), (0, Some(expected)), "{ended:?}");
    let sono_objects: Vec<String> = planted(&api)
        .into_iter()
        .filter(|name| !name.starts_with("sonocanaries/"))
        .collect();
    assert_eq!(sono_objects, [""; 0]);
}

#[test]
fn canary_of_a_secret_in_the_archive_ends_the_run_with_code_3() {
    let api = healthy();
    let directory = tempfile::tempdir().unwrap();
    let child = run(&api, directory.path(), &["--canaries", "--rm"]);
    let secret = until_created(&api, "secrets", Some("sonobuoy"), NAME);
    let event = until_created(&api, "events", Some("sonobuoy"), NAME);
    let values = secret["stringData"].as_object().unwrap();
    let of_event =
        |(key, value): (&String, &Value)| key.contains("-event-").then(|| value.as_str().unwrap().to_owned());
    let value = values.iter().find_map(of_event).unwrap();
    let message = event["message"].as_str().unwrap();
    assert!(message.contains(&value), "{message}");
    let files: [(&str, &[u8]); 3] = [
        ("meta/config.json", b"{}"),
        ("events.txt", message.as_bytes()),
        ("podlogs/a/b/logs/c.txt", value.as_bytes()),
    ];
    complete(&api, &files);
    let ended = child.ended(&api);
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_shown = |line: &&str| line.contains("event") || line.starts_with("canaries");
    let lines: Vec<String> = ended.stdout.lines().filter(is_shown).map(words).collect();
    assert_eq!(
        lines,
        [
            "event yes raw 2 raw 1",
            "found in events.txt: event, raw, 1 times",
            "found in podlogs/a/b/logs/c.txt: event, raw, 1 times",
            "canaries in a Secret: 1 of 15 found; not in a Secret: 1 of 14 found",
        ],
        "{}",
        ended.stdout
    );
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    assert_eq!(api.get("namespaces", None, "sonobuoy"), None);
}

#[test]
fn canaries_of_a_killed_command_are_deleted_with_the_run() {
    let api = with_custom_resources();
    let directory = tempfile::tempdir().unwrap();
    let child = run(&api, directory.path(), &["--canaries=cluster"]);
    until_created(&api, "sonocanaries", Some("sonobuoy"), NAME);
    drop(child);
    let preview = with_cluster(&api, &["delete", "--dry-run"]);
    assert!(
        preview
            .stdout
            .contains(&format!("customresourcedefinition/{DEFINITION}\n")),
        "{preview:?}"
    );
    assert_eq!(with_cluster(&api, &["delete"]).code, 0);
    assert_eq!(planted(&api), [""; 0]);
}

#[test]
fn canaries_in_an_existing_namespace_are_deleted_with_the_run() {
    let api = healthy();
    api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sonobuoy"}}));
    let directory = tempfile::tempdir().unwrap();
    let child = run(
        &api,
        directory.path(),
        &["--canaries", "--skip-preflight=existingnamespace"],
    );
    until_created(&api, "pods", Some("sonobuoy"), "sonobuoy");
    drop(child);
    assert_eq!(planted(&api).len(), 3);
    assert_eq!(with_cluster(&api, &["delete"]).code, 0);
    assert_eq!(planted(&api), [""; 0]);
}

#[test]
fn canaries_that_cannot_be_planted_are_refused_before_the_run() {
    let api = healthy();
    assert_eq!(
        with_cluster(
            &api,
            &[
                "run",
                "--canaries=cluster",
                "--aggregator-permissions",
                "namespaceAdmin",
                "-n",
                "default"
            ]
        ),
        failure(
            "error: --canaries=cluster requires --aggregator-permissions clusterAdmin\n  \
             hint:  plant canaries in the namespace only: --canaries\n"
        )
    );
    assert_eq!(
        with_cluster(&api, &["run", "--canaries", "--wait=0"]),
        failure("error: --canaries conflicts with --wait=0\n  hint:  omit --wait, or set a time limit: --wait=60m\n")
    );
    assert_eq!(api.get("pods", Some("sonobuoy"), "sonobuoy"), None);
}
