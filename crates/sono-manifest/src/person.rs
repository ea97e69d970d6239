//! What a person, or a job in their place, needs who runs `sono` in a namespace that others have prepared: one row for
//! each reason, from which the role is made and which `docs/permissions.md` repeats.

use serde_json::{Value, json};
use sono_types::{Config, constants};

use crate::permissions::{Permission, Scope, in_namespace, rules_of};

/// Name of the role.
const ROLE: &str = "sono-runner";

/// Every right that is used where the aggregator's account and its roles are there already.
pub fn person_permissions() -> &'static [Permission] {
    &PERMISSIONS
}

const PERMISSIONS: [Permission; 10] = [
    in_namespace(
        "",
        &["configmaps"],
        "",
        &["get", "create", "delete", "deletecollection"],
        "`run` stores configuration and plugins, and looks whether there is a run already; `delete`",
    ),
    in_namespace(
        "",
        &["pods"],
        "",
        &["get", "list", "watch", "create", "delete", "deletecollection"],
        "`run` starts the aggregator; all that look at a run find it by its pod; `delete` takes all pods of the run",
    ),
    in_namespace(
        "apps",
        &["deployments"],
        "",
        &["list", "watch", "create", "delete", "deletecollection"],
        "`run` makes the aggregator one, so that its pod is replaced; while it has none, `status` and `wait` say why; all that look at a run see by it which pod is the newest run's; `delete`; not needed with `--aggregator-workload pod`",
    ),
    in_namespace(
        "",
        &["services"],
        "",
        &["create", "delete", "deletecollection"],
        "`run` puts one in front of the aggregator; `delete`",
    ),
    in_namespace(
        "",
        &["secrets"],
        "",
        &["create", "delete", "deletecollection"],
        "`run` stores credentials where flags name some; `delete` takes those and the certificates of plugins",
    ),
    in_namespace(
        "apps",
        &["daemonsets"],
        "",
        &["list", "deletecollection"],
        "`status` looks whether they have their pods; `delete` takes those of plugins that still run",
    ),
    in_namespace(
        "",
        &["events"],
        "",
        &["list"],
        "`status` says why a plugin's pods cannot be created; without it it says nothing of that",
    ),
    in_namespace("", &["pods/log"], "", &["get"], "`logs`"),
    in_namespace(
        "",
        &["pods/exec"],
        "",
        &["get", "create"],
        "`retrieve` (create alone was enough before Kubernetes 1.35)",
    ),
    in_namespace(
        "",
        &["pods/portforward"],
        "",
        &["get", "create"],
        "`retrieve` where exec is closed, `retrieve --partial`, `status` with all rows of a large run",
    ),
];

/// The role with these rights.
pub fn person_role(namespace: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": { "name": ROLE, "namespace": namespace },
        "rules": rules_of(&PERMISSIONS, Scope::Namespace),
    })
}

/// The policy of one run: of its pods only those of plugins reach the workers' port, and nothing else of the aggregator is
/// reached but the address of its counts, where the configuration opens one. Kubelets' probes and forwarded ports are not
/// subject to policies.
pub(crate) fn aggregator_policy(config: &Config) -> Value {
    let port = |port: u16| json!([{ "port": port, "protocol": "TCP" }]);
    let plugins = json!({ "matchExpressions": [{ "key": constants::PLUGIN_LABEL, "operator": "Exists" }] });
    let mut ingress = vec![json!({ "from": [{ "podSelector": plugins }], "ports": port(config.server.bind_port) })];
    let counts = config.server.metrics_address.rsplit_once(':');
    if let Some(counts) = counts.and_then(|(_, port)| port.parse().ok()) {
        ingress.push(json!({ "ports": port(counts) }));
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

/// What pods of a run may reach and be reached by; everything else is denied. Pods in the host's network are outside of
/// all this.
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
        // No selector names the API server; its ports are these, behind its Service or not.
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

    /// The page is the table, row for row and in its order.
    #[test]
    fn the_documented_table_is_the_one_in_code() {
        let (wanted, found) = rows_on_the_page(person_permissions(), "the run's namespace");
        assert_eq!(found, wanted);
    }

    /// The policies choose pods by what the run's objects wear.
    #[test]
    fn the_policies_mean_the_pods_of_a_run() {
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
