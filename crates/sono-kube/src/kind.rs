//! The kinds of objects that sono knows without discovery.

use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;

use crate::KubeError;

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Namespaces.
    Namespace,
    /// Nodes.
    Node,
    /// Pods.
    Pod,
    /// ConfigMaps.
    ConfigMap,
    /// Secrets.
    Secret,
    /// Services.
    Service,
    /// Service accounts.
    ServiceAccount,
    /// Resource quotas.
    ResourceQuota,
    /// Events of the core group.
    Event,
    /// Claims to persistent volumes.
    PersistentVolumeClaim,
    /// DaemonSets.
    DaemonSet,
    /// Deployments.
    Deployment,
    /// Roles.
    Role,
    /// Role bindings.
    RoleBinding,
    /// Cluster roles.
    ClusterRole,
    /// Cluster role bindings.
    ClusterRoleBinding,
    /// Network policies.
    NetworkPolicy,
}

const RBAC: &str = "rbac.authorization.k8s.io";

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 17] = [
        Self::Namespace,
        Self::Node,
        Self::Pod,
        Self::ConfigMap,
        Self::Secret,
        Self::Service,
        Self::ServiceAccount,
        Self::ResourceQuota,
        Self::Event,
        Self::PersistentVolumeClaim,
        Self::DaemonSet,
        Self::Deployment,
        Self::Role,
        Self::RoleBinding,
        Self::ClusterRole,
        Self::ClusterRoleBinding,
        Self::NetworkPolicy,
    ];

    /// Kind, API group, plural, and whether it is namespaced.
    const fn row(self) -> (&'static str, &'static str, &'static str, bool) {
        match self {
            Self::Namespace => ("Namespace", "", "namespaces", false),
            Self::Node => ("Node", "", "nodes", false),
            Self::Pod => ("Pod", "", "pods", true),
            Self::ConfigMap => ("ConfigMap", "", "configmaps", true),
            Self::Secret => ("Secret", "", "secrets", true),
            Self::Service => ("Service", "", "services", true),
            Self::ServiceAccount => ("ServiceAccount", "", "serviceaccounts", true),
            Self::ResourceQuota => ("ResourceQuota", "", "resourcequotas", true),
            Self::Event => ("Event", "", "events", true),
            Self::PersistentVolumeClaim => ("PersistentVolumeClaim", "", "persistentvolumeclaims", true),
            Self::Deployment => ("Deployment", "apps", "deployments", true),
            Self::DaemonSet => ("DaemonSet", "apps", "daemonsets", true),
            Self::Role => ("Role", RBAC, "roles", true),
            Self::RoleBinding => ("RoleBinding", RBAC, "rolebindings", true),
            Self::ClusterRole => ("ClusterRole", RBAC, "clusterroles", false),
            Self::ClusterRoleBinding => ("ClusterRoleBinding", RBAC, "clusterrolebindings", false),
            Self::NetworkPolicy => ("NetworkPolicy", "networking.k8s.io", "networkpolicies", true),
        }
    }

    /// The value of `kind` in objects.
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// API group, empty for the core group.
    pub const fn group(self) -> &'static str {
        self.row().1
    }

    /// Version of the API group.
    pub const fn version(self) -> &'static str {
        "v1"
    }

    /// Plural, as in paths and in messages about permissions.
    pub const fn plural(self) -> &'static str {
        self.row().2
    }

    /// Whether its objects are namespaced.
    pub const fn is_namespaced(self) -> bool {
        self.row().3
    }

    /// The value of `apiVersion` in objects.
    pub fn api_version(self) -> String {
        match self.group() {
            "" => self.version().to_owned(),
            group => format!("{group}/{}", self.version()),
        }
    }

    /// The kind of `object`.
    pub fn of(object: &Value) -> Result<Self, KubeError> {
        let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        Self::ALL
            .into_iter()
            .find(|known| known.name() == kind && known.api_version() == api_version)
            .ok_or_else(|| KubeError::UnknownKind {
                kind: kind.to_owned(),
                api_version: api_version.to_owned(),
            })
    }

    /// Path of the collection in one namespace or, without one, in all.
    pub fn path(self, namespace: Option<&str>) -> String {
        let root = match self.group() {
            "" => format!("/api/{}", self.version()),
            group => format!("/apis/{group}/{}", self.version()),
        };
        match namespace.filter(|_| self.is_namespaced()) {
            Some(namespace) => format!("{root}/namespaces/{namespace}/{}", self.plural()),
            None => format!("{root}/{}", self.plural()),
        }
    }

    pub(crate) fn resource(self) -> ApiResource {
        ApiResource::from_gvk_with_plural(
            &GroupVersionKind::gvk(self.group(), self.version(), self.name()),
            self.plural(),
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_lead_to_paths() {
        let path = |object: Value| {
            Kind::of(&object)
                .map(|kind| kind.path(Some("ns")))
                .map_err(|error| error.to_string())
        };
        assert_eq!(
            path(json!({"apiVersion": "v1", "kind": "Pod"})),
            Ok("/api/v1/namespaces/ns/pods".to_owned())
        );
        assert_eq!(
            path(json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"})),
            Ok("/apis/rbac.authorization.k8s.io/v1/clusterroles".to_owned())
        );
        assert_eq!(
            path(json!({"apiVersion": "extensions/v1", "kind": "DaemonSet"})),
            Err("unsupported kind `DaemonSet` (`extensions/v1`)".to_owned())
        );
        assert_eq!(Kind::Pod.path(None), "/api/v1/pods");
    }
}
