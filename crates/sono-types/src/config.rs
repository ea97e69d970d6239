//! The run's configuration: `config.json` of the ConfigMap, `--config`, and `meta/config.json` of the archive
//! (core §2.1, cli §19).

mod overlay;

use std::collections::BTreeMap;

pub use overlay::ConfigError;
use serde::{Deserialize, Serialize};

use crate::{UploadLimits, constants};

/// Configuration of a run. Keys are written in this order and read case-insensitively; unknown keys are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Config {
    /// Free text.
    pub description: String,
    /// Identity of the run, part of the archive's name. The aggregator generates one if it is empty.
    #[serde(rename = "UUID")]
    pub uuid: String,
    /// Version of the archive's layout, set by the aggregator: [`constants::ARCHIVE_VERSION`].
    pub version: String,
    /// Results directory inside plugin pods.
    pub results_dir: String,
    /// Output directory of local queries.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub query_dir: String,
    /// Which resources to query: `null` means all but secrets, an empty list none.
    pub resources: Option<Vec<String>>,
    /// Which namespaces and objects to query.
    pub filters: Filters,
    /// Which logs to fetch, and how much of them.
    pub limits: Limits,
    /// Compatibility mode for result trees. Empty: sono's full trees; `sonobuoy`: the trees that Sonobuoy generates;
    /// `sonobuoy-counts` ([`constants::COMPATIBLE_COUNTS`]): full trees, but custom statuses are counted as Sonobuoy
    /// counts them. Not in Sonobuoy.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub results_compatibility: String,
    /// `off`: values of Secrets are not read to search for them in the archive's content. Empty: they are, if the permissions
    /// are `clusterAdmin`. Not in Sonobuoy.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub redact_known: String,
    /// The archive is withheld unless its report of redactions has the verdict `proved`. Not in Sonobuoy.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub require_redaction: bool,
    /// Queries per second. Ten times Sonobuoy's default: the API server limits requests itself, and queries of a small
    /// cluster should not be slow.
    #[serde(rename = "QPS", skip_serializing_if = "is_zero", serialize_with = "shortest_number")]
    pub qps: f64,
    /// Burst of queries allowed above [`Config::qps`].
    #[serde(skip_serializing_if = "is_zero_number")]
    pub burst: i64,
    /// The aggregator's server.
    pub server: Server,
    /// Which of the loaded plugins to run: `null` means all, an empty list none.
    pub plugins: Option<Vec<PluginSelection>>,
    /// Directories with plugin definitions.
    pub plugin_search_path: Option<Vec<String>>,
    /// Namespace of the run.
    pub namespace: String,
    /// Run no plugins, only query.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub skip_plugins: bool,
    /// Image of the workers.
    pub worker_image: String,
    /// Pull policy of aggregator and workers.
    pub image_pull_policy: String,
    /// Applies the pull policy to the plugins' containers too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub force_image_pull_policy: bool,
    /// Name of one pull secret.
    pub image_pull_secrets: String,
    /// Annotations of all pods.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub custom_annotations: BTreeMap<String, String>,
    /// `clusterAdmin`, `clusterRead`, `namespaceAdmin` or `minimal`.
    pub aggregator_permissions: String,
    /// Tolerations of the aggregator's pod.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aggregator_tolerations: Vec<BTreeMap<String, String>>,
    /// Service account of the aggregator.
    pub service_account_name: String,
    /// The service account already exists and is not created.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub existing_service_account: bool,
    /// Service account of plugins. [`constants::PLUGIN_ACCOUNT_OWN`]: a separate account.
    /// [`constants::PLUGIN_ACCOUNT_SHARED`] or empty: the aggregator's account. Configurations of older programs lack the
    /// key; such runs have no other account. Not in Sonobuoy.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub plugin_account: String,
    /// The existing service account of plugins, with [`Config::existing_service_account`]. Not in Sonobuoy.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub plugin_service_account_name: String,
    /// Docker credentials of the e2e plugin.
    #[serde(rename = "E2EDockerConfigFile", skip_serializing_if = "String::is_empty")]
    pub e2e_docker_config_file: String,
    /// Pod security level of the namespace.
    #[serde(rename = "NamespacePSAEnforceLevel", skip_serializing_if = "String::is_empty")]
    pub namespace_psa_enforce_level: String,
    /// Port of the progress relay.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub progress_updates_port: String,
    /// `nonroot` or `none`.
    pub security_context_mode: String,
    /// Workload of the aggregator. [`constants::WORKLOAD_DEPLOYMENT`]: the run survives the loss of the aggregator's pod.
    /// [`constants::WORKLOAD_POD`] or empty: it does not. Not in Sonobuoy.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub aggregator_workload: String,
    /// Starts no further plugins after one ended without a result; running plugins continue. Off by default, as Sonobuoy
    /// always continues. Not in Sonobuoy.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stop_on_failure: bool,
    /// Expects results of DaemonSet plugins also from nodes with taints that the plugin does not tolerate; it fails there.
    /// Off by default: such nodes are left out. Not in Sonobuoy.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all_nodes: bool,
    /// Limits on requests of workers. Not in Sonobuoy.
    #[serde(skip_serializing_if = "is_default_limits")]
    pub upload_limits: UploadLimits,
}

fn is_default_limits(limits: &UploadLimits) -> bool {
    *limits == UploadLimits::default()
}

/// Which namespaces and objects to query.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Filters {
    /// Regular expression for names of namespaces, not anchored.
    pub namespaces: String,
    /// Label selector.
    pub label_selector: String,
}

/// Limits of the queries.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Limits {
    /// Pod logs.
    pub pod_logs: PodLogs,
}

/// Which pod logs to fetch, and how much of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PodLogs {
    /// Regular expression for names of namespaces, not anchored.
    pub namespaces: String,
    /// Includes the run's namespace.
    pub sonobuoy_namespace: Option<bool>,
    /// Further pods of all namespaces, one selector each.
    pub field_selectors: Option<Vec<String>>,
    /// Narrows all of the above.
    pub label_selector: String,
    /// Log of the previous container instance.
    pub previous: bool,
    /// Only log lines of the last N seconds.
    pub since_seconds: Option<i64>,
    /// Only log lines since this time.
    pub since_time: Option<String>,
    /// Prefixes each line with its timestamp.
    pub timestamps: bool,
    /// Only the last N lines.
    pub tail_lines: Option<i64>,
    /// Maximum number of bytes.
    pub limit_bytes: Option<i64>,
}

/// The aggregator's server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", default)]
pub struct Server {
    /// Address to listen on.
    #[serde(rename = "bindaddress")]
    pub bind_address: String,
    /// Port to listen on.
    #[serde(rename = "bindport")]
    pub bind_port: u16,
    /// Address that workers dial, `host[:port]`; empty means the Service's.
    #[serde(rename = "advertiseaddress")]
    pub advertise_address: String,
    /// Address of the metrics endpoint, `host:port`, served without authentication. Empty means only on the pod's
    /// loopback address. Not in Sonobuoy.
    #[serde(rename = "metricsaddress", skip_serializing_if = "String::is_empty")]
    pub metrics_address: String,
    /// Time limit of each plugin; 0 means none.
    #[serde(rename = "timeoutseconds")]
    pub timeout_seconds: u64,
}

/// A plugin to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginSelection {
    /// The plugin's name.
    pub name: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(number: &f64) -> bool {
    *number == 0.0
}

/// Writes whole floating-point numbers without a fraction, as Go does.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn shortest_number<S: serde::Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
    let whole = *number as i64;
    if number.fract() == 0.0 && number.abs() < 1e15 {
        serializer.serialize_i64(whole)
    } else {
        serializer.serialize_f64(*number)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero_number(number: &i64) -> bool {
    *number == 0
}

impl Default for Config {
    /// The defaults of the command line, as printed by `gen config`.
    fn default() -> Self {
        Self {
            description: "DEFAULT".to_owned(),
            uuid: String::new(),
            version: constants::ARCHIVE_VERSION.to_owned(),
            results_dir: constants::RESULTS_DIR.to_owned(),
            query_dir: String::new(),
            resources: None,
            filters: Filters {
                namespaces: ".*".to_owned(),
                label_selector: String::new(),
            },
            limits: Limits {
                pod_logs: PodLogs {
                    namespaces: "kube-system".to_owned(),
                    sonobuoy_namespace: Some(true),
                    field_selectors: Some(Vec::new()),
                    ..PodLogs::default()
                },
            },
            qps: 300.0,
            results_compatibility: String::new(),
            redact_known: String::new(),
            require_redaction: false,
            burst: 600,
            server: Server {
                bind_address: "0.0.0.0".to_owned(),
                bind_port: constants::AGGREGATOR_PORT,
                advertise_address: String::new(),
                metrics_address: String::new(),
                timeout_seconds: constants::PLUGIN_TIMEOUT.as_secs(),
            },
            plugins: None,
            plugin_search_path: Some(
                ["./plugins.d", "/etc/sonobuoy/plugins.d", "~/sonobuoy/plugins.d"]
                    .map(str::to_owned)
                    .to_vec(),
            ),
            namespace: constants::DEFAULT_NAMESPACE.to_owned(),
            skip_plugins: false,
            worker_image: constants::WORKER_IMAGE.to_owned(),
            image_pull_policy: "IfNotPresent".to_owned(),
            force_image_pull_policy: false,
            image_pull_secrets: String::new(),
            custom_annotations: BTreeMap::new(),
            aggregator_permissions: "clusterAdmin".to_owned(),
            aggregator_tolerations: Vec::new(),
            service_account_name: constants::SERVICE_ACCOUNT.to_owned(),
            existing_service_account: false,
            plugin_account: String::new(),
            plugin_service_account_name: String::new(),
            e2e_docker_config_file: String::new(),
            namespace_psa_enforce_level: "privileged".to_owned(),
            progress_updates_port: constants::PROGRESS_PORT.to_owned(),
            security_context_mode: "nonroot".to_owned(),
            aggregator_workload: String::new(),
            stop_on_failure: false,
            all_nodes: false,
            upload_limits: UploadLimits::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        overlay::{KEYS, SERVER_KEYS, UPLOAD_LIMIT_KEYS},
        *,
    };

    #[test]
    fn the_default_is_what_gen_config_prints() {
        assert_eq!(
            Config::default().to_json(),
            r#"{"Description":"DEFAULT","UUID":"","Version":"v0.57.5","ResultsDir":"/tmp/sonobuoy/results","Resources":null,"Filters":{"Namespaces":".*","LabelSelector":""},"Limits":{"PodLogs":{"Namespaces":"kube-system","SonobuoyNamespace":true,"FieldSelectors":[],"LabelSelector":"","Previous":false,"SinceSeconds":null,"SinceTime":null,"Timestamps":false,"TailLines":null,"LimitBytes":null}},"QPS":300,"Burst":600,"Server":{"bindaddress":"0.0.0.0","bindport":8080,"advertiseaddress":"","timeoutseconds":21600},"Plugins":null,"PluginSearchPath":["./plugins.d","/etc/sonobuoy/plugins.d","~/sonobuoy/plugins.d"],"Namespace":"sonobuoy","WorkerImage":"sono.local/sono-worker:dev","ImagePullPolicy":"IfNotPresent","ImagePullSecrets":"","AggregatorPermissions":"clusterAdmin","ServiceAccountName":"sonobuoy-serviceaccount","NamespacePSAEnforceLevel":"privileged","ProgressUpdatesPort":"8099","SecurityContextMode":"nonroot"}"#
        );
    }

    #[test]
    fn keys_are_case_insensitive_and_unknown_ones_ignored() {
        let config = Config::from_json(
            r#"{"namespace":"mine","SERVER":{"TimeoutSeconds":7},"LimitSize":"x","Plugins":[],"resources":["pods"],"Filters":{"namespaces":"^a$"},"WorkerImage":null}"#,
        )
        .unwrap();
        let default = Config::default();
        let expected = Config {
            namespace: "mine".to_owned(),
            server: Server {
                timeout_seconds: 7,
                ..default.server.clone()
            },
            plugins: Some(Vec::new()),
            resources: Some(vec!["pods".to_owned()]),
            filters: Filters {
                namespaces: "^a$".to_owned(),
                ..default.filters.clone()
            },
            ..default
        };
        assert_eq!(config, expected);
        assert_eq!(Config::from_json(&config.to_json()).unwrap(), config);
    }

    #[test]
    fn unknown_keys_are_found() {
        let text =
            r#"{"Namespaces":"x","server":{"bindPort":1,"port":2},"CustomAnnotations":{"any":"x"},"namespace":"y"}"#;
        assert_eq!(
            Config::unknown_keys(text),
            [("Namespaces".to_owned(), KEYS), ("server.port".to_owned(), SERVER_KEYS)]
        );
        assert_eq!(Config::unknown_keys(&Config::default().to_json()), []);
        assert_eq!(Config::unknown_keys("[]"), []);
    }

    #[test]
    fn upload_limits_and_stop_on_failure_are_keys_of_their_own() {
        let config =
            Config::from_json(r#"{"stoponfailure":true,"uploadLimits":{"MAXBODYBYTES":7,"IdleTimeoutSeconds":3}}"#)
                .unwrap();
        let expected = Config {
            stop_on_failure: true,
            upload_limits: UploadLimits {
                max_body_bytes: 7,
                idle_timeout: std::time::Duration::from_secs(3),
                ..UploadLimits::default()
            },
            ..Config::default()
        };
        assert_eq!(config, expected);
        assert_eq!(Config::from_json(&config.to_json()).unwrap(), config);
        // A further overlay changes only the keys that it contains.
        let next = config.overlaid_with(r#"{"UploadLimits":{"MaxEntries":9}}"#).unwrap();
        assert_eq!(
            (next.upload_limits.max_body_bytes, next.upload_limits.max_entries),
            (7, 9)
        );
        let error = Config::from_json(r#"{"UploadLimits":{"MaxEntries":0}}"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid configuration: UploadLimits.MaxEntries must not be 0"
        );
        // Every limit has a case-insensitive key.
        let all = serde_json::to_value(UploadLimits::default()).unwrap();
        let keys: Vec<&str> = all.as_object().unwrap().keys().map(String::as_str).collect();
        let mut known = UPLOAD_LIMIT_KEYS.to_vec();
        known.sort_unstable();
        assert_eq!(keys, known);
    }

    #[test]
    fn invalid_configurations_are_rejected() {
        let both = r#"{"Limits":{"PodLogs":{"SinceSeconds":1,"SinceTime":"2020-01-01T00:00:00Z"}}}"#;
        assert!(matches!(Config::from_json(both), Err(ConfigError::Since)));
        assert!(matches!(Config::from_json("[]"), Err(ConfigError::Json(_))));
        assert!(matches!(
            Config::from_json(r#"{"Namespace":1}"#),
            Err(ConfigError::Json(_))
        ));
    }
}
