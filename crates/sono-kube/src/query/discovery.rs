//! Discovery of the resources that the server can list.

use std::collections::BTreeSet;

use serde_json::Value;
use sono_types::error_chain;

use super::{
    ApiName, ApiNameError, Reader, encode,
    name::{MAX_BYTES, shown},
};

/// Maximum number of versions of API groups, and of resources.
const MAX_VERSIONS: usize = 2_000;
const MAX_RESOURCES: usize = 10_000;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
    application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// A resource of one API group, in the version that the server prefers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource {
    /// API group, empty for the core group.
    pub group: ApiName,
    /// Version of the group.
    pub version: ApiName,
    /// Plural, as in paths.
    pub plural: ApiName,
    /// The value of `kind` in its objects.
    pub kind: String,
    /// Whether its objects are namespaced.
    pub namespaced: bool,
}

impl Resource {
    fn new(
        group: &ApiName,
        version: &ApiName,
        plural: &str,
        kind: &str,
        namespaced: bool,
    ) -> Result<Self, ApiNameError> {
        let parsed = ApiName::parse(plural)?;
        if group.len() + version.len() + parsed.len() > MAX_BYTES {
            return Err(ApiNameError::Long { name: shown(plural) });
        }
        Ok(Self {
            group: group.clone(),
            version: version.clone(),
            plural: parsed,
            kind: kind.to_owned(),
            namespaced,
        })
    }

    /// The value of `apiVersion` in its objects.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_string()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// Path of the collection in one namespace or, without one, in all.
    pub fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        let version = self.api_version();
        match namespace {
            Some(namespace) => format!("{root}/{version}/namespaces/{}/{}", encode(namespace), self.plural),
            None => format!("{root}/{version}/{}", self.plural),
        }
    }
}

/// A part of the API that could not be discovered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveryProblem {
    /// `apps/v1`, or `/api` or `/apis` if the whole request failed.
    pub part: String,
    /// The reason.
    pub message: String,
}

/// The listable resources, as far as they could be discovered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovery {
    /// Sorted by group and plural.
    pub resources: Vec<Resource>,
    /// Parts that could not be discovered.
    pub problems: Vec<DiscoveryProblem>,
}

/// A version of an API group, with its resources if already known.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    group: ApiName,
    version: ApiName,
    resources: Option<Found>,
}

/// The resources of one version.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    resources: Vec<Resource>,
    rejected: Rejected,
}

/// Invalid names in one discovery document, which are not queried.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rejected {
    count: usize,
    first: Option<ApiNameError>,
}

impl Rejected {
    fn valid<T>(&mut self, parsed: Result<T, ApiNameError>) -> Option<T> {
        parsed
            .map_err(|error| {
                self.count += 1;
                self.first.get_or_insert(error);
            })
            .ok()
    }

    /// One problem for all names of the document.
    fn problem(self, part: impl Into<String>) -> Option<DiscoveryProblem> {
        let first = self.first?;
        let message = match self.count {
            1 => format!("an invalid name is not queried: {first}"),
            count => format!("{count} invalid names are not queried; the first: {first}"),
        };
        Some(DiscoveryProblem {
            part: part.into(),
            message,
        })
    }
}

impl Reader {
    /// Discovers all resources: with two requests if the server supports it (since 1.26), otherwise version by version. A
    /// part that fails, such as an aggregated API without a backend, is reported as a problem and does not affect the
    /// others.
    pub async fn discover(&self) -> Discovery {
        let (core, groups) = tokio::join!(self.json_as("/api", AGGREGATED), self.json_as("/apis", AGGREGATED));
        let mut problems = Vec::new();
        let mut versions = Vec::new();
        for (part, answer) in [("/api", core), ("/apis", groups)] {
            match answer {
                Ok(answer) => {
                    let mut rejected = Rejected::default();
                    versions.extend(read_versions(&answer, &mut rejected));
                    problems.extend(rejected.problem(part));
                }
                Err(error) => problems.push(DiscoveryProblem {
                    part: part.to_owned(),
                    message: error_chain(&error),
                }),
            }
        }
        if versions.len() > MAX_VERSIONS {
            problems.push(DiscoveryProblem {
                part: "/apis".to_owned(),
                message: format!(
                    "{} versions of API groups; only {MAX_VERSIONS} are queried",
                    versions.len()
                ),
            });
            versions.truncate(MAX_VERSIONS);
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
            (part_name(&group, &version), found)
        });
        let mut resources: Vec<Resource> = Vec::new();
        let mut known = BTreeSet::new();
        for (part, found) in futures::future::join_all(asked).await {
            match found {
                // The preferred version of a group is first; the other versions add missing resources.
                Ok(found) => {
                    problems.extend(found.rejected.problem(part));
                    for resource in found.resources {
                        if known.insert((resource.group.clone(), resource.plural.clone())) {
                            resources.push(resource);
                        }
                    }
                }
                Err(problem) => problems.push(problem),
            }
        }
        if resources.len() > MAX_RESOURCES {
            problems.push(DiscoveryProblem {
                part: "/apis".to_owned(),
                message: format!("{} resources; only {MAX_RESOURCES} are queried", resources.len()),
            });
            resources.truncate(MAX_RESOURCES);
        }
        resources.sort();
        Discovery { resources, problems }
    }

    async fn version(&self, group: &ApiName, version: &ApiName) -> Result<Found, DiscoveryProblem> {
        let root = if group.is_empty() {
            "/api".to_owned()
        } else {
            format!("/apis/{group}")
        };
        // Without retries: a broken API stays broken and would delay all others.
        let path = format!("{root}/{version}");
        let answer = match self.once(&path).await {
            Ok(answer) => answer,
            Err(error) => {
                return Err(DiscoveryProblem {
                    part: part_name(group, version),
                    message: error_chain(&error),
                });
            }
        };
        Ok(read_resources(&answer, group, version))
    }
}

/// `v1`, `apps/v1`
fn part_name(group: &ApiName, version: &ApiName) -> String {
    if group.is_empty() {
        version.to_string()
    } else {
        format!("{group}/{version}")
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The core group has no name.
fn group_name(name: &str) -> Result<ApiName, ApiNameError> {
    if name.is_empty() {
        Ok(ApiName::core())
    } else {
        ApiName::parse_group(name)
    }
}

/// Groups and versions in the server's order, from any form of the response.
fn read_versions(answer: &Value, rejected: &mut Rejected) -> Vec<Part> {
    match text(answer, "/kind") {
        "APIGroupDiscoveryList" => read_aggregated(answer, rejected),
        "APIVersions" => list(answer, "versions")
            .iter()
            .filter_map(Value::as_str)
            .filter_map(|version| rejected.valid(ApiName::parse_group(version)))
            .map(|version| Part {
                group: ApiName::core(),
                version,
                resources: None,
            })
            .collect(),
        _ => {
            let mut parts = Vec::new();
            for item in list(answer, "groups") {
                let Some(group) = rejected.valid(ApiName::parse_group(text(item, "/name"))) else {
                    continue;
                };
                let preferred = text(item, "/preferredVersion/version");
                let mut versions: Vec<&str> = list(item, "versions")
                    .iter()
                    .map(|version| text(version, "/version"))
                    .collect();
                versions.sort_by_key(|version| *version != preferred);
                let versions = versions
                    .into_iter()
                    .filter_map(|version| rejected.valid(ApiName::parse_group(version)));
                parts.extend(versions.map(|version| Part {
                    group: group.clone(),
                    version,
                    resources: None,
                }));
            }
            parts
        }
    }
}

fn read_aggregated(answer: &Value, rejected: &mut Rejected) -> Vec<Part> {
    let mut parts = Vec::new();
    for item in list(answer, "items") {
        let Some(group) = rejected.valid(group_name(text(item, "/metadata/name"))) else {
            continue;
        };
        for entry in list(item, "versions") {
            let Some(version) = rejected.valid(ApiName::parse_group(text(entry, "/version"))) else {
                continue;
            };
            let mut found = Found::default();
            for resource in list(entry, "resources").iter().filter(|resource| can_list(resource)) {
                let made = Resource::new(
                    &group,
                    &version,
                    text(resource, "/resource"),
                    text(resource, "/responseKind/kind"),
                    text(resource, "/scope") == "Namespaced",
                );
                found.resources.extend(found.rejected.valid(made));
            }
            parts.push(Part {
                group: group.clone(),
                version,
                // `Stale` means that the aggregated server did not respond; a request for the version returns the reason.
                resources: (text(entry, "/freshness") != "Stale").then_some(found),
            });
        }
    }
    parts
}

/// The listable resources of an `APIResourceList`.
fn read_resources(answer: &Value, group: &ApiName, version: &ApiName) -> Found {
    let mut found = Found::default();
    let resources = list(answer, "resources").iter();
    // A slash separates a subresource.
    for resource in resources.filter(|resource| can_list(resource) && !text(resource, "/name").contains('/')) {
        let namespaced = resource.get("namespaced") == Some(&Value::Bool(true));
        let made = Resource::new(
            group,
            version,
            text(resource, "/name"),
            text(resource, "/kind"),
            namespaced,
        );
        found.resources.extend(found.rejected.valid(made));
    }
    found
}

fn can_list(resource: &Value) -> bool {
    let verbs = resource.get("verbs").and_then(Value::as_array);
    verbs.is_some_and(|verbs| verbs.iter().any(|verb| verb == "list"))
}

#[cfg(test)]
mod tests;
