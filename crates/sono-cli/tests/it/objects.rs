//! Flags that change the objects of a run, tested with the output of `gen`.

use serde_json::{Value, json};

use super::{Finished, failure, finished, sono};

/// Objects printed by `gen` with these flags.
pub(crate) fn objects(flags: &[&str]) -> Vec<Value> {
    let directory = tempfile::tempdir().unwrap();
    let Finished { code, stdout, stderr } = sono(directory.path(), &[&["gen", "-p", "host-check"], flags].concat());
    assert_eq!((code, stderr.as_str()), (0, ""));
    sono_types::yaml::all_documents(&stdout).unwrap()
}

pub(crate) fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

/// Pod template of the aggregator.
pub(crate) fn template(objects: &[Value]) -> &Value {
    &of_kind(objects, "Deployment")[0]["spec"]["template"]
}

/// B-3: roles are bound to the given account, not to the default one.
#[test]
fn roles_are_bound_to_the_given_account() {
    let objects = objects(&["--service-account-name", "mine", "--existing-service-account"]);
    assert_eq!(of_kind(&objects, "ServiceAccount"), Vec::<&Value>::new());
    let bindings = of_kind(&objects, "ClusterRoleBinding");
    // In this mode plugins share the account; those without rights get no token.
    let subjects: Vec<&Value> = bindings.iter().map(|binding| &binding["subjects"][0]["name"]).collect();
    assert_eq!(subjects, ["mine"]);
    assert_eq!(template(&objects)["spec"]["serviceAccountName"], "mine");
}

#[test]
fn roles_security_and_nodes() {
    let objects = objects(&[
        "--rbac=disable",
        "--security-context-mode=none",
        "--namespace-psa-enforce-level=baseline",
        "--aggregator-node-selector",
        "kubernetes.io/os:linux",
        "--aggregator-node-selector=disk:fast",
    ]);
    for kind in ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"] {
        assert_eq!(of_kind(&objects, kind), Vec::<&Value>::new(), "{kind}");
    }
    let level = &of_kind(&objects, "Namespace")[0]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"];
    assert_eq!(level, "baseline");
    let spec = &template(&objects)["spec"];
    assert_eq!(
        spec["nodeSelector"],
        json!({ "kubernetes.io/os": "linux", "disk": "fast" })
    );
    assert_eq!(spec.get("securityContext"), None);
}

/// B-36: a pull policy has the spelling of Kubernetes.
#[test]
fn the_configuration_contains_the_values_of_flags() {
    let directory = tempfile::tempdir().unwrap();
    let config = |flags: &[&str]| -> Value {
        let finished = sono(directory.path(), flags);
        assert_eq!((finished.code, finished.stderr.as_str()), (0, ""));
        serde_json::from_str(&finished.stdout).unwrap()
    };
    let mut expected = serde_json::to_value(sono_types::Config::default()).unwrap();
    assert_eq!(config(&["gen", "config"]), expected);
    expected["ImagePullPolicy"] = json!("Always");
    expected["Namespace"] = json!("mine");
    expected["ForceImagePullPolicy"] = json!(true);
    let flags = ["--image-pull-policy=always", "--force-image-pull-policy", "config"];
    assert_eq!(
        config(&[&["--namespace", "mine", "gen"][..], &flags[..]].concat()),
        expected
    );
}

#[test]
fn a_local_run_rejects_flags_for_clusters() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(
        sono(directory.path(), &["run", "--local", "--rbac=Enable"]),
        failure(
            "error: --rbac requires a cluster and conflicts with --local\n  hint:  omit the flag, or omit --local to use a cluster\n"
        )
    );
}

#[test]
fn messages_name_the_kubectl_plugin() {
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join("kubectl-sono");
    std::os::unix::fs::symlink(assert_cmd::cargo::cargo_bin!("sono"), &link).unwrap();
    let mut program_by_link = std::process::Command::new(link);
    program_by_link.env_clear().args(["modes", "--help"]);
    let help = finished(&program_by_link.output().unwrap());
    let usage = help.stdout.lines().find(|line| line.starts_with("Usage:"));
    assert_eq!(usage, Some("Usage: kubectl sono modes [OPTIONS]"));
}

/// Scripts that call Sonobuoy may use its pod `sonobuoy` (cli §21). An explicit workload takes precedence.
#[test]
fn as_sonobuoy_the_aggregator_is_a_single_pod() {
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join("sonobuoy");
    std::os::unix::fs::symlink(assert_cmd::cargo::cargo_bin!("sono"), &link).unwrap();
    let aggregator = |flags: &[&str]| -> Value {
        let mut program_by_link = std::process::Command::new(&link);
        program_by_link
            .env_clear()
            .args(["gen", "-p", "host-check"])
            .args(flags);
        let finished = finished(&program_by_link.output().unwrap());
        assert_eq!((finished.code, finished.stderr.as_str()), (0, ""));
        let objects = sono_types::yaml::all_documents(&finished.stdout).unwrap();
        let mut named = objects
            .into_iter()
            .filter(|object| object["metadata"]["name"] == "sonobuoy");
        named.rfind(|object| object["kind"] != "Namespace").unwrap()["kind"].clone()
    };
    assert_eq!(aggregator(&[]), "Pod");
    assert_eq!(aggregator(&["--aggregator-workload=deployment"]), "Deployment");
    assert_eq!(aggregator(&["--results-volume=1Gi"]), "Deployment");
    let objects = objects(&["--aggregator-workload=pod"]);
    assert_eq!(of_kind(&objects, "Pod").len(), 1);
    assert_eq!(of_kind(&objects, "Deployment"), Vec::<&Value>::new());
}

#[test]
fn versions_are_validated_first() {
    let directory = tempfile::tempdir().unwrap();
    let of = |version: &str| {
        sono(
            directory.path(),
            &["gen", "-p", "e2e", "--kube-conformance-image-version", version],
        )
    };
    // B-9: without a cluster the error names the plugin that requires a version, and the flag.
    assert_eq!(
        of("auto"),
        failure(&format!(
            "error: the image of plugin `e2e` depends on the cluster's version, which is unknown without a cluster\n  \
             no cluster configured: no kubeconfig found, and not running in a pod\n  \
             {}/.kube/config: No such file or directory (os error 2)\n  hint:  set the version: --kubernetes-version v1.37.2\n",
            directory.path().display()
        ))
    );
    assert_eq!(
        of("1.30"),
        failure(
            "error: invalid Kubernetes version `1.30`\n  hint:  expected a version such as v1.37.2, or auto (the cluster's), ignore (the cluster's, if available) or latest\n"
        )
    );
    assert!(
        of("v1.30")
            .stdout
            .contains("image: registry.k8s.io/conformance:v1.30.0\n")
    );
}

/// Flags that exclude each other.
#[test]
fn conflicting_flags_are_rejected() {
    let directory = tempfile::tempdir().unwrap();
    for (flags, expected) in [
        (
            ["--mode=quick", "--rerun-failed=x"],
            "error: the argument '--mode <MODE>' cannot be used with '--rerun-failed <ARCHIVE>'",
        ),
        (
            ["--e2e-repo=x", "--e2e-repo-config=y"],
            "error: the argument '--e2e-repo <REPOSITORY>' cannot be used with '--e2e-repo-config <FILE>'",
        ),
    ] {
        let finished = sono(directory.path(), &[&["gen"], &flags[..]].concat());
        assert_eq!((finished.code, finished.stderr.lines().next()), (1, Some(expected)));
    }
}

fn with_files(flags: &[&str]) -> Finished {
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("key"), "k\u{f6}y").unwrap();
    fs_err::write(
        directory.path().join("docker.json"),
        "{\"auths\":{\"r\":{\"auth\":\"secret\"}}}",
    )
    .unwrap();
    sono(directory.path(), &[&["gen", "-p", "e2e"], flags].concat())
}

fn plugin(objects: &[Value]) -> Value {
    let stored = objects
        .iter()
        .find(|object| object["metadata"]["name"] == "sonobuoy-plugins-cm")
        .unwrap();
    sono_types::yaml::first_document(stored["data"]["plugin-0.yaml"].as_str().unwrap()).unwrap()
}

/// BUG 4: the key's path is checked first; its Secret is in the run's namespace, and the key is encoded once.
#[test]
fn an_ssh_key_is_mounted_in_the_tests() {
    let finished = with_files(&["--kubernetes-version=v1.37.2", "--ssh-key", "key", "-n", "mine"]);
    assert_eq!((finished.code, finished.stderr.as_str()), (0, ""));
    let objects = sono_types::yaml::all_documents(&finished.stdout).unwrap();
    let secrets = of_kind(&objects, "Secret");
    assert_eq!(secrets.len(), 1);
    assert_eq!(
        (&secrets[0]["metadata"]["namespace"], &secrets[0]["data"]),
        (&json!("mine"), &json!({ "id_rsa": "a8O2eQ==" }))
    );
    let plugin = plugin(&objects);
    assert_eq!(
        plugin["extra-volumes"][0]["secret"]["secretName"],
        secrets[0]["metadata"]["name"]
    );
    assert_eq!(
        with_files(&["--ssh-key", "nowhere"]),
        failure(
            "error: cannot use `nowhere`\n  cause: failed to open file `nowhere`: No such file or directory (os error 2)\n  hint:  the flag requires the name of a file\n"
        )
    );
}

/// BUG 13: registry credentials are only in one Secret. BUG 18: the user's arguments remove neither the progress nor the
/// credentials argument.
#[test]
fn credentials_are_in_one_secret() {
    let flags = [
        "--e2e-docker-config-file",
        "docker.json",
        "--plugin-env",
        "e2e.E2E_EXTRA_ARGS=--mine",
    ];
    let finished = with_files(&[&flags[..], &["--kubernetes-version=v1.27.0"]].concat());
    assert_eq!((finished.code, finished.stderr.as_str()), (0, ""));
    let objects = sono_types::yaml::all_documents(&finished.stdout).unwrap();
    let secret = of_kind(&objects, "Secret")[0];
    assert_eq!(
        (
            &secret["metadata"]["name"],
            &secret["metadata"]["namespace"],
            &secret["type"]
        ),
        (
            &json!("auth-repo-cred"),
            &json!("sonobuoy"),
            &json!("kubernetes.io/dockerconfigjson")
        )
    );
    let kinds: Vec<&str> = objects.iter().map(|object| object["kind"].as_str().unwrap()).collect();
    let position = |kind: &str| kinds.iter().position(|known| *known == kind).unwrap();
    assert!(
        position("ServiceAccount") < position("Secret") && position("Secret") < position("Deployment"),
        "{kinds:?}"
    );
    for object in objects.iter().filter(|object| object["kind"] != "Secret") {
        assert!(!object.to_string().contains("auths"), "{object}");
    }
    assert_eq!(
        template(&objects)["spec"]["imagePullSecrets"],
        json!([{ "name": "auth-repo-cred" }])
    );
    let plugin = plugin(&objects);
    let arguments = plugin["spec"]["env"]
        .as_array()
        .unwrap()
        .iter()
        .find(|variable| variable["name"] == "E2E_EXTRA_ARGS");
    assert_eq!(
        arguments.unwrap()["value"],
        "--progress-report-url=http://localhost:8099/progress --mine --e2e-docker-config-file=/tmp/sonobuoy/credentials/config.json"
    );
    // A given secret name is used.
    let named = with_files(
        &[
            &flags[..],
            &["--kubernetes-version=v1.27.0", "--image-pull-secrets", "mine"],
        ]
        .concat(),
    );
    let objects = sono_types::yaml::all_documents(&named.stdout).unwrap();
    assert_eq!(of_kind(&objects, "Secret")[0]["metadata"]["name"], "mine");
}

/// BUG 29: the final version is compared as a whole; an unknown version is not too old.
#[test]
fn credentials_require_a_version_that_supports_them() {
    let code = |version: &str| with_files(&["--e2e-docker-config-file=docker.json", "--kubernetes-version", version]);
    assert_eq!(
        code("v1.26.9"),
        failure(
            "error: e2e-docker-config-file is only supported for Kubernetes 1.27 or later, not for v1.26.9\n  hint:  omit the flag: older versions use only the credentials of the nodes\n"
        )
    );
    assert_eq!(code("v2.1.0").code, 0);
    assert_eq!(code("ignore").code, 0);
    let api = sono_testkit::FakeApi::start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("docker.json");
    fs_err::write(&file, "{}").unwrap();
    let flags = [
        "gen",
        "--kubernetes-version=auto",
        "--e2e-docker-config-file",
        file.to_str().unwrap(),
    ];
    assert_eq!(super::with_cluster(&api, &flags).code, 0);
    api.put_text("/version", 200, r#"{"gitVersion": "v1.26.1-gke.1"}"#);
    assert_eq!(super::with_cluster(&api, &flags).code, 1);
}

/// BUG 10: the cluster's version is read; if that fails, a placeholder is used with a warning.
#[test]
fn placeholder_version_is_used_only_without_a_cluster() {
    let flags = ["gen", "-p", "e2e", "--kubernetes-version=ignore"];
    let directory = tempfile::tempdir().unwrap();
    let finished = sono(directory.path(), &flags);
    assert_eq!(
        (finished.code, finished.stderr.as_str()),
        (
            0,
            "warning: the image of plugin `e2e` depends on the cluster's version, which is unknown without a cluster; the image has no version\n"
        )
    );
    assert!(finished.stdout.contains("image: registry.k8s.io/conformance:ignore\n"));
    let api = sono_testkit::FakeApi::start();
    let finished = super::with_cluster(&api, &flags);
    assert_eq!((finished.code, finished.stderr.as_str()), (0, ""));
    assert!(finished.stdout.contains("image: registry.k8s.io/conformance:v1.37.2\n"));
}

/// BUG 6: the log level has the spelling that the aggregator expects.
#[test]
fn log_level_of_the_aggregator_is_valid() {
    for level in ["warn", "warning"] {
        let objects = objects(&["--level", level]);
        let arguments = &template(&objects)["spec"]["containers"][0]["args"];
        assert_eq!(arguments[2], "--level=warn", "{level}");
    }
}

/// BUG 22: flags for tolerations and annotations, in addition to the configuration's.
#[test]
fn tolerations_annotations_and_pull_secrets_have_flags() {
    let flags = [
        "--aggregator-toleration=dedicated=tests:NoSchedule",
        "--aggregator-toleration=gpu",
        "--annotation=a/b=c=d",
        "--image-pull-secrets=pull",
        "--stop-on-failure",
    ];
    let objects = objects(&flags);
    let pod = template(&objects);
    let tolerations = pod["spec"]["tolerations"].as_array().unwrap();
    let wanted = [
        json!({"key": "dedicated", "operator": "Equal", "value": "tests", "effect": "NoSchedule"}),
        json!({"key": "gpu", "operator": "Exists"}),
    ];
    let found: Vec<&Value> = tolerations
        .iter()
        .filter(|toleration| wanted.contains(toleration))
        .collect();
    assert_eq!(found, wanted.iter().collect::<Vec<_>>());
    assert_eq!(pod["metadata"]["annotations"]["a/b"], "c=d");
    assert_eq!(pod["spec"]["imagePullSecrets"], json!([{ "name": "pull" }]));
    let stored = objects
        .iter()
        .find(|object| object["metadata"]["name"] == "sonobuoy-config-cm")
        .unwrap();
    let config: Value = serde_json::from_str(stored["data"]["config.json"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&config["StopOnFailure"], &config["ImagePullSecrets"]),
        (&json!(true), &json!("pull"))
    );
}

#[test]
fn unknown_keys_of_the_configuration_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let text = r#"{"NameSpaces": "x", "LimitSize": 1, "server": {"bindport": 9, "timeout": 1}, "Namespace": "mine"}"#;
    fs_err::write(directory.path().join("c.json"), text).unwrap();
    let finished = sono(directory.path(), &["gen", "config", "--config", "c.json"]);
    assert_eq!(
        (finished.code, finished.stderr.as_str()),
        (
            0,
            "warning: c.json: unknown key `LimitSize` has no effect\n\
             warning: c.json: unknown key `NameSpaces` has no effect (did you mean Namespace?)\n\
             warning: c.json: unknown key `server.timeout` has no effect\n"
        )
    );
    let config: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(
        (&config["Namespace"], &config["Server"]["bindport"]),
        (&json!("mine"), &json!(9))
    );
}

/// Flags of `run` that do not affect objects are accepted with a warning.
#[test]
fn flags_without_effect_on_gen_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let finished = sono(
        directory.path(),
        &[
            "gen",
            "-p",
            "host-check",
            "--wait=5",
            "--skip-preflight",
            "--dns-namespace=x",
            "--force-image-pull-policy=false",
        ],
    );
    assert_eq!(
        (finished.code, finished.stderr.as_str()),
        (
            0,
            "warning: --skip-preflight has no effect on gen\nwarning: --dns-namespace has no effect on gen\n\
             warning: --wait has no effect on gen\n"
        )
    );
}

/// BUG 48: one flag sets the registry of all images.
#[test]
fn registry_flag_applies_to_all_images() {
    let directory = tempfile::tempdir().unwrap();
    let flags = [
        "gen",
        "--registry",
        "r.example/k8s/",
        "--kubernetes-version=v1.37.2",
        "--plugin-image=systemd-logs:own:1",
    ];
    let finished = sono(directory.path(), &flags);
    assert_eq!((finished.code, finished.stderr.as_str()), (0, ""));
    let objects = sono_types::yaml::all_documents(&finished.stdout).unwrap();
    let images: Vec<&str> = finished
        .stdout
        .lines()
        .filter_map(|line| line.trim_start_matches([' ', '-']).strip_prefix("image: "))
        .collect();
    assert_eq!(
        images,
        ["r.example/k8s/conformance:v1.37.2", "own:1", "r.example/k8s/sono:dev"]
    );
    let stored = |name: &str, key: &str| -> Value {
        let stored = objects
            .iter()
            .find(|object| object["metadata"]["name"] == name)
            .unwrap();
        sono_types::yaml::first_document(stored["data"][key].as_str().unwrap()).unwrap()
    };
    assert_eq!(
        stored("sonobuoy-config-cm", "config.json")["WorkerImage"],
        "r.example/k8s/sono-worker:dev"
    );
    let groups = stored("plugin-e2e-cm", "registries.yaml");
    assert_eq!(
        (&groups["promoterE2eRegistry"], &groups["invalidRegistry"]),
        (&json!("r.example/k8s"), &json!("invalid.com/invalid"))
    );
    let plugin = plugin(&objects).to_string();
    assert!(
        plugin.contains(r#""name":"KUBE_TEST_REPO_LIST","value":"/tmp/sonobuoy/config/registries.yaml""#),
        "{plugin}"
    );
}
