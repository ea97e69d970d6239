//! What the server can list.

use serde_json::Value;
use sono_types::error_chain;

use super::{Reader, encode};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
    application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// A resource of one API group, in the version that the server prefers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource {
    /// API group, empty for the core group.
    pub group: String,
    /// Version of the group.
    pub version: String,
    /// Plural, as in paths.
    pub plural: String,
    /// As in an object's `kind`.
    pub kind: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

impl Resource {
    /// As in an object's `apiVersion`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// Path of the collection; of all namespaces where none is given.
    pub fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        let version = self.api_version();
        match namespace {
            Some(namespace) => format!("{root}/{version}/namespaces/{}/{}", encode(namespace), self.plural),
            None => format!("{root}/{version}/{}", self.plural),
        }
    }
}

/// A part of the API that does not say what it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undiscovered {
    /// `apps/v1`, or `/api` and `/apis` where nothing at all was said.
    pub part: String,
    /// Why.
    pub message: String,
}

/// Everything that can be listed, as far as the server says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovery {
    /// Sorted by group and plural.
    pub resources: Vec<Resource>,
    /// What is missing. The rest counts all the same.
    pub problems: Vec<Undiscovered>,
}

/// A version of a group, and what it has where that is known already.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    group: String,
    version: String,
    resources: Option<Vec<Resource>>,
}

impl Reader {
    /// Asks what there is: in two requests where the server can (since 1.26), otherwise version by version. A part that
    /// does not answer, such as an aggregated API without a backend, is a problem of its own and no other's.
    pub async fn discover(&self) -> Discovery {
        let (core, groups) = tokio::join!(self.json_as("/api", AGGREGATED), self.json_as("/apis", AGGREGATED));
        let mut problems = Vec::new();
        let mut versions = Vec::new();
        for (part, answer) in [("/api", core), ("/apis", groups)] {
            match answer {
                Ok(answer) => versions.extend(read_versions(&answer)),
                Err(error) => problems.push(Undiscovered {
                    part: part.to_owned(),
                    message: error_chain(&error),
                }),
            }
        }
        let asked = versions.into_iter().map(|version| async move {
            let Part {
                group,
                version,
                resources,
            } = version;
            let found = match resources {
                Some(resources) => Ok(resources),
                None => self.version(&group, &version).await,
            };
            (group, found)
        });
        let mut resources: Vec<Resource> = Vec::new();
        for (group, found) in futures::future::join_all(asked).await {
            match found {
                // The versions of a group come with the preferred one first; the others add what it lacks.
                Ok(found) => {
                    for resource in found {
                        let known = |other: &Resource| other.group == group && other.plural == resource.plural;
                        if !resources.iter().any(known) {
                            resources.push(resource);
                        }
                    }
                }
                Err(problem) => problems.push(problem),
            }
        }
        resources.sort();
        Discovery { resources, problems }
    }

    async fn version(&self, group: &str, version: &str) -> Result<Vec<Resource>, Undiscovered> {
        let root = if group.is_empty() {
            "/api".to_owned()
        } else {
            format!("/apis/{group}")
        };
        // Once: what is broken here stays broken, and would keep all others waiting.
        let path = format!("{root}/{version}");
        let part = path.trim_start_matches("/apis/").trim_start_matches("/api/").to_owned();
        let answer = match self.once(&path).await {
            Ok(answer) => answer,
            Err(error) => {
                return Err(Undiscovered {
                    part,
                    message: error_chain(&error),
                });
            }
        };
        Ok(read_resources(&answer, group, version))
    }
}

/// Groups and versions in the server's order, of either form of answer.
fn read_versions(answer: &Value) -> Vec<Part> {
    let list = |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |value: &Value, pointer: &str| {
        value
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    match answer.get("kind").and_then(Value::as_str) {
        Some("APIGroupDiscoveryList") => list(answer, "items")
            .iter()
            .flat_map(|item| {
                let group = text(item, "/metadata/name");
                list(item, "versions").into_iter().map(move |entry| {
                    let version = text(&entry, "/version");
                    let resources = list(&entry, "resources")
                        .iter()
                        .filter(|resource| can_list(resource))
                        .map(|resource| Resource {
                            group: group.clone(),
                            version: version.clone(),
                            plural: text(resource, "/resource"),
                            kind: text(resource, "/responseKind/kind"),
                            namespaced: text(resource, "/scope") == "Namespaced",
                        })
                        .collect();
                    Part {
                        group: group.clone(),
                        version,
                        // Stale means that its server did not answer; it may say why.
                        resources: (text(&entry, "/freshness") != "Stale").then_some(resources),
                    }
                })
            })
            .collect(),
        Some("APIVersions") => list(answer, "versions")
            .iter()
            .filter_map(Value::as_str)
            .map(|version| Part {
                group: String::new(),
                version: version.to_owned(),
                resources: None,
            })
            .collect(),
        _ => list(answer, "groups")
            .iter()
            .flat_map(|item| {
                let group = text(item, "/name");
                let preferred = text(item, "/preferredVersion/version");
                let mut versions: Vec<String> = list(item, "versions")
                    .iter()
                    .map(|version| text(version, "/version"))
                    .collect();
                versions.sort_by_key(|version| *version != preferred);
                versions.into_iter().map(move |version| Part {
                    group: group.clone(),
                    version,
                    resources: None,
                })
            })
            .collect(),
    }
}

/// An `APIResourceList`.
fn read_resources(answer: &Value, group: &str, version: &str) -> Vec<Resource> {
    let resources = answer.get("resources").and_then(Value::as_array);
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    resources
        .into_iter()
        .flatten()
        .filter(|resource| can_list(resource) && !text(resource, "name").contains('/'))
        .map(|resource| Resource {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: text(resource, "name"),
            kind: text(resource, "kind"),
            namespaced: resource.get("namespaced") == Some(&Value::Bool(true)),
        })
        .collect()
}

fn can_list(resource: &Value) -> bool {
    let verbs = resource.get("verbs").and_then(Value::as_array);
    verbs.is_some_and(|verbs| verbs.iter().any(|verb| verb == "list"))
}
