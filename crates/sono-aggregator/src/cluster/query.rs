//! The first set of cluster queries: nodes, version and groups of the server, and the objects of the run's namespace.
//!
//! Lists are stored as the server sends them (core spec §7.1), without `managedFields`.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use sono_kube::Cluster;
use sono_types::{Config, constants, go_duration, layout};

use crate::upload::chain;

/// Requests at the same time.
const AT_ONCE: usize = 8;
/// Objects of one page of a list.
const PAGE: usize = 500;
/// How long one query may take, all its pages together.
const LIMIT: Duration = Duration::from_mins(1);

/// Kinds of the run's namespace: group, version, plural.
const NAMESPACED: &[(&str, &str, &str)] = &[
    ("", "v1", "configmaps"),
    ("", "v1", "events"),
    ("", "v1", "persistentvolumeclaims"),
    ("", "v1", "pods"),
    ("", "v1", "serviceaccounts"),
    ("", "v1", "services"),
    ("apps", "v1", "daemonsets"),
    ("apps", "v1", "deployments"),
    ("apps", "v1", "replicasets"),
    ("batch", "v1", "jobs"),
];

/// One thing to ask for.
struct Query {
    /// Its name in `query-time.json` and in the configuration's `Resources`.
    object: &'static str,
    namespace: Option<String>,
    file: String,
    ask: Ask,
}

enum Ask {
    List(String),
    Version,
    Groups,
}

/// Runs all queries and writes them below `directory`. Returns what could not be had.
pub(crate) async fn query(cluster: &Cluster, config: &Config, directory: &Path) -> Vec<String> {
    let answers = stream::iter(queries(config)).map(|query| async move {
        let started = Instant::now();
        let outcome = tokio::time::timeout(LIMIT, ask(cluster, &query.ask))
            .await
            .unwrap_or_else(|_| Err(format!("no complete answer within {} s", LIMIT.as_secs())))
            .and_then(|answer| write(directory, &query.file, answer.as_ref()));
        (query, started.elapsed(), outcome)
    });
    let answers: Vec<_> = answers.buffered(AT_ONCE).collect().await;
    let mut problems = Vec::new();
    let mut times = Vec::new();
    for (query, took, outcome) in answers {
        let mut row = json!({ "queryobj": query.object, "time": go_duration::format(took) });
        if let Some(namespace) = query.namespace {
            row["namespace"] = namespace.into();
        }
        if let Err(problem) = outcome {
            row["error"] = json!({ "message": problem });
            problems.push(format!("{}: {problem}", query.object));
        }
        times.push(row);
    }
    if let Err(problem) = write(directory, layout::QUERY_TIME, Some(&Value::Array(times))) {
        problems.push(problem);
    }
    problems
}

/// What to ask for: `Resources` being null means everything, otherwise only what it names.
fn queries(config: &Config) -> Vec<Query> {
    let namespace = &config.namespace;
    let server = [
        Query {
            object: "serverversion",
            namespace: None,
            file: layout::SERVER_VERSION.to_owned(),
            ask: Ask::Version,
        },
        Query {
            object: "servergroups",
            namespace: None,
            file: layout::SERVER_GROUPS.to_owned(),
            ask: Ask::Groups,
        },
        Query {
            object: "nodes",
            namespace: None,
            file: layout::cluster_resource("", "v1", "nodes"),
            ask: Ask::List("/api/v1/nodes".to_owned()),
        },
    ];
    let namespaced = NAMESPACED.iter().map(|(group, version, plural)| {
        let root = if group.is_empty() {
            format!("/api/{version}")
        } else {
            format!("/apis/{group}/{version}")
        };
        Query {
            object: plural,
            namespace: Some(namespace.clone()),
            file: layout::namespaced_resource(namespace, group, version, plural),
            ask: Ask::List(format!("{root}/namespaces/{namespace}/{plural}")),
        }
    });
    let wanted = |query: &Query| match &config.resources {
        None => true,
        Some(names) => names.iter().any(|name| name == query.object),
    };
    server.into_iter().chain(namespaced).filter(wanted).collect()
}

/// Names in `Resources` that no query of this version is about.
pub(crate) fn not_asked(config: &Config) -> Vec<String> {
    let all: Vec<&str> = queries(&Config {
        resources: None,
        ..config.clone()
    })
    .iter()
    .map(|query| query.object)
    .collect();
    config
        .resources
        .iter()
        .flatten()
        .filter(|name| !all.contains(&name.as_str()))
        .cloned()
        .collect()
}

async fn ask(cluster: &Cluster, ask: &Ask) -> Result<Option<Value>, String> {
    match ask {
        Ask::List(path) => list(cluster, path).await,
        Ask::Version => get(cluster, "/version").await.map(Some),
        Ask::Groups => groups(cluster).await.map(Some),
    }
}

async fn get(cluster: &Cluster, path: &str) -> Result<Value, String> {
    let text = cluster.request_text(path).await.map_err(|error| chain(&error))?;
    serde_json::from_str(&text).map_err(|error| format!("{path}: {error}"))
}

/// All pages of a list as one list object; nothing when it is empty.
async fn list(cluster: &Cluster, path: &str) -> Result<Option<Value>, String> {
    let mut page = get(cluster, &format!("{path}?limit={PAGE}")).await?;
    let mut items = take_items(&mut page);
    while let Some(token) = page
        .pointer("/metadata/continue")
        .and_then(Value::as_str)
        .filter(|token| !token.is_empty())
    {
        let next = format!("{path}?limit={PAGE}&continue={token}");
        page = get(cluster, &next).await?;
        items.extend(take_items(&mut page));
    }
    if items.is_empty() {
        return Ok(None);
    }
    if let Some(metadata) = page.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("continue");
        metadata.remove("remainingItemCount");
    }
    page["items"] = Value::Array(items);
    Ok(Some(page))
}

fn take_items(page: &mut Value) -> Vec<Value> {
    let mut items = match page.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    };
    for metadata in items
        .iter_mut()
        .filter_map(|item| item.get_mut("metadata")?.as_object_mut())
    {
        metadata.remove("managedFields");
    }
    items
}

/// `{"groups":[…]}` with the core group first (core spec §7.4).
async fn groups(cluster: &Cluster) -> Result<Value, String> {
    let mut groups = vec![json!({
        "name": "",
        "versions": [{ "groupVersion": "v1", "version": "v1" }],
        "preferredVersion": { "groupVersion": "v1", "version": "v1" },
    })];
    let mut others = get(cluster, "/apis").await?;
    if let Some(Value::Array(others)) = others.get_mut("groups").map(Value::take) {
        groups.extend(others);
    }
    Ok(json!({ "groups": groups }))
}

fn write(directory: &Path, name: &str, value: Option<&Value>) -> Result<(), String> {
    let Some(value) = value else { return Ok(()) };
    let text = format!("{value}\n");
    sono_bundle::write_durably(&directory.join(name), text.as_bytes()).map_err(|error| chain(&error))
}

/// Writes what `query` outside a run finds, in the same layout.
pub(crate) fn default_directory(config: &Config) -> String {
    if config.query_dir.is_empty() {
        constants::AGGREGATOR_DIR.to_owned()
    } else {
        config.query_dir.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(resources: Option<&[&str]>) -> Vec<&'static str> {
        let resources = resources.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        queries(&Config {
            resources,
            ..Config::default()
        })
        .into_iter()
        .map(|query| query.object)
        .collect()
    }

    #[test]
    fn resources_select_what_is_asked() {
        assert_eq!(objects(None).len(), 3 + NAMESPACED.len());
        assert_eq!(objects(Some(&["pods", "nodes", "secrets"])), ["nodes", "pods"]);
        assert_eq!(objects(Some(&[])), Vec::<&str>::new());
    }

    #[test]
    fn managed_fields_go_and_all_else_stays() {
        let mut page = json!({"items": [{"metadata": {"name": "a", "managedFields": [1], "odd": 1}, "extra": true}]});
        assert_eq!(
            take_items(&mut page),
            [json!({"metadata": {"name": "a", "odd": 1}, "extra": true})]
        );
    }
}
