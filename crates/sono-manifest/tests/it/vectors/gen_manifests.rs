//! Compares rendered objects with manifests printed by `sonobuoy gen`, except for the deviations listed here.

use serde_json::{Value, json};
use sono_manifest::{
    Definition, Images, Preparation, RunObjects, Sizes, builtin, load, prepare, run_objects, to_manifest,
};
use sono_testkit::vectors;
use sono_types::{Config, yaml};

/// Description of a deviation and a function that reverts it; it returns false if there is nothing to revert.
type Deviation = (&'static str, fn(&mut [Value]) -> bool);

/// Intentional deviations (`DEVIATIONS.md`).
const DEVIATIONS: &[Deviation] = &[
    ("the namespace has a label of its creator", |objects| {
        removes(
            objects,
            "Namespace",
            "/metadata/labels",
            "app.kubernetes.io/created-by",
            &json!("sono"),
        )
    }),
    ("the aggregator's pod names its run", |objects| {
        let pods = objects.iter_mut().filter(|object| object["kind"] == "Pod");
        let mut annotations = pods.filter_map(|pod| pod.pointer_mut("/metadata/annotations")?.as_object_mut());
        annotations.all(|annotations| annotations.remove("sono-run-id").is_none_or(|id| id.is_string()))
    }),
    ("the aggregator is not evicted to save a node", |objects| {
        let annotations = json!({ "cluster-autoscaler.kubernetes.io/safe-to-evict": "false" });
        removes(objects, "Pod", "/metadata", "annotations", &annotations)
    }),
    ("the aggregator can run on control plane nodes", |objects| {
        let spec = object(objects, "Pod").get_mut("spec").unwrap();
        let has_affinity = spec.as_object_mut().unwrap().remove("affinity").is_some();
        let tolerations = spec["tolerations"].as_array_mut().unwrap();
        let before = tolerations.len();
        tolerations.retain(|toleration| {
            !toleration["key"]
                .as_str()
                .unwrap()
                .starts_with("node-role.kubernetes.io/")
        });
        has_affinity && tolerations.len() == before - 2
    }),
    ("the aggregator ends at SIGTERM", |objects| {
        removes(objects, "Pod", "/spec", "terminationGracePeriodSeconds", &json!(10))
    }),
    ("a failed aggregator is restarted", |objects| {
        let ours = removes(objects, "Pod", "/spec", "restartPolicy", &json!("OnFailure"));
        let pods = objects.iter_mut().filter(|object| object["kind"] == "Pod");
        pods.for_each(|pod| pod["spec"]["restartPolicy"] = json!("Never"));
        ours
    }),
    ("the aggregator is ready when workers can connect", |objects| {
        let probe = json!({
            "tcpSocket": { "port": 8080 }, "initialDelaySeconds": 0, "periodSeconds": 1, "failureThreshold": 3,
        });
        removes(objects, "Pod", "/spec/containers/0", "readinessProbe", &probe)
    }),
    ("the aggregator has resource requests", |objects| {
        let resources = json!({
            "requests": { "cpu": "50m", "memory": "64Mi", "ephemeral-storage": "1Gi" },
            "limits": { "memory": "1Gi" },
        });
        removes(objects, "Pod", "/spec/containers/0", "resources", &resources)
    }),
    ("the volume of results has a size limit", |objects| {
        let volume = object(objects, "Pod").pointer_mut("/spec/volumes/2/emptyDir").unwrap();
        let ours = *volume == json!({ "sizeLimit": "20Gi" });
        *volume = json!({});
        ours
    }),
    ("the aggregator has a variable with its node", |objects| {
        let variable = json!({ "name": "NODE_NAME", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } });
        let list = object(objects, "Pod")
            .pointer_mut("/spec/containers/0/env")
            .unwrap()
            .as_array_mut()
            .unwrap();
        let before = list.len();
        list.retain(|given| *given != variable);
        list.len() < before
    }),
    ("workers can connect to the aggregator before it is ready", |objects| {
        removes(objects, "Service", "/spec", "publishNotReadyAddresses", &json!(true))
    }),
    ("the order of variables is preserved", |objects| {
        plugins(objects).fold(false, |_, plugin| {
            let list = plugin.pointer_mut("/spec/env").unwrap().as_array_mut().unwrap();
            list.sort_by_key(|variable| variable["name"].as_str().unwrap().to_lowercase());
            true
        })
    }),
];

/// Applies only to plugins with the default podSpec of a Job.
const TOLERATES_CONTROL_PLANE: Deviation = ("pods can run on control plane nodes of current releases", |objects| {
    let control_plane =
        json!({ "effect": "NoSchedule", "key": "node-role.kubernetes.io/control-plane", "operator": "Exists" });
    plugins(objects).any(|plugin| {
        let Some(Value::Array(tolerations)) = plugin.pointer_mut("/podSpec/tolerations") else {
            return false;
        };
        let before = tolerations.len();
        tolerations.retain(|toleration| *toleration != control_plane);
        tolerations.len() < before
    })
});

/// Applies only if the aggregator's container has security settings.
const RESTRICTED: Deviation = ("the aggregator has no privileges", |objects| {
    let context = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": { "drop": ["ALL"] },
        "readOnlyRootFilesystem": true,
        "runAsNonRoot": true,
        "seccompProfile": { "type": "RuntimeDefault" },
    });
    removes(objects, "Pod", "/spec/containers/0", "securityContext", &context)
});

/// Applies only with the plugin systemd-logs.
const OWN_LOGS_IMAGE: Deviation = ("systemd-logs has sono's image and no rights", |objects| {
    plugins(objects).any(|plugin| {
        let image = &mut plugin["spec"]["image"];
        let ours = *image == json!("sono.local/sono-systemd-logs:dev");
        if ours {
            *image = json!("sonobuoy/systemd-logs:v0.4");
        }
        let settings = plugin["sonobuoy-config"].as_object_mut().unwrap();
        ours && settings.remove("plugin-account") == Some(json!("none"))
    })
});

fn object<'a>(objects: &'a mut [Value], kind: &str) -> &'a mut Value {
    objects.iter_mut().find(|object| object["kind"] == kind).unwrap()
}

fn removes(objects: &mut [Value], kind: &str, parent: &str, key: &str, expected: &Value) -> bool {
    let Some(object) = objects.iter_mut().find(|object| object["kind"] == kind) else {
        return true;
    };
    object
        .pointer_mut(parent)
        .unwrap()
        .as_object_mut()
        .unwrap()
        .remove(key)
        .as_ref()
        == Some(expected)
}

fn plugins(objects: &mut [Value]) -> impl Iterator<Item = &mut Value> {
    let stored = objects
        .iter_mut()
        .find(|object| object["metadata"]["name"] == "sonobuoy-plugins-cm")
        .unwrap();
    stored["data"]
        .as_object_mut()
        .into_iter()
        .flat_map(|data| data.values_mut())
}

/// The objects of a manifest, with parsed contents of ConfigMaps.
fn read(manifest: &str) -> Vec<Value> {
    let mut objects = yaml::all_documents(manifest).unwrap();
    for object in &mut objects {
        for (key, value) in object
            .get_mut("data")
            .and_then(Value::as_object_mut)
            .into_iter()
            .flatten()
        {
            if key == "config.json" || key.starts_with("plugin-") {
                *value = yaml::first_document(value.as_str().unwrap()).unwrap();
            }
        }
    }
    objects
}

/// Renders the plugins with the configuration of the manifest, and compares the objects.
fn check(golden: &str, definitions: Vec<Definition>, version: &str, rbac: bool, further: &[Deviation]) {
    let folder = vectors("gen");
    let golden_text = fs_err::read_to_string(folder.join(golden)).unwrap();
    let expected = read(&golden_text);
    let stored = expected
        .iter()
        .find(|object| object["metadata"]["name"] == "sonobuoy-config-cm")
        .unwrap();
    let config = Config::from_json(&stored["data"]["config.json"].to_string()).unwrap();
    let definitions = prepare(
        definitions,
        &Preparation {
            config: &config,
            kubernetes_version: version,
        },
    );
    let objects = run_objects(&RunObjects {
        config: &config,
        definitions: &definitions,
        aggregator_image: &config.worker_image,
        rbac,
        log_level: "info",
        results_volume: None,
        sizes: &Sizes::default(),
        network_policy: false,
    });
    let manifest = to_manifest(&objects);
    assert!(
        manifest.starts_with("apiVersion: v1\n") && manifest.ends_with("\n---\n"),
        "{manifest}"
    );
    let mut ours = read(&manifest);
    for (deviation, revert) in DEVIATIONS.iter().chain(further) {
        assert!(revert(&mut ours), "{golden}: {deviation}");
    }
    assert_eq!(ours.len(), expected.len(), "{golden}");
    for (own, other) in ours.iter().zip(&expected) {
        assert_eq!(own, other, "{golden}");
    }
}

/// Built-in plugins without pull policy and e2e mode, as in the test that generated some of the manifests.
fn bare(names: &[&str]) -> Vec<Definition> {
    let images = Images {
        pull_policy: String::new(),
        ..Images::default()
    };
    let mut definitions: Vec<Definition> = names.iter().map(|name| builtin(name, &images).unwrap()).collect();
    for definition in &mut definitions {
        for variable in definition.spec["env"].as_array_mut().unwrap() {
            if ["E2E_FOCUS", "E2E_SKIP", "E2E_PARALLEL"].contains(&variable["name"].as_str().unwrap()) {
                variable.as_object_mut().unwrap().remove("value");
            }
        }
    }
    definitions
}

const BARE_AGGREGATOR: Deviation = ("the manifest has no pull policy", |objects| {
    removes(
        objects,
        "Pod",
        "/spec/containers/0",
        "imagePullPolicy",
        &json!("IfNotPresent"),
    )
});

fn plugin(text: &str) -> Definition {
    let (definition, problems) = load("plugin.yaml", text);
    assert_eq!(problems, []);
    definition.unwrap()
}

#[test]
#[ignore = "requires the test vectors: cargo xtask test"]
fn built_in_plugins() {
    let both = || {
        ["systemd-logs", "e2e"]
            .map(|name| builtin(name, &Images::default()).unwrap())
            .to_vec()
    };
    check(
        "gen-security-context-none.golden",
        both(),
        "ignore",
        true,
        &[TOLERATES_CONTROL_PLANE, OWN_LOGS_IMAGE],
    );
    check(
        "gen-aggregator-permissions-clusterRead.golden",
        both(),
        "ignore",
        true,
        &[TOLERATES_CONTROL_PLANE, RESTRICTED, OWN_LOGS_IMAGE],
    );
    let version = "v99+static.testing";
    let default = [TOLERATES_CONTROL_PLANE, RESTRICTED, BARE_AGGREGATOR];
    let with_logs = [&default[..], &[OWN_LOGS_IMAGE]].concat();
    check(
        "default.golden",
        bare(&["e2e", "systemd-logs"]),
        version,
        false,
        &with_logs,
    );
    check(
        "systemd-logs-default.golden",
        bare(&["e2e", "systemd-logs"]),
        version,
        false,
        &with_logs,
    );
    check("manual-e2e.golden", bare(&["e2e"]), version, false, &default);
    let mut changed = bare(&["e2e"]);
    let variables = changed[0].spec["env"].as_array_mut().unwrap();
    variables.retain(|variable| variable["name"] != "E2E_SKIP");
    variables.extend([
        json!({ "name": "E2E_SKIP", "value": "override" }),
        json!({ "name": "E2E_DRYRUN", "value": "true" }),
    ]);
    check("envoverrides.golden", changed, version, false, &default);
    check("imagePullSecrets.golden", bare(&["e2e"]), version, false, &default);
    check(
        "aggregatorpermissions-noncluster-admin.golden",
        bare(&["e2e", "systemd-logs"]),
        version,
        false,
        &with_logs,
    );
}

#[test]
#[ignore = "requires the test vectors: cargo xtask test"]
fn own_plugins() {
    let hello = "sonobuoy-config: {driver: Job, plugin-name: hello-world, result-format: raw, description: This is a plugin description., source-url: foo.com}\nspec: {command: [./run.sh], image: 'hello:v9', name: plugin, resources: {}}\n";
    check(
        "gen-imagePullPolicy-forced.golden",
        vec![plugin(hello)],
        "ignore",
        true,
        &[RESTRICTED],
    );

    let custom = "sonobuoy-config: {driver: Job, plugin-name: customname, result-format: junit}\nspec: {command: [/testImage], args: [single-file, /resources/junit-passing-tests.xml], image: 'sonobuoy/testimage:v0.1', name: plugin, volumeMounts: [{name: results, mountPath: /tmp/results}]}\n";
    let goodbye = "sonobuoy-config: {driver: Job, plugin-name: goodbye, result-format: raw}\nspec: {command: [./run.sh], image: 'hello:v9', name: plugin}\n";
    check(
        "gen-plugin-renaming.golden",
        vec![plugin(goodbye), plugin(custom)],
        "ignore",
        true,
        &[RESTRICTED],
    );

    let hello = "sonobuoy-config: {driver: Job, plugin-name: hello-world, result-format: raw}\nspec: {command: [./run.sh], image: 'hello:v9', name: plugin}\n";
    let variable = "sonobuoy-config: {driver: Job, plugin-name: variable-image, result-format: raw}\nspec: {command: [./run.sh], image: 'hello:$SONOBUOY_K8S_VERSION', name: plugin}\n";
    let definitions = vec![plugin(variable), plugin(hello)];
    check(
        "gen-variable-image.golden",
        definitions,
        "v123.456.789",
        true,
        &[RESTRICTED],
    );
}
