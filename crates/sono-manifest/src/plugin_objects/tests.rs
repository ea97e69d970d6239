use std::collections::BTreeMap;

use super::*;
use crate::load;

/// Renders a definition.
fn render(text: &str, config: &Config, render: fn(&PluginLaunch<'_>) -> Value) -> Value {
    let (definition, problems) = load("p.yaml", text);
    assert_eq!(problems, []);
    let definition = definition.unwrap();
    let owner = Owner {
        name: "sonobuoy-config-cm".to_owned(),
        uid: "u-1".to_owned(),
    };
    render(&PluginLaunch {
        definition: &definition,
        config,
        session: &SessionId::from_random([0, 1, 2, 3, 4, 5, 6, 7]),
        namespace: "ns",
        owner: &owner,
        aggregator_url: "https://10.0.0.1:8080",
        fallback_url: Some("https://10.1.0.9:8080"),
        ca_cert: "ca",
        client_cert: "cert",
        client_key: "key",
        deadline: Some("2026-01-02T03:04:05Z".parse().unwrap()),
    })
}

fn worker(text: &str, config: &Config) -> Value {
    let pod = render(text, config, pod);
    pod["spec"]["containers"].as_array().unwrap().last().unwrap().clone()
}

fn variable(container: &Value, name: &str) -> Option<String> {
    let found = containers::each(container, "env").find(|variable| containers::name(variable) == name)?;
    found["value"].as_str().map(str::to_owned)
}

const JOB: &str = "sonobuoy-config: {driver: jOB, plugin-name: p}\nspec: {name: main, image: i}\n";

fn expected_variables(further: &[(&str, &str)]) -> Value {
    let text = |name: &str, value: &str| json!({ "name": name, "value": value });
    let field = |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
    let key = |name: &str, key: &str| {
        let from = json!({ "name": "sonobuoy-plugin-p-0001020304050607", "key": key });
        json!({ "name": name, "valueFrom": { "secretKeyRef": from } })
    };
    let mut variables = vec![
        field("NODE_NAME", "spec.nodeName"),
        text("RESULTS_DIR", "/tmp/sonobuoy/results"),
        text("SONOBUOY_RESULTS_DIR", "/tmp/sonobuoy/results"),
        text("RESULT_TYPE", "p"),
        text("AGGREGATOR_URL", "https://10.0.0.1:8080"),
        text("CA_CERT", "ca"),
        key("CLIENT_CERT", "tls.crt"),
        key("CLIENT_KEY", "tls.key"),
        text("SONOBUOY_PROGRESS_PORT", "8099"),
        text("SONOBUOY_DIR", "/tmp/sonobuoy"),
        field("SONOBUOY_NS", "metadata.namespace"),
        field("SONOBUOY_PLUGIN_POD", "metadata.name"),
        text("SONOBUOY_WORKER_CONTAINER", "sonobuoy-worker"),
        text("SONO_AGGREGATOR_FALLBACK_URL", "https://10.1.0.9:8080"),
        text("SONO_DEADLINE", "2026-01-02T03:04:05Z"),
    ];
    variables.extend(further.iter().map(|(name, value)| text(name, value)));
    json!(variables)
}

fn expected_worker(command: &Value, args: &Value) -> Value {
    json!({
        "name": "sonobuoy-worker",
        "image": "sono.local/sono-worker:dev",
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "args": args,
        "env": expected_variables(&[("SONOBUOY_DONE_FILE_DELAY", "0s")]),
        "resources": { "requests": { "cpu": "10m", "memory": "16Mi" } },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": { "drop": ["ALL"] },
            "readOnlyRootFilesystem": true,
            "runAsNonRoot": true,
            "runAsUser": 65532,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "volumeMounts": [{ "name": "results", "mountPath": "/tmp/sonobuoy/results" }],
    })
}

fn labels() -> Value {
    json!({
        "component": "sonobuoy",
        "sonobuoy-component": "plugin",
        "sonobuoy-plugin": "p",
        "sonobuoy-run": "0001020304050607",
        "tier": "analysis",
    })
}

fn owner_references() -> Value {
    json!([{ "apiVersion": "v1", "kind": "ConfigMap", "name": "sonobuoy-config-cm", "uid": "u-1" }])
}

fn aggregator_anti_affinity() -> Value {
    json!({ "podAntiAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [{
        "weight": 100,
        "podAffinityTerm": {
            "labelSelector": { "matchLabels": { "sonobuoy-component": "aggregator" } },
            "topologyKey": "kubernetes.io/hostname",
        },
    }] } })
}

#[test]
fn pod_anti_affinity_of_the_definition_is_preserved() {
    let text = "sonobuoy-config: {driver: Job, plugin-name: p}\nspec: {name: main}\n\
        podSpec: {affinity: {podAntiAffinity: {}, nodeAffinity: {}}}\n";
    let spec = render(text, &Config::default(), pod)["spec"].take();
    assert_eq!(spec["affinity"], json!({ "podAntiAffinity": {}, "nodeAffinity": {} }));
}

#[test]
fn a_job_is_a_pod() {
    let config = Config {
        service_account_name: "me".to_owned(),
        ..Config::default()
    };
    let command = (
        json!(["/sonobuoy"]),
        json!(["worker", "global", "--level=trace", "-v=6", "--logtostderr"]),
    );
    assert_eq!(
        render(JOB, &config, pod),
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "sonobuoy-p-job-0001020304050607",
                "namespace": "ns",
                "labels": labels(),
                "annotations": { "cluster-autoscaler.kubernetes.io/safe-to-evict": "false", "sonobuoy-driver": "jOB", "sonobuoy-plugin": "p" },
                "ownerReferences": owner_references(),
            },
            "spec": {
                "affinity": aggregator_anti_affinity(),
                "containers": [{ "name": "main", "image": "i" }, expected_worker(&command.0, &command.1)],
                "nodeSelector": { "kubernetes.io/os": "linux" },
                "restartPolicy": "Never",
                "serviceAccountName": "me",
                "tolerations": [
                    { "effect": "NoSchedule", "key": "node-role.kubernetes.io/master", "operator": "Exists" },
                    { "effect": "NoSchedule", "key": "node-role.kubernetes.io/control-plane", "operator": "Exists" },
                    { "key": "CriticalAddonsOnly", "operator": "Exists" },
                    { "key": "kubernetes.io/e2e-evict-taint-key", "operator": "Exists" },
                ],
                "volumes": [{ "name": "results", "emptyDir": {} }],
            },
        })
    );
}

#[test]
fn a_daemon_set_selects_its_own_pods() {
    let text = "sonobuoy-config: {driver: DaemonSet, plugin-name: p}\nspec: {name: main}\nextra-volumes: [{name: extra, emptyDir: {}}]\n";
    let config = Config {
        image_pull_secrets: "pull".to_owned(),
        custom_annotations: BTreeMap::from([("sonobuoy-driver".to_owned(), "mine".to_owned())]),
        ..Config::default()
    };
    let command = json!([
        "/sonobuoy",
        "worker",
        "single-node",
        "--level=trace",
        "-v=6",
        "--logtostderr",
        "--sleep=-1"
    ]);
    assert_eq!(
        render(text, &config, daemon_set),
        json!({
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {
                "name": "sonobuoy-p-daemon-set-0001020304050607",
                "namespace": "ns",
                "labels": labels(),
                "annotations": { "sonobuoy-driver": "mine", "sonobuoy-plugin": "p" },
                "ownerReferences": owner_references(),
            },
            "spec": {
                "selector": { "matchLabels": { "sonobuoy-run": "0001020304050607" } },
                "template": {
                    "metadata": { "labels": labels(), "annotations": { "cluster-autoscaler.kubernetes.io/safe-to-evict": "false", "sonobuoy-driver": "mine" } },
                    "spec": {
                        "containers": [{ "name": "main" }, expected_worker(&command, &json!([]))],
                        "dnsPolicy": "ClusterFirstWithHostNet",
                        "hostIPC": true,
                        "hostNetwork": true,
                        "hostPID": true,
                        "imagePullSecrets": [{ "name": "pull" }],
                        "serviceAccountName": "sonobuoy-serviceaccount",
                        "tolerations": [{ "operator": "Exists" }],
                        "volumes": [
                            { "name": "root", "hostPath": { "path": "/" } },
                            { "name": "results", "emptyDir": {} },
                            { "name": "extra", "emptyDir": {} },
                        ],
                    },
                },
            },
        })
    );
    assert_eq!(
        render(text, &Config::default(), daemon_set)["spec"]["template"]["metadata"],
        json!({
            "annotations": { "cluster-autoscaler.kubernetes.io/safe-to-evict": "false" },
            "labels": labels(),
        })
    );
}

#[test]
fn the_secret_holds_certificate_and_key() {
    assert_eq!(
        render(JOB, &Config::default(), secret),
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": "sonobuoy-plugin-p-0001020304050607",
                "namespace": "ns",
                "labels": labels(),
                "ownerReferences": owner_references(),
            },
            "type": "kubernetes.io/tls",
            "data": { "tls.crt": "Y2VydA==", "tls.key": "a2V5" },
        })
    );
}

#[test]
fn a_pod_spec_is_used_unchanged() {
    let text = "\
sonobuoy-config: {driver: Job, plugin-name: p}
spec: {name: main}
podSpec:
  containers: [{name: side}]
  imagePullSecrets: [{name: own}]
  volumes: [{name: own, emptyDir: {}}]
  notYetInvented: {a: 1}
";
    let config = Config {
        image_pull_secrets: "pull".to_owned(),
        ..Config::default()
    };
    let mut spec = render(text, &config, pod)["spec"].take();
    spec["containers"].as_array_mut().unwrap().pop();
    assert_eq!(
        spec,
        json!({
            "affinity": aggregator_anti_affinity(),
            "containers": [{ "name": "side" }, { "name": "main" }],
            "imagePullSecrets": [{ "name": "own" }, { "name": "pull" }],
            "volumes": [{ "name": "own", "emptyDir": {} }, { "name": "results", "emptyDir": {} }],
            "notYetInvented": { "a": 1 },
        })
    );
}

#[test]
fn the_worker_gets_the_plugins_variables_except_its_own() {
    let text = "\
sonobuoy-config: {driver: Job, plugin-name: p}
spec:
  name: main
  env:
  - {name: Z, value: '1'}
  - {name: CA_CERT, value: forged}
  - {name: A, value: $(Z)}
  - {name: SONOBUOY_DONE_FILE_DELAY, value: 7s}
";
    let mut variables = vec![
        json!({ "name": "Z", "value": "1" }),
        json!({ "name": "A", "value": "$(Z)" }),
        json!({ "name": "SONOBUOY_DONE_FILE_DELAY", "value": "7s" }),
    ];
    variables.extend(expected_variables(&[]).as_array().unwrap().iter().cloned());
    assert_eq!(worker(text, &Config::default())["env"], json!(variables));
}

#[test]
fn done_file_delay_is_set_only_with_a_sidecar() {
    let mounts = "volumeMounts: [{name: results, mountPath: /r}]";
    for (pod_spec, expected) in [
        ("{}".to_owned(), Some("0s")),
        ("{containers: [{name: side}]}".to_owned(), Some("0s")),
        (format!("{{containers: [{{name: side, {mounts}}}]}}"), None),
        (format!("{{initContainers: [{{name: first, {mounts}}}]}}"), Some("0s")),
        (
            format!("{{initContainers: [{{name: side, restartPolicy: Always, {mounts}}}]}}"),
            None,
        ),
    ] {
        let text = format!("{JOB}podSpec: {pod_spec}\n");
        let worker = worker(&text, &Config::default());
        assert_eq!(
            variable(&worker, "SONOBUOY_DONE_FILE_DELAY").as_deref(),
            expected,
            "{pod_spec}"
        );
    }
}

#[test]
fn the_worker_runs_as_the_plugins_user() {
    for (container, pod_spec, expected) in [
        ("", "{}", 65532),
        (", securityContext: {runAsUser: 0}", "{}", 65532),
        (
            ", securityContext: {runAsUser: 1234}",
            "{securityContext: {runAsUser: 99}}",
            1234,
        ),
        ("", "{securityContext: {runAsUser: 99}}", 99),
    ] {
        let text = format!(
            "sonobuoy-config: {{driver: Job, plugin-name: p}}\nspec: {{name: main{container}}}\npodSpec: {pod_spec}\n"
        );
        let worker = worker(&text, &Config::default());
        assert_eq!(worker["securityContext"]["runAsUser"], expected, "{text}");
    }
}

#[test]
fn security_settings_are_omitted_where_they_would_be_rejected() {
    for pod_spec in [
        "{nodeSelector: {kubernetes.io/os: windows}}",
        "{nodeSelector: {beta.kubernetes.io/os: windows}}",
        "{os: {name: windows}}",
    ] {
        let worker = worker(&format!("{JOB}podSpec: {pod_spec}\n"), &Config::default());
        assert_eq!(worker.get("securityContext"), None, "{pod_spec}");
    }
    let config = Config {
        security_context_mode: "none".to_owned(),
        ..Config::default()
    };
    assert_eq!(worker(JOB, &config).get("securityContext"), None);
}

#[test]
fn the_key_is_not_in_debug_output() {
    let shown = render(JOB, &Config::default(), |launch| json!(format!("{launch:?}")));
    assert_eq!(
        shown,
        "PluginLaunch { plugin: PluginName(\"p\"), session: SessionId(\"0001020304050607\"), namespace: \"ns\", owner: Owner { name: \"sonobuoy-config-cm\", uid: \"u-1\" }, aggregator_url: \"https://10.0.0.1:8080\", fallback_url: Some(\"https://10.1.0.9:8080\"), deadline: Some(2026-01-02T03:04:05Z), .. }"
    );
}

/// W-13: the worker listens on the port in the plugin's variables.
#[test]
fn the_worker_listens_on_the_plugins_own_port() {
    let port = |value: &str| {
        let text = format!("{JOB}  env: [{{name: SONOBUOY_PROGRESS_PORT, value: {value:?}}}]\n");
        let text = text.replace("spec: {name: main, image: i}\n", "spec:\n  name: main\n");
        variable(&worker(&text, &Config::default()), "SONOBUOY_PROGRESS_PORT")
    };
    assert_eq!(port("8100").as_deref(), Some("8100"));
    assert_eq!(port("soon").as_deref(), Some("8099"));
}
