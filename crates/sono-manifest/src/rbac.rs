//! Roles and bindings of the aggregator and of plugins (cli §5).

use serde_json::{Value, json};
use sono_types::{Config, constants};

use crate::{
    account::NewAccount,
    permissions::{self, Scope},
};

const GROUP: &str = "rbac.authorization.k8s.io";
/// Kubernetes' cluster role for read access without Secrets and exec.
const VIEW: &str = "view";

/// Permissions of the aggregator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permissions {
    /// Full access to the cluster. The run creates its namespace.
    ClusterAdmin,
    /// Read access to the cluster and full access to an existing namespace.
    ClusterRead,
    /// Full access to an existing namespace.
    NamespaceAdmin,
    /// Only the permissions that the aggregator itself uses, in an existing namespace.
    Minimal,
}

impl Permissions {
    /// Parses `AggregatorPermissions`.
    fn parse(text: &str) -> Option<Self> {
        match text {
            "clusterAdmin" => Some(Self::ClusterAdmin),
            "clusterRead" => Some(Self::ClusterRead),
            "namespaceAdmin" => Some(Self::NamespaceAdmin),
            "minimal" => Some(Self::Minimal),
            _ => None,
        }
    }

    /// Permissions of a run. An unknown value means [`Self::NamespaceAdmin`].
    pub(crate) fn of(config: &Config) -> Self {
        Self::parse(&config.aggregator_permissions).unwrap_or(Self::NamespaceAdmin)
    }
}

/// Bindings and roles of the aggregator, each binding before its role.
pub(crate) fn objects(config: &Config) -> Vec<Value> {
    let everything = ["*"];
    let reading = ["get", "list", "watch"];
    match Permissions::of(config) {
        Permissions::ClusterAdmin => cluster_role(config, &all(&everything)),
        Permissions::ClusterRead => [cluster_role(config, &all(&reading)), whole_namespace(config)].concat(),
        Permissions::NamespaceAdmin => whole_namespace(config),
        Permissions::Minimal => [
            cluster_role(config, &permissions::rules(config, Scope::Cluster)),
            vec![viewer(config)],
            namespace_role(config, &permissions::rules(config, Scope::Namespace)),
        ]
        .concat(),
    }
}

/// Bindings and roles of a plugin account; none without read access or with [`Permissions::Minimal`].
pub(crate) fn plugin_objects(config: &Config, account: NewAccount) -> Vec<Value> {
    if !account.can_read {
        return Vec::new();
    }
    let name = account.name;
    let cluster = format!("{name}-{}", config.namespace);
    match Permissions::of(config) {
        Permissions::ClusterAdmin | Permissions::ClusterRead => {
            let viewer = json!({ "name": format!("{cluster}-view"), "labels": labels(config) });
            let metadata = json!({ "name": cluster, "labels": labels(config) });
            let rules = permissions::plugin_reads();
            let mut objects = vec![binding(config, "Cluster", &viewer, VIEW, name)];
            objects.extend(pair(config, "Cluster", &metadata, &rules, name));
            objects
        }
        Permissions::NamespaceAdmin => {
            let metadata = json!({
                "name": format!("{name}-view"),
                "namespace": config.namespace,
                "labels": labels(config),
            });
            let mut binding = binding(config, "", &metadata, VIEW, name);
            binding["roleRef"]["kind"] = json!("ClusterRole");
            vec![binding]
        }
        Permissions::Minimal => Vec::new(),
    }
}

fn all(verbs: &[&str]) -> Value {
    json!([
        { "apiGroups": ["*"], "resources": ["*"], "verbs": verbs },
        { "nonResourceURLs": ["/metrics", "/logs", "/logs/*"], "verbs": ["get"] },
    ])
}

/// Binding to Kubernetes' role `view` for queries, which does not include Secrets.
fn viewer(config: &Config) -> Value {
    let metadata = json!({ "name": format!("{}-view", cluster_name(config)), "labels": labels(config) });
    binding(config, "Cluster", &metadata, VIEW, &config.service_account_name)
}

fn cluster_name(config: &Config) -> String {
    format!("{}-{}", constants::SERVICE_ACCOUNT, config.namespace)
}

fn cluster_role(config: &Config, rules: &Value) -> Vec<Value> {
    let metadata = json!({ "name": cluster_name(config), "labels": labels(config) });
    pair(config, "Cluster", &metadata, rules, &config.service_account_name)
}

fn whole_namespace(config: &Config) -> Vec<Value> {
    let rules = json!([{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }]);
    namespace_role(config, &rules)
}

fn namespace_role(config: &Config, rules: &Value) -> Vec<Value> {
    let metadata = json!({
        "name": format!("{}-sonobuoy", constants::SERVICE_ACCOUNT),
        "namespace": config.namespace,
        "labels": labels(config),
    });
    pair(config, "", &metadata, rules, &config.service_account_name)
}

fn pair(config: &Config, scope: &str, metadata: &Value, rules: &Value, account: &str) -> Vec<Value> {
    let name = metadata["name"].as_str().unwrap_or_default();
    vec![
        binding(config, scope, metadata, name, account),
        json!({
            "apiVersion": format!("{GROUP}/v1"),
            "kind": format!("{scope}Role"),
            "metadata": metadata,
            "rules": rules,
        }),
    ]
}

fn binding(config: &Config, scope: &str, metadata: &Value, role: &str, account: &str) -> Value {
    json!({
        "apiVersion": format!("{GROUP}/v1"),
        "kind": format!("{scope}RoleBinding"),
        "metadata": metadata,
        "roleRef": { "apiGroup": GROUP, "kind": format!("{scope}Role"), "name": role },
        "subjects": [{
            "kind": "ServiceAccount",
            "name": account,
            "namespace": config.namespace,
        }],
    })
}

fn labels(config: &Config) -> Value {
    json!({ constants::COMPONENT.0: constants::COMPONENT.1, "namespace": config.namespace })
}
