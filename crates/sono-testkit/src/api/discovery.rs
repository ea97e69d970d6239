//! API discovery documents.

use serde_json::{Value, json};

#[derive(Debug)]
struct Resource {
    group: String,
    version: String,
    plural: String,
    kind: String,
    namespaced: bool,
}

#[derive(Debug)]
pub(super) struct Discovery {
    resources: Vec<Resource>,
    broken: Vec<(String, String)>,
    pub(super) aggregated: bool,
}

impl Default for Discovery {
    fn default() -> Self {
        let mut discovery = Self {
            resources: Vec::new(),
            broken: Vec::new(),
            aggregated: true,
        };
        for (plural, kind, namespaced) in [
            ("configmaps", "ConfigMap", true),
            ("events", "Event", true),
            ("namespaces", "Namespace", false),
            ("nodes", "Node", false),
            ("pods", "Pod", true),
            ("secrets", "Secret", true),
            ("services", "Service", true),
        ] {
            discovery.add("", "v1", plural, kind, namespaced);
        }
        discovery
    }
}

impl Discovery {
    pub(super) fn add(&mut self, group: &str, version: &str, plural: &str, kind: &str, namespaced: bool) {
        self.resources.push(Resource {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: plural.to_owned(),
            kind: kind.to_owned(),
            namespaced,
        });
    }

    pub(super) fn add_broken(&mut self, group: &str, version: &str) {
        self.broken.push((group.to_owned(), version.to_owned()));
    }

    /// Response to a discovery request or to an unavailable aggregated API; a `code` in it is the HTTP status.
    pub(super) fn answer(&self, path: &str, accept: &str) -> Option<Value> {
        let aggregated = self.aggregated && accept.contains("APIGroupDiscoveryList");
        match path.trim_matches('/').split('/').collect::<Vec<_>>().as_slice() {
            ["api"] if aggregated => Some(self.aggregated(true)),
            ["apis"] if aggregated => Some(self.aggregated(false)),
            ["api"] => Some(json!({"kind": "APIVersions", "versions": ["v1"]})),
            ["apis"] => Some(self.groups()),
            ["api", "v1"] => Some(self.resource_list("", "v1")),
            ["apis", group, version, ..] if self.is_broken(group, version) => Some(json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "the server is currently unable to handle the request", "reason": "ServiceUnavailable",
                "code": 503})),
            ["apis", group, version] => Some(self.resource_list(group, version)),
            _ => None,
        }
    }

    fn is_broken(&self, group: &str, version: &str) -> bool {
        self.broken
            .iter()
            .any(|broken| (broken.0.as_str(), broken.1.as_str()) == (group, version))
    }

    /// Groups and versions in the order in which they were added.
    fn versions(&self) -> Vec<(&str, Vec<&str>)> {
        let all = self
            .resources
            .iter()
            .map(|resource| (resource.group.as_str(), resource.version.as_str()));
        let broken = self
            .broken
            .iter()
            .map(|(group, version)| (group.as_str(), version.as_str()));
        let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
        for (group, version) in all.chain(broken) {
            match groups.iter_mut().find(|known| known.0 == group) {
                Some((_, versions)) if versions.contains(&version) => {}
                Some((_, versions)) => versions.push(version),
                None => groups.push((group, vec![version])),
            }
        }
        groups
    }

    fn of<'a>(&'a self, group: &'a str, version: &'a str) -> impl Iterator<Item = &'a Resource> {
        self.resources
            .iter()
            .filter(move |resource| resource.group == group && resource.version == version)
    }

    fn aggregated(&self, core: bool) -> Value {
        let version = |group: &str, version: &str| {
            let resources: Vec<Value> = self
                .of(group, version)
                .map(|resource| {
                    json!({
                "resource": resource.plural, "responseKind": {"group": "", "version": "", "kind": resource.kind},
                "scope": if resource.namespaced { "Namespaced" } else { "Cluster" }, "verbs": ["get", "list"],
                "subresources": [{"subresource": "status", "verbs": ["get"]}]})
                })
                .collect();
            let freshness = if self.is_broken(group, version) {
                "Stale"
            } else {
                "Current"
            };
            json!({"version": version, "resources": resources, "freshness": freshness})
        };
        let items: Vec<Value> = self
            .versions()
            .into_iter()
            .filter(|(group, _)| group.is_empty() == core)
            .map(|(group, versions)| {
                json!({"metadata": {"name": group},
                "versions": versions.into_iter().map(|name| version(group, name)).collect::<Vec<_>>()})
            })
            .collect();
        json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
    }

    fn groups(&self) -> Value {
        let groups: Vec<Value> = self
            .versions()
            .into_iter()
            .filter(|(group, _)| !group.is_empty())
            .map(|(group, versions)| {
                let versions: Vec<Value> = versions
                    .iter()
                    .map(|version| json!({"groupVersion": format!("{group}/{version}"), "version": version}))
                    .collect();
                json!({"name": group, "preferredVersion": versions[0], "versions": versions})
            })
            .collect();
        json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
    }

    fn resource_list(&self, group: &str, version: &str) -> Value {
        let mut resources: Vec<Value> = self
            .of(group, version)
            .map(|resource| {
                json!({"name": resource.plural, "kind": resource.kind, "namespaced": resource.namespaced,
                "singularName": "", "verbs": ["get", "list"]})
            })
            .collect();
        if group.is_empty() {
            resources.push(
                json!({"name": "pods/log", "kind": "Pod", "namespaced": true, "singularName": "", "verbs": ["get"]}),
            );
        }
        json!({"kind": "APIResourceList", "groupVersion": version, "resources": resources})
    }
}
