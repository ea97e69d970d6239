//! Permissions of a person or CI job that runs `sono` in a prepared namespace, one row per purpose.
//!
//! The role `sono-runner` is generated from them, and a test compares them with `docs/permissions.md`.

use serde_json::{Value, json};
use sono_types::{Config, constants};

use crate::permissions::{Permission, Scope, in_namespace, rules_of};

/// Name of the role.
const ROLE: &str = "sono-runner";

/// All permissions that are used if the aggregator's account and roles already exist.
pub fn runner_permissions() -> &'static [Permission] {
    &PERMISSIONS
}

const PERMISSIONS: [Permission; 10] = [
    in_namespace(
        "",
        &["configmaps"],
        "",
        &["get", "create", "delete", "deletecollection"],
        "`run` stores configuration and plugins, and checks for an existing run; `delete`",
    ),
    in_namespace(
        "",
        &["pods"],
        "",
        &["get", "list", "watch", "create", "delete", "deletecollection"],
        "`run` starts the aggregator; all commands find a run by its pod; `delete` deletes all pods of the run",
    ),
    in_namespace(
        "apps",
        &["deployments"],
        "",
        &["list", "watch", "create", "delete", "deletecollection"],
        "`run` creates the aggregator's Deployment; `status` and `wait` report why it has no pod; all commands find the pod of the newest run by it; `delete`; not needed with `--aggregator-workload pod`",
    ),
    in_namespace(
        "",
        &["services"],
        "",
        &["create", "delete", "deletecollection"],
        "`run` creates the aggregator's Service; `delete`",
    ),
    in_namespace(
        "",
        &["secrets"],
        "",
        &["create", "delete", "deletecollection"],
        "`run` stores credentials that flags name; `delete` deletes them and the certificates of plugins",
    ),
    in_namespace(
        "apps",
        &["daemonsets"],
        "",
        &["list", "deletecollection"],
        "`status` checks whether they have their pods; `delete` deletes those of running plugins",
    ),
    in_namespace(
        "",
        &["events"],
        "",
        &["list"],
        "`status` reports why a plugin's pods cannot be created; without it the reason is missing",
    ),
    in_namespace(
        "",
        &["pods/log"],
        "",
        &["get"],
        "`logs`; `status`, `wait` and `run --wait` show the end of a failed container's log",
    ),
    in_namespace(
        "",
        &["pods/exec"],
        "",
        &["get", "create"],
        "`retrieve` (before Kubernetes 1.35 only create)",
    ),
    in_namespace(
        "",
        &["pods/portforward"],
        "",
        &["get", "create"],
        "`retrieve` if exec is not allowed, `retrieve --partial`, `status` with all rows of a large run",
    ),
];

/// The role with these permissions.
pub fn runner_role(namespace: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": { "name": ROLE, "namespace": namespace },
        "rules": rules_of(&PERMISSIONS, Scope::Namespace),
    })
}

/// Network policy of the run's aggregator.
///
/// It allows only plugin pods to connect to the workers' port, and all pods to the metrics port if the configuration has a
/// metrics address. Probes of kubelets and forwarded ports are not subject to policies.
pub(crate) fn aggregator_policy(config: &Config) -> Value {
    let port = |port: u16| json!([{ "port": port, "protocol": "TCP" }]);
    let plugins = json!({ "matchExpressions": [{ "key": constants::PLUGIN_LABEL, "operator": "Exists" }] });
    let mut ingress = vec![json!({ "from": [{ "podSelector": plugins }], "ports": port(config.server.bind_port) })];
    let metrics = config.server.metrics_address.rsplit_once(':');
    if let Some(metrics) = metrics.and_then(|(_, port)| port.parse().ok()) {
        ingress.push(json!({ "ports": port(metrics) }));
    }
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": constants::AGGREGATOR_SERVICE,
            "namespace": config.namespace,
            "labels": { constants::COMPONENT.0: constants::COMPONENT.1 },
        },
        "spec": {
            "podSelector": { "matchLabels": { constants::COMPONENT_LABEL: "aggregator" } },
            "policyTypes": ["Ingress"],
            "ingress": ingress,
        },
    })
}

/// Network policies that allow only the connections of a run. They do not apply to pods with `hostNetwork`.
pub fn network_policies(namespace: &str) -> Vec<Value> {
    let policy = |name: &str, spec: Value| {
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": { "name": name, "namespace": namespace },
            "spec": spec,
        })
    };
    let aggregator = json!({ "matchLabels": { constants::COMPONENT_LABEL: "aggregator" } });
    let plugins = json!({ "matchExpressions": [{ "key": constants::PLUGIN_LABEL, "operator": "Exists" }] });
    let port = json!([{ "port": constants::AGGREGATOR_PORT, "protocol": "TCP" }]);
    vec![
        policy(
            "sono-default-deny",
            json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] }),
        ),
        // No selector matches the API server, so its ports are allowed, with and without its Service.
        policy(
            "sono-to-api-server",
            json!({
                "podSelector": {},
                "policyTypes": ["Egress"],
                "egress": [{ "ports": [{ "port": 443, "protocol": "TCP" }, { "port": 6443, "protocol": "TCP" }] }],
            }),
        ),
        policy(
            "sono-aggregator",
            json!({
                "podSelector": aggregator,
                "policyTypes": ["Ingress"],
                "ingress": [{ "from": [{ "podSelector": plugins }], "ports": port }],
            }),
        ),
        policy(
            "sono-workers",
            json!({
                "podSelector": plugins,
                "policyTypes": ["Egress"],
                "egress": [{ "to": [{ "podSelector": aggregator }], "ports": port }],
            }),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permissions::tests::rows_on_the_page;

    #[test]
    fn documented_permissions_match_the_code() {
        let (expected, found) = rows_on_the_page(runner_permissions(), "the run's namespace");
        assert_eq!(found, expected);
    }

    #[test]
    fn policies_select_the_pods_of_a_run() {
        let config = sono_types::Config::default();
        let objects = crate::run_objects(&crate::RunObjects {
            config: &config,
            definitions: &[],
            aggregator_image: "i",
            rbac: true,
            log_level: "info",
            sizes: &crate::Sizes::default(),
            network_policy: false,
            results_volume: None,
        });
        let found = |kind: &str| objects.iter().find(|object| object["kind"] == kind).unwrap();
        let policies = network_policies("n");
        let policy = |name: &str| {
            let named = policies.iter().find(|policy| policy["metadata"]["name"] == name);
            named.unwrap()["spec"].clone()
        };
        let pod = &found("Pod")["metadata"]["labels"];
        let selector = policy("sono-aggregator")["podSelector"]["matchLabels"].clone();
        for (label, value) in selector.as_object().unwrap() {
            assert_eq!(&pod[label], value);
        }
        let service = &found("Service")["spec"]["ports"][0]["targetPort"];
        assert_eq!(&policy("sono-aggregator")["ingress"][0]["ports"][0]["port"], service);
        assert_eq!(&policy("sono-workers")["egress"][0]["ports"][0]["port"], service);
        assert_eq!(
            policy("sono-workers")["egress"][0]["to"][0]["podSelector"]["matchLabels"],
            selector
        );
    }
}
