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
    })
}

/// `Kind name` of each object, in order.
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
fn objects_come_in_the_order_they_need_each_other() {
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

/// BUG 22: it runs on a control plane where there is nothing else. BUG 55: it has requests, a probe, and security settings
/// that the level `restricted` admits.
#[test]
fn the_aggregator_has_all_it_needs() {
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
                    "resources": { "requests": { "cpu": "50m", "memory": "64Mi" } },
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
                    { "name": "output-volume", "emptyDir": {} },
                ],
            },
        })
    );
}

/// BUG 54: the Service leads to the port that the aggregator listens on.
#[test]
fn the_service_leads_to_the_configured_port() {
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
fn without_a_security_mode_nothing_is_said_about_security() {
    let config = Config {
        security_context_mode: "none".to_owned(),
        ..Config::default()
    };
    let objects = render(&config, true, "info");
    let pod = objects.iter().find(|object| object["kind"] == "Pod").unwrap();
    assert!(!pod.to_string().contains("securityContext"), "{pod}");
}

#[test]
fn what_is_stored_can_be_read_again() {
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
    });
    let plugins = none
        .iter()
        .find(|object| object["metadata"]["name"] == "sonobuoy-plugins-cm")
        .unwrap();
    assert_eq!(plugins.get("data"), None);
}

#[test]
fn a_manifest_is_documents_followed_by_dashes() {
    let objects = [
        json!({ "kind": "B", "apiVersion": "v1", "list": [1, "on"] }),
        json!({ "kind": "A" }),
    ];
    assert_eq!(
        to_manifest(&objects),
        "apiVersion: v1\nkind: B\nlist:\n- 1\n- \"on\"\n---\nkind: A\n---\n"
    );
}

/// Least privilege: the roles of `minimal` grant no verb on everything, and no reading of Secrets but
/// the run's own, where it has one.
#[test]
fn the_minimal_roles_grant_what_is_used() {
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
