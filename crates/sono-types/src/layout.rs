//! Paths in the results directory and in the archive (core §8), relative and separated by `/`.

use jiff::{Timestamp, tz::TimeZone};

use crate::ids::{PluginName, ResultKey};

/// The effective configuration.
pub const CONFIG: &str = "meta/config.json";
/// The aggregator's log, one JSON object per line.
pub const RUN_LOG: &str = "meta/run.log";
/// Duration of each query.
pub const QUERY_TIME: &str = "meta/query-time.json";
/// Number of redactions by kind of object, path and reason.
pub const REDACTIONS: &str = "meta/redactions.json";
/// Names of the plugins: `{"plugins":[…]}`.
pub const INFO: &str = "meta/info.json";
/// Nodes that were added to the expected results during the run, by plugin: `{"e2e":["n7"]}`. Absent if there were none.
pub const JOINED: &str = "meta/joined-nodes.json";
/// Health of nodes and pods, and numbers of errors in logs.
pub const CLUSTER_HEALTH: &str = "meta/clusterhealth.json";
/// What later runs are compared with. Archives of Sonobuoy have none.
pub const CARD: &str = "meta/card.json";
/// Version of the API server.
pub const SERVER_VERSION: &str = "serverversion.json";
/// API groups of the server.
pub const SERVER_GROUPS: &str = "servergroups.json";

/// Directories and files at the root of an archive.
pub const TOP_LEVEL: [&str; 7] = [
    "hosts",
    "meta",
    "plugins",
    "podlogs",
    "resources",
    SERVER_GROUPS,
    SERVER_VERSION,
];

/// Directory of one plugin.
pub fn plugin_dir(plugin: &PluginName) -> String {
    plugin_dir_named(plugin.as_str())
}

/// Directory of one plugin in an archive of any version. Old plugins have names such as `systemd_logs`.
pub fn plugin_dir_named(plugin: &str) -> String {
    format!("plugins/{plugin}")
}

/// Directory of one uploaded result.
pub fn results_dir(key: &ResultKey) -> String {
    format!("plugins/{}/results/{}", key.plugin, key.target)
}

/// Directory of the error that replaces a missing result.
pub fn errors_dir(key: &ResultKey) -> String {
    format!("plugins/{}/errors/{}", key.plugin, key.target)
}

/// The causes of the plugin's failures. Archives of Sonobuoy have none.
pub fn causes_file_named(plugin: &str) -> String {
    format!("plugins/{plugin}/why.json")
}

/// The plugin's result tree.
pub fn results_file(plugin: &PluginName) -> String {
    results_file_named(plugin.as_str())
}

/// The plugin's result tree in an archive of any version.
pub fn results_file_named(plugin: &str) -> String {
    format!("plugins/{plugin}/sonobuoy_results.yaml")
}

/// The plugin's result tree as JSON, written together with the YAML of [`results_file`].
pub fn results_json_file(plugin: &PluginName) -> String {
    results_json_file_named(plugin.as_str())
}

/// The plugin's result tree as JSON in an archive of any version; older archives lack it.
pub fn results_json_file_named(plugin: &str) -> String {
    format!("plugins/{plugin}/sonobuoy_results.json")
}

/// The definition with which the plugin was run.
pub fn definition_file(plugin: &PluginName) -> String {
    format!("plugins/{plugin}/definition.json")
}

/// A list of cluster-wide resources. `group` is empty for the core group.
pub fn cluster_resource(group: &str, version: &str, resource: &str) -> String {
    format!("resources/cluster/{}", resource_file(group, version, resource))
}

/// A list of one namespace's resources. `group` is empty for the core group.
pub fn namespaced_resource(namespace: &str, group: &str, version: &str, resource: &str) -> String {
    format!("resources/ns/{namespace}/{}", resource_file(group, version, resource))
}

fn resource_file(group: &str, version: &str, resource: &str) -> String {
    let group = if group.is_empty() { "core" } else { group };
    format!("{group}_{version}_{resource}.json")
}

/// The log of one container.
pub fn pod_log(namespace: &str, pod: &str, container: &str) -> String {
    format!("podlogs/{namespace}/{pod}/logs/{container}.txt")
}

/// The log of a container before its last restart. Container names have no dot, so it cannot clash with another log.
pub fn previous_pod_log(namespace: &str, pod: &str, container: &str) -> String {
    format!("podlogs/{namespace}/{pod}/logs/{container}.previous.txt")
}

/// Configuration of one node's kubelet.
pub fn host_config(node: &str) -> String {
    format!("hosts/{node}/configz.json")
}

/// Health of one node's kubelet: the HTTP status of its response.
pub fn host_health(node: &str) -> String {
    format!("hosts/{node}/healthz.json")
}

/// Name of the archive of a run that started at `start`: `<YYYYMMDDHHMM>_sonobuoy_<uuid>.tar.gz`, in UTC.
pub fn archive_name(start: Timestamp, uuid: &str) -> String {
    format!(
        "{}_sonobuoy_{uuid}.tar.gz",
        start.to_zoned(TimeZone::UTC).strftime("%Y%m%d%H%M")
    )
}

/// Start time of the run in an archive's name, `YYYYMMDDHHMM`. `None` if the name has another format.
pub fn archive_start(name: &str) -> Option<&str> {
    let (start, run) = name.strip_suffix(".tar.gz")?.split_once("_sonobuoy_")?;
    let is_minute = start.len() == 12 && start.bytes().all(|byte| byte.is_ascii_digit());
    (is_minute && !run.is_empty()).then_some(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Target;

    #[test]
    fn paths_match_the_archive_layout() {
        let plugin = PluginName::parse("e2e").unwrap();
        let key = ResultKey::new(plugin.clone(), Target::Global);
        let node = ResultKey::new(plugin.clone(), Target::parse("n1").unwrap());
        assert_eq!(results_dir(&key), "plugins/e2e/results/global");
        assert_eq!(errors_dir(&node), "plugins/e2e/errors/n1");
        assert_eq!(results_file(&plugin), "plugins/e2e/sonobuoy_results.yaml");
        assert_eq!(results_json_file(&plugin), "plugins/e2e/sonobuoy_results.json");
        assert_eq!(
            cluster_resource("", "v1", "nodes"),
            "resources/cluster/core_v1_nodes.json"
        );
        assert_eq!(
            namespaced_resource("a", "apps", "v1", "pods"),
            "resources/ns/a/apps_v1_pods.json"
        );
        assert_eq!(pod_log("a", "b", "c"), "podlogs/a/b/logs/c.txt");
        assert_eq!(previous_pod_log("a", "b", "c"), "podlogs/a/b/logs/c.previous.txt");
        assert_eq!(host_config("n"), "hosts/n/configz.json");
        assert_eq!(host_health("n"), "hosts/n/healthz.json");
        let start = "2022-12-08T15:30:59Z".parse().unwrap();
        assert_eq!(archive_name(start, "u"), "202212081530_sonobuoy_u.tar.gz");
        assert_eq!(archive_start("202212081530_sonobuoy_u.tar.gz"), Some("202212081530"));
        for other in [
            "notes.tar.gz",
            "2022_sonobuoy_u.tar.gz",
            "202212081530_sonobuoy_.tar.gz",
            "x02212081530_sonobuoy_u.tar.gz",
        ] {
            assert_eq!(archive_start(other), None, "{other}");
        }
    }
}
