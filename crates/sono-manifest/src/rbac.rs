//! Who may do what: the aggregator's roles (cli spec §5.4).

use serde_json::{Value, json};
use sono_types::{Config, constants};

/// What the aggregator may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permissions {
    /// Everything in the whole cluster. The run has a namespace of its own.
    ClusterAdmin,
    /// Read everything in the cluster, and all in a namespace that is there already.
    ClusterRead,
    /// Everything in a namespace that is there already, and nothing outside.
    NamespaceAdmin,
}

impl Permissions {
    /// Reads `AggregatorPermissions`.
    fn parse(text: &str) -> Option<Self> {
        match text {
            "clusterAdmin" => Some(Self::ClusterAdmin),
            "clusterRead" => Some(Self::ClusterRead),
            "namespaceAdmin" => Some(Self::NamespaceAdmin),
            _ => None,
        }
    }

    /// Those of a run; a text that means nothing gives the fewest.
    pub(crate) fn of(config: &Config) -> Self {
        Self::parse(&config.aggregator_permissions).unwrap_or(Self::NamespaceAdmin)
    }
}

/// Bindings and roles, each binding before its role.
pub(crate) fn objects(config: &Config) -> Vec<Value> {
    let everything = ["*"];
    let reading = ["get", "list", "watch"];
    match Permissions::of(config) {
        Permissions::ClusterAdmin => cluster_role(config, &everything),
        Permissions::ClusterRead => [cluster_role(config, &reading), namespace_role(config)].concat(),
        Permissions::NamespaceAdmin => namespace_role(config),
    }
}

fn cluster_role(config: &Config, verbs: &[&str]) -> Vec<Value> {
    let name = format!("{}-{}", constants::SERVICE_ACCOUNT, config.namespace);
    let rules = json!([
        { "apiGroups": ["*"], "resources": ["*"], "verbs": verbs },
        { "nonResourceURLs": ["/metrics", "/logs", "/logs/*"], "verbs": ["get"] },
    ]);
    pair(
        config,
        "Cluster",
        &json!({ "name": name, "labels": labels(config) }),
        &rules,
    )
}

fn namespace_role(config: &Config) -> Vec<Value> {
    let metadata = json!({
        "name": format!("{}-sonobuoy", constants::SERVICE_ACCOUNT),
        "namespace": config.namespace,
        "labels": labels(config),
    });
    pair(
        config,
        "",
        &metadata,
        &json!([{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }]),
    )
}

fn pair(config: &Config, scope: &str, metadata: &Value, rules: &Value) -> Vec<Value> {
    let group = "rbac.authorization.k8s.io";
    let version = format!("{group}/v1");
    let role = format!("{scope}Role");
    vec![
        json!({
            "apiVersion": version,
            "kind": format!("{scope}RoleBinding"),
            "metadata": metadata,
            "roleRef": { "apiGroup": group, "kind": role, "name": metadata["name"] },
            "subjects": [{
                "kind": "ServiceAccount",
                "name": config.service_account_name,
                "namespace": config.namespace,
            }],
        }),
        json!({ "apiVersion": version, "kind": role, "metadata": metadata, "rules": rules }),
    ]
}

fn labels(config: &Config) -> Value {
    json!({ constants::COMPONENT.0: constants::COMPONENT.1, "namespace": config.namespace })
}
