//! Environment variables: the contract with plugins and between aggregator and worker (core §2.1, §2.5, §3.1).

/// Path of the aggregator's configuration file; if set, no other path is tried.
pub const SONOBUOY_CONFIG: &str = "SONOBUOY_CONFIG";
/// The aggregator's own address, from the downward API.
pub const SONOBUOY_ADVERTISE_IP: &str = "SONOBUOY_ADVERTISE_IP";
/// `true` turns off the rewriting of plugins' results mounts.
pub const SONOBUOY_DISABLE_RECONCILIATION: &str = "SONOBUOY_DISABLE_RECONCILIATION";
/// Limits on requests of workers: a JSON object with the keys of [`crate::UploadLimits`] that overrides the
/// configuration. Not in Sonobuoy.
pub const SONO_UPLOAD_LIMITS: &str = "SONO_UPLOAD_LIMITS";

/// Worker: address of the aggregator, `https://host:port`.
pub const AGGREGATOR_URL: &str = "AGGREGATOR_URL";
/// Worker: a second address of the same aggregator, tried if the first does not respond. Not in Sonobuoy.
pub const SONO_AGGREGATOR_FALLBACK_URL: &str = "SONO_AGGREGATOR_FALLBACK_URL";
/// Worker: RFC 3339 time after which it stops trying to upload. Not in Sonobuoy.
pub const SONO_DEADLINE: &str = "SONO_DEADLINE";
/// Worker: identity of the run, for its log. Not in Sonobuoy.
pub const SONO_RUN_ID: &str = "SONO_RUN_ID";
/// Worker: name of the node it runs on.
pub const NODE_NAME: &str = "NODE_NAME";
/// Results directory, for worker and plugin.
pub const SONOBUOY_RESULTS_DIR: &str = "SONOBUOY_RESULTS_DIR";
/// Older name of [`SONOBUOY_RESULTS_DIR`], which plugins read; in the aggregator it overrides `ResultsDir`.
pub const RESULTS_DIR: &str = "RESULTS_DIR";
/// Worker: the plugin's name.
pub const RESULT_TYPE: &str = "RESULT_TYPE";
/// Worker: PEM of the run's CA.
pub const CA_CERT: &str = "CA_CERT";
/// Worker: PEM of its certificate.
pub const CLIENT_CERT: &str = "CLIENT_CERT";
/// Worker: SEC1 PEM (`EC PRIVATE KEY`) of its key.
pub const CLIENT_KEY: &str = "CLIENT_KEY";
/// Port of the progress relay.
pub const SONOBUOY_PROGRESS_PORT: &str = "SONOBUOY_PROGRESS_PORT";
/// How long the done file must exist before it is accepted: a Go duration.
pub const SONOBUOY_DONE_FILE_DELAY: &str = "SONOBUOY_DONE_FILE_DELAY";
/// Worker: `/tmp/sonobuoy`.
pub const SONOBUOY_DIR: &str = "SONOBUOY_DIR";
/// Worker: namespace of its pod.
pub const SONOBUOY_NS: &str = "SONOBUOY_NS";
/// Worker: name of its pod.
pub const SONOBUOY_PLUGIN_POD: &str = "SONOBUOY_PLUGIN_POD";
/// Worker: name of its own container.
pub const SONOBUOY_WORKER_CONTAINER: &str = "SONOBUOY_WORKER_CONTAINER";

/// Plugin: `true` under sono and Sonobuoy.
pub const SONOBUOY: &str = "SONOBUOY";
/// Plugin: version of the cluster.
pub const SONOBUOY_K8S_VERSION: &str = "SONOBUOY_K8S_VERSION";
/// Plugin: mount path of its `config-map`.
pub const SONOBUOY_CONFIG_DIR: &str = "SONOBUOY_CONFIG_DIR";

/// Built-in plugin `host-check`: mount path of the node's root directory. Not in Sonobuoy.
pub const SONO_HOST_ROOT: &str = "SONO_HOST_ROOT";
