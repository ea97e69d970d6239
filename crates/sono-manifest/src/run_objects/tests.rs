use super::*;
use crate::load;

fn render(config: &Config, rbac: bool, log_level: &str) -> Vec<Value> {
    let text = "sonobuoy-config: {driver: Job, plugin-name: p}\nspec: {name: c, image: i}\nconfig-map: {a.txt: text}\n";
    let definitions = [load("p.yaml", text).0.unwrap()];
    run_objects(&RunObjects {
        config,
        definitions: &definitions,
        aggregator_image: "aggregator:1",
        rbac,
        log_level,
        results_volume: None,
        sizes: &Sizes::default(),
        network_policy: false,
    })
}

/// `Kind name` of each object in order.
fn names(objects: &[Value]) -> Vec<String> {
    objects
        .iter()
        .map(|object| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            format!("{} {}", text(&object["kind"]), text(&object["metadata"]["name"]))
        })
        .collect()
}

#[test]
fn objects_are_created_in_order_of_dependency() {
    let own = Config {
        namespace: "ns".to_owned(),
        service_account_name: "me".to_owned(),
        ..Config::default()
    };
    let rest = [
        "ConfigMap sonobuoy-config-cm",
        "ConfigMap sonobuoy-plugins-cm",
        "ConfigMap plugin-p-cm",
        "Pod sonobuoy",
        "Service sonobuoy-aggregator",
    ];
    let cluster_role = [
        "ClusterRoleBinding sonobuoy-serviceaccount-ns",
        "ClusterRole sonobuoy-serviceaccount-ns",
    ];
    let role = [
        "RoleBinding sonobuoy-serviceaccount-sonobuoy",
        "Role sonobuoy-serviceaccount-sonobuoy",
    ];
    for (permissions, rbac, first) in [
        (
            "clusterAdmin",
            true,
            [&["Namespace ns", "ServiceAccount me"][..], &cluster_role].concat(),
        ),
        ("clusterAdmin", false, vec!["Namespace ns", "ServiceAccount me"]),
        (
            "clusterRead",
            true,
            [&["ServiceAccount me"][..], &cluster_role, &role].concat(),
        ),
        ("namespaceAdmin", true, [&["ServiceAccount me"][..], &role].concat()),
        (
            "minimal",
            true,
            [
                &["ServiceAccount me"][..],
                &cluster_role,
                &["ClusterRoleBinding sonobuoy-serviceaccount-ns-view"],
                &role,
            ]
            .concat(),
        ),
        ("nonsense", true, [&["ServiceAccount me"][..], &role].concat()),
    ] {
        let config = Config {
            aggregator_permissions: permissions.to_owned(),
            ..own.clone()
        };
        let objects = render(&config, rbac, "info");
        assert_eq!(names(&objects), [&first[..], &rest].concat(), "{permissions}");
        for binding in objects.iter().filter(|object| object.get("subjects").is_some()) {
            let subject = json!([{ "kind": "ServiceAccount", "name": "me", "namespace": "ns" }]);
            assert_eq!(binding["subjects"], subject, "{permissions}");
        }
        for object in &objects {
            let scoped = !["Namespace", "ClusterRole", "ClusterRoleBinding"]
                .iter()
                .any(|kind| object["kind"] == *kind);
            assert_eq!(object["metadata"].get("namespace").is_some(), scoped, "{object}");
        }
    }
    let config = Config {
        existing_service_account: true,
        ..own
    };
    assert_eq!(
        names(&render(&config, false, "info"))[..2],
        ["Namespace ns", "ConfigMap sonobuoy-config-cm"]
    );
}

/// BUG 22: it can run on control plane nodes. BUG 55: it has requests, a probe, and security settings that the level
/// `restricted` allows.
#[test]
fn aggregator_pod_is_complete() {
    let config = Config {
        image_pull_secrets: "pull".to_owned(),
        custom_annotations: BTreeMap::from([
            (
                "cluster-autoscaler.kubernetes.io/safe-to-evict".to_owned(),
                "true".to_owned(),
            ),
            ("mine".to_owned(), "yes".to_owned()),
        ]),
        aggregator_tolerations: vec![BTreeMap::from([
            ("key".to_owned(), "5".to_owned()),
            ("tolerationSeconds".to_owned(), "30".to_owned()),
        ])],
        ..Config::default()
    };
    let objects = render(&config, true, "warning");
    let pod = objects.iter().find(|object| object["kind"] == "Pod").unwrap();
    let field = |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
    assert_eq!(
        *pod,
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "sonobuoy",
                "namespace": "sonobuoy",
                "labels": { "component": "sonobuoy", "sonobuoy-component": "aggregator", "tier": "analysis" },
                "annotations": { "cluster-autoscaler.kubernetes.io/safe-to-evict": "true", "mine": "yes" },
            },
            "spec": {
                "affinity": { "nodeAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [{
                    "weight": 100,
                    "preference": { "matchExpressions": [
                        { "key": "node-role.kubernetes.io/control-plane", "operator": "DoesNotExist" },
                        { "key": "node-role.kubernetes.io/master", "operator": "DoesNotExist" },
                    ] },
                }] } },
                "containers": [{
                    "name": "kube-sonobuoy",
                    "image": "aggregator:1",
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["/sonobuoy"],
                    "args": ["aggregator", "--no-exit", "--level=warn", "-v=3", "--alsologtostderr"],
                    "env": [field("SONOBUOY_ADVERTISE_IP", "status.podIP"), field("NODE_NAME", "spec.nodeName")],
                    "readinessProbe": {
                        "tcpSocket": { "port": 8080 },
                        "initialDelaySeconds": 0,
                        "periodSeconds": 1,
                        "failureThreshold": 3,
                    },
                    "resources": {
                        "requests": { "cpu": "50m", "memory": "64Mi", "ephemeral-storage": "1Gi" },
                        "limits": { "memory": "1Gi" },
                    },
                    "securityContext": {
                        "allowPrivilegeEscalation": false,
                        "capabilities": { "drop": ["ALL"] },
                        "readOnlyRootFilesystem": true,
                        "runAsNonRoot": true,
                        "seccompProfile": { "type": "RuntimeDefault" },
                    },
                    "volumeMounts": [
                        { "name": "sonobuoy-config-volume", "mountPath": "/etc/sonobuoy" },
                        { "name": "sonobuoy-plugins-volume", "mountPath": "/plugins.d" },
                        { "name": "output-volume", "mountPath": "/tmp/sonobuoy" },
                    ],
                }],
                "imagePullSecrets": [{ "name": "pull" }],
                "restartPolicy": "OnFailure",
                "securityContext": { "fsGroup": 2000, "runAsGroup": 3000, "runAsUser": 1000 },
                "serviceAccountName": "sonobuoy-serviceaccount",
                "terminationGracePeriodSeconds": 10,
                "tolerations": [
                    { "key": "kubernetes.io/e2e-evict-taint-key", "operator": "Exists" },
                    { "key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule" },
                    { "key": "node-role.kubernetes.io/master", "operator": "Exists", "effect": "NoSchedule" },
                    { "key": "5", "tolerationSeconds": 30 },
                ],
                "volumes": [
                    { "name": "sonobuoy-config-volume", "configMap": { "name": "sonobuoy-config-cm" } },
                    { "name": "sonobuoy-plugins-volume", "configMap": { "name": "sonobuoy-plugins-cm" } },
                    { "name": "output-volume", "emptyDir": { "sizeLimit": "20Gi" } },
                ],
            },
        })
    );
}

/// BUG 54: the Service targets the port on which the aggregator listens.
#[test]
fn the_service_targets_the_configured_port() {
    let mut config = Config::default();
    config.server.bind_port = 9443;
    let objects = render(&config, true, "info");
    let find = |kind: &str| objects.iter().find(|object| object["kind"] == kind).unwrap();
    assert_eq!(
        find("Service")["spec"]["ports"],
        json!([{ "port": 8080, "protocol": "TCP", "targetPort": 9443 }])
    );
    let probe = &find("Pod")["spec"]["containers"][0]["readinessProbe"];
    assert_eq!(probe["tcpSocket"], json!({ "port": 9443 }));
}

#[test]
fn without_a_security_mode_security_settings_are_omitted() {
    let config = Config {
        security_context_mode: "none".to_owned(),
        ..Config::default()
    };
    let objects = render(&config, true, "info");
    let pod = objects.iter().find(|object| object["kind"] == "Pod").unwrap();
    assert!(!pod.to_string().contains("securityContext"), "{pod}");
}

#[test]
fn stored_configuration_and_plugins_read_back() {
    let config = Config::default();
    let objects = render(&config, true, "info");
    let stored = |name: &str| {
        let found = objects
            .iter()
            .find(|object| object["metadata"]["name"] == name)
            .unwrap();
        found["data"].clone()
    };
    let text = stored("sonobuoy-config-cm")["config.json"].as_str().unwrap().to_owned();
    assert_eq!(Config::from_json(&text).unwrap(), config);
    let plugins = stored("sonobuoy-plugins-cm");
    let (definition, problems) = load("plugin-0.yaml", plugins["plugin-0.yaml"].as_str().unwrap());
    assert_eq!((definition.unwrap().name.as_str(), problems), ("p", Vec::new()));
    assert_eq!(stored("plugin-p-cm"), json!({ "a.txt": "text" }));

    let none = run_objects(&RunObjects {
        config: &config,
        definitions: &[],
        aggregator_image: "i",
        rbac: false,
        log_level: "info",
        results_volume: None,
        sizes: &Sizes::default(),
        network_policy: false,
    });
    let plugins = none
        .iter()
        .find(|object| object["metadata"]["name"] == "sonobuoy-plugins-cm")
        .unwrap();
    assert_eq!(plugins.get("data"), None);
}

#[test]
fn documents_of_a_manifest_end_with_dashes() {
    let objects = [
        json!({ "kind": "B", "apiVersion": "v1", "list": [1, "on"] }),
        json!({ "kind": "A" }),
    ];
    assert_eq!(
        to_manifest(&objects),
        "apiVersion: v1\nkind: B\nlist:\n- 1\n- \"on\"\n---\nkind: A\n---\n"
    );
}

/// Least privilege: the roles of `minimal` grant no verb on all resources, and reading only the run's own Secret, if it
/// has one.
#[test]
fn the_minimal_roles_grant_only_used_permissions() {
    let config = Config {
        aggregator_permissions: "minimal".to_owned(),
        aggregator_workload: constants::WORKLOAD_DEPLOYMENT.to_owned(),
        ..Config::default()
    };
    let objects = render(&config, true, "info");
    let pod = Config {
        aggregator_workload: constants::WORKLOAD_POD.to_owned(),
        ..config.clone()
    };
    let text = serde_json::to_string(&render(&pod, true, "info")).unwrap();
    assert!(!text.contains(&format!("\"resourceNames\":[\"{}\"]", constants::RUN_SECRET)));
    let rules: Vec<&Value> = objects
        .iter()
        .filter_map(|object| object.get("rules")?.as_array())
        .flatten()
        .collect();
    assert_eq!(rules.len(), crate::permissions().len());
    for rule in rules {
        assert!(!rule.to_string().contains('*'), "{rule}");
        if rule["resources"] == json!(["secrets"]) {
            let own = rule["resourceNames"] == json!([constants::RUN_SECRET]);
            let verbs = if own { ["get", "update"] } else { ["create", "delete"] };
            assert_eq!(rule["verbs"], json!(verbs));
        }
    }
    let viewer = objects
        .iter()
        .find(|object| object["roleRef"]["name"] == "view")
        .unwrap();
    assert_eq!(viewer["roleRef"]["kind"], "ClusterRole");
}

/// Plugins have separate accounts with read access only. All objects have the labels by which `delete` finds them.
#[test]
fn accounts_of_plugins_have_only_read_access() {
    let subjects = |objects: &[Value], account: &str| -> Vec<String> {
        let bound = objects.iter().filter(|object| {
            object["subjects"] == json!([{ "kind": "ServiceAccount", "name": account, "namespace": "ns" }])
        });
        bound
            .map(|binding| {
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                let role = &binding["roleRef"];
                format!(
                    "{} {} to {}",
                    text(&binding["kind"]),
                    text(&binding["metadata"]["name"]),
                    text(&role["name"])
                )
            })
            .collect()
    };
    let in_cluster = [
        "ClusterRoleBinding sonobuoy-plugins-ns-view to view",
        "ClusterRoleBinding sonobuoy-plugins-ns to sonobuoy-plugins-ns",
    ];
    for (mode, flag, accounts, bound) in [
        ("clusterAdmin", "shared", vec!["sonobuoy-serviceaccount"], vec![]),
        (
            "clusterAdmin",
            "own",
            vec!["sonobuoy-serviceaccount", "sonobuoy-plugins"],
            in_cluster.to_vec(),
        ),
        (
            "clusterRead",
            "own",
            vec!["sonobuoy-serviceaccount", "sonobuoy-plugins"],
            in_cluster.to_vec(),
        ),
        (
            "namespaceAdmin",
            "own",
            vec!["sonobuoy-serviceaccount", "sonobuoy-plugins"],
            vec!["RoleBinding sonobuoy-plugins-view to view"],
        ),
        (
            "minimal",
            "own",
            vec!["sonobuoy-serviceaccount", "sonobuoy-no-rights"],
            vec![],
        ),
        ("minimal", "shared", vec!["sonobuoy-serviceaccount"], vec![]),
    ] {
        let config = Config {
            namespace: "ns".to_owned(),
            aggregator_permissions: mode.to_owned(),
            plugin_account: flag.to_owned(),
            ..Config::default()
        };
        let objects = render(&config, true, "info");
        let created: Vec<&Value> = objects
            .iter()
            .filter(|object| object["kind"] == "ServiceAccount")
            .collect();
        let names: Vec<&str> = created
            .iter()
            .map(|account| account["metadata"]["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, accounts, "{mode} {flag}");
        for account in created {
            let without = account["metadata"]["name"] == "sonobuoy-no-rights";
            let token = without.then_some(json!(false));
            assert_eq!(account.get("automountServiceAccountToken"), token.as_ref());
        }
        assert_eq!(subjects(&objects, "sonobuoy-plugins"), bound, "{mode} {flag}");
        assert_eq!(subjects(&objects, "sonobuoy-no-rights"), Vec::<String>::new());
        // `delete` finds the ConfigMap of a plugin by the plugin's name; the namespace belongs to the run.
        let labelled = |object: &&Value| object["kind"] != "Namespace" && object["metadata"]["name"] != "plugin-p-cm";
        for object in objects.iter().filter(labelled) {
            assert_eq!(object["metadata"]["labels"]["component"], "sonobuoy", "{object}");
        }
        let without_roles = render(&config, false, "info");
        assert_eq!(subjects(&without_roles, "sonobuoy-plugins"), Vec::<String>::new());
        let cluster_role = objects
            .iter()
            .find(|object| object["kind"] == "ClusterRole" && object["metadata"]["name"] == "sonobuoy-plugins-ns");
        for rule in cluster_role.iter().flat_map(|role| role["rules"].as_array().unwrap()) {
            assert!(
                rule.get("nonResourceURLs").is_some() || rule["verbs"] == json!(["get", "list", "watch"]),
                "{rule}"
            );
        }
        let view = objects.iter().filter(|object| object["roleRef"]["name"] == "view");
        assert!(
            view.into_iter()
                .all(|binding| binding["roleRef"]["kind"] == "ClusterRole")
        );
    }
}

#[test]
fn limits_of_the_aggregator_are_configurable() {
    let config = Config::default();
    let quantity = |text: &str| text.parse::<crate::Quantity>().unwrap();
    for (memory, results, limits, volume) in [
        (
            "2Gi",
            "50Gi",
            Some(json!({ "memory": "2Gi" })),
            json!({ "sizeLimit": "50Gi" }),
        ),
        ("0", "0", None, json!({})),
    ] {
        let objects = run_objects(&RunObjects {
            config: &config,
            definitions: &[],
            aggregator_image: "i",
            rbac: false,
            log_level: "info",
            results_volume: None,
            sizes: &Sizes {
                memory: quantity(memory),
                results: quantity(results),
            },
            network_policy: false,
        });
        let pod = objects.iter().find(|object| object["kind"] == "Pod").unwrap();
        assert_eq!(pod["spec"]["containers"][0]["resources"].get("limits"), limits.as_ref());
        assert_eq!(
            pod["spec"]["volumes"][2],
            json!({ "name": "output-volume", "emptyDir": volume })
        );
    }
}

#[test]
fn network_policy_opens_the_workers_port_to_plugins_and_metrics_to_all() {
    let mut config = Config {
        namespace: "ns".to_owned(),
        ..Config::default()
    };
    config.server.bind_port = 9443;
    "0.0.0.0:9090".clone_into(&mut config.server.metrics_address);
    let render = |network_policy: bool| {
        let objects = run_objects(&RunObjects {
            config: &config,
            definitions: &[],
            aggregator_image: "i",
            rbac: false,
            log_level: "info",
            results_volume: None,
            sizes: &Sizes::default(),
            network_policy,
        });
        let policies = objects.into_iter().filter(|object| object["kind"] == "NetworkPolicy");
        policies.collect::<Vec<Value>>()
    };
    assert_eq!(render(false), Vec::<Value>::new());
    assert_eq!(
        render(true),
        [json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": { "name": "sonobuoy-aggregator", "namespace": "ns", "labels": { "component": "sonobuoy" } },
            "spec": {
                "podSelector": { "matchLabels": { "sonobuoy-component": "aggregator" } },
                "policyTypes": ["Ingress"],
                "ingress": [
                    {
                        "from": [{ "podSelector": { "matchExpressions": [{ "key": "sonobuoy-plugin", "operator": "Exists" }] } }],
                        "ports": [{ "port": 9443, "protocol": "TCP" }],
                    },
                    { "ports": [{ "port": 9090, "protocol": "TCP" }] },
                ],
            },
        })]
    );
}
