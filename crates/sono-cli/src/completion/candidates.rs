//! Current candidates for values, with descriptions. Errors yield no candidates, since a shell cannot show messages.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;
use sono_kube::Kind;
use sono_manifest::{BUILTIN_NAMES, Mode};
use sono_types::{constants, yaml};

use crate::{aggregator::text, args, plugins::directory::Directory, settings::connect, text_file};

/// Time limit for listing the cluster's namespaces.
const NAMESPACE_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) fn plugins() -> Vec<(String, String)> {
    let built_in = BUILTIN_NAMES
        .iter()
        .map(|name| ((*name).to_owned(), "built in".to_owned()));
    let mut plugins: Vec<(String, String)> = built_in.collect();
    plugins.extend(installed());
    plugins
}

pub(super) fn installed() -> Vec<(String, String)> {
    let names = Directory::for_lookup()
        .map(|directory| directory.names())
        .unwrap_or_default();
    names.into_iter().map(|name| (name, "installed".to_owned())).collect()
}

pub(super) fn modes() -> Vec<(String, String)> {
    Mode::ALL
        .iter()
        .map(|mode| (mode.name().to_owned(), mode.description().to_owned()))
        .collect()
}

/// Contexts of the kubeconfig, with their clusters.
pub(super) fn contexts(kubeconfig: Option<&Path>) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for file in kubeconfigs(kubeconfig) {
        let Ok(content) = text_file::read(&file) else {
            continue;
        };
        let Ok(config) = yaml::first_document::<Value>(&content) else {
            continue;
        };
        for context in config.get("contexts").and_then(Value::as_array).into_iter().flatten() {
            let name = text(context, "/name").to_owned();
            if !name.is_empty() && !found.iter().any(|(known, _)| *known == name) {
                found.push((name, text(context, "/context/cluster").to_owned()));
            }
        }
    }
    found
}

fn kubeconfigs(given: Option<&Path>) -> Vec<PathBuf> {
    if let Some(given) = given {
        return vec![given.to_owned()];
    }
    if let Some(list) = env::var_os("KUBECONFIG").filter(|list| !list.is_empty()) {
        return env::split_paths(&list).collect();
    }
    let home = env::var_os("HOME").or_else(|| env::var_os("USERPROFILE"));
    home.map(|home| Path::new(&home).join(".kube/config"))
        .into_iter()
        .collect()
}

/// Namespaces of the cluster; the default namespace if the cluster does not respond.
pub(super) fn namespaces(cluster: &args::Cluster) -> Vec<(String, String)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let default = || vec![(constants::DEFAULT_NAMESPACE.to_owned(), String::new())];
    let Ok(runtime) = runtime else { return default() };
    let listed = runtime.block_on(async {
        let list = async {
            let cluster = connect(cluster).await.ok()?;
            cluster.list(Kind::Namespace, None, "").await.ok()
        };
        tokio::time::timeout(NAMESPACE_TIMEOUT, list).await.ok().flatten()
    });
    // Pending requests end with the process.
    runtime.shutdown_background();
    match listed {
        Some(namespaces) => {
            let name = |namespace: &Value| (text(namespace, "/metadata/name").to_owned(), String::new());
            namespaces.iter().map(name).collect()
        }
        None => default(),
    }
}
