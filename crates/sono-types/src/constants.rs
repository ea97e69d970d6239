//! Names and numbers that plugins, scripts and other programs depend on (core §0.3).

use std::time::Duration;

/// Default namespace of a run.
pub const DEFAULT_NAMESPACE: &str = "sonobuoy";
/// Name of the aggregator's pod.
pub const AGGREGATOR_POD: &str = "sonobuoy";
/// Name of the aggregator's container.
pub const AGGREGATOR_CONTAINER: &str = "kube-sonobuoy";
/// Name of the Service in front of the aggregator.
pub const AGGREGATOR_SERVICE: &str = "sonobuoy-aggregator";
/// ConfigMap that holds `config.json`; it is also the owner of everything that the aggregator creates.
pub const CONFIG_MAP: &str = "sonobuoy-config-cm";
/// Key of the run's configuration in [`CONFIG_MAP`].
pub const CONFIG_MAP_KEY: &str = "config.json";
/// ConfigMap that holds the plugin definitions, one key `plugin-<n>.yaml` each.
pub const PLUGINS_CONFIG_MAP: &str = "sonobuoy-plugins-cm";
/// Secret that holds the run's checkpoint; see [`WORKLOAD_DEPLOYMENT`]. Not in Sonobuoy.
pub const RUN_SECRET: &str = "sonobuoy-run";
/// Key of the checkpoint in [`RUN_SECRET`]: gzipped JSON.
pub const RUN_SECRET_KEY: &str = "run.json.gz";
/// `AggregatorWorkload`: the aggregator is a Deployment; if its pod is lost, a new pod resumes the run.
pub const WORKLOAD_DEPLOYMENT: &str = "deployment";
/// `AggregatorWorkload`: the aggregator is a single pod, as in Sonobuoy; if it is lost, so is the run.
pub const WORKLOAD_POD: &str = "pod";
/// Service account of the aggregator, and of plugins where they share it.
pub const SERVICE_ACCOUNT: &str = "sonobuoy-serviceaccount";
/// Service account of plugins with read access. Not in Sonobuoy.
pub const PLUGINS_SERVICE_ACCOUNT: &str = "sonobuoy-plugins";
/// Service account of plugins that do not use the API server. Not in Sonobuoy.
pub const NO_RIGHTS_SERVICE_ACCOUNT: &str = "sonobuoy-no-rights";
/// `PluginAccount`: plugins have a separate account.
pub const PLUGIN_ACCOUNT_OWN: &str = "own";
/// `PluginAccount`: plugins use the aggregator's account, as in Sonobuoy.
pub const PLUGIN_ACCOUNT_SHARED: &str = "shared";
/// Name of the sidecar's container in every plugin pod.
pub const WORKER_CONTAINER: &str = "sonobuoy-worker";
/// Name of the volume that a plugin's containers and the worker share.
pub const RESULTS_VOLUME: &str = "results";

/// Directory in which the aggregator stores its archives and `splat` looks for them.
pub const AGGREGATOR_DIR: &str = "/tmp/sonobuoy";
/// Mount path of the aggregator's configuration.
pub const AGGREGATOR_CONFIG_FILE: &str = "/etc/sonobuoy/config.json";
/// Mount path of the plugin definitions in the aggregator's pod.
pub const PLUGINS_DIR: &str = "/plugins.d";
/// Default results directory inside plugin pods.
pub const RESULTS_DIR: &str = "/tmp/sonobuoy/results";
/// Results directory of plugins older than v0.50; their mounts are changed to the configured directory.
pub const LEGACY_RESULTS_DIR: &str = "/tmp/results";
/// Mount path of a plugin's `config-map` entries.
pub const PLUGIN_CONFIG_DIR: &str = "/tmp/sonobuoy/config";
/// Done file: a file in the results directory that contains the path of the finished result.
pub const DONE_FILE: &str = "done";
/// Output file of the Kubernetes test suite in the results directory (`test/conformance/image/go-runner` of Kubernetes).
pub const SUITE_OUTPUT: &str = "e2e.log";
/// Default file name of an uploaded result.
pub const DEFAULT_FILE_NAME: &str = "result";
/// Name of the file that describes why a result is missing.
pub const ERROR_FILE: &str = "error.json";
/// Key of an error file with the last lines of the failed container's log. Not in Sonobuoy.
pub const ERROR_LOG: &str = "log";

/// Port of the aggregator's mutual TLS listener.
pub const AGGREGATOR_PORT: u16 = 8080;
/// Port of the aggregator's loopback listener (status, archives), reachable only by port-forward and exec.
pub const LOCAL_PORT: u16 = 8081;
/// Port of the worker's progress relay inside the plugin's pod.
pub const PROGRESS_PORT: &str = "8099";

/// Time limit of each plugin.
pub const PLUGIN_TIMEOUT: Duration = Duration::from_hours(6);
/// How long a worker waits for a result after SIGTERM; also the grace period of a plugin's pod.
pub const GRACEFUL_SHUTDOWN: Duration = Duration::from_mins(1);
/// How long the done file must exist before it is accepted, so that a sidecar can remove it to post-process results.
pub const DONE_FILE_DELAY: Duration = Duration::from_secs(5);

/// Target name of a plugin with one result for the whole cluster.
pub const GLOBAL: &str = "global";
/// Content type of results that the aggregator unpacks; compared exactly.
pub const GZIP_MIME: &str = "application/gzip";
/// Error message of a plugin that timed out without a result.
pub const TIMEOUT_MESSAGE: &str = "Plugin timeout while waiting for results so there are no results. Check pod logs or other cluster details for more information as to why this occurred.";
/// Separator between [`TIMEOUT_MESSAGE`] and the last known state of the pod.
pub const LAST_SEEN: &str = " At the end: ";
/// Log message of an aggregator that has finished the run and only serves the archive.
pub const NO_EXIT_MESSAGE: &str = "no-exit was specified, sonobuoy is now blocking";
/// Name of the cluster health tree's root and of the summary in `results --plugin`.
pub const HEALTH_PLUGIN: &str = "sonobuoy";

/// `Version` in `meta/config.json`, the version of the archive format. Readers select the archive's layout by it
/// (core §8): v0.15 and later have the current layout. It is not the version of this program.
pub const ARCHIVE_VERSION: &str = "v0.57.5";

/// Annotation of the aggregator's pod that holds the status.
pub const STATUS_ANNOTATION: &str = "sonobuoy.hept.io/status";
/// Annotation of plugin pods: the driver as written in the definition.
pub const DRIVER_ANNOTATION: &str = "sonobuoy-driver";
/// Annotation and label of plugin pods: the plugin's name.
pub const PLUGIN_LABEL: &str = "sonobuoy-plugin";
/// Label of all objects of one plugin of one run: the session id.
pub const RUN_LABEL: &str = "sonobuoy-run";
/// Annotation of the aggregator's pod: the identity of its run (`UUID` of the configuration). Not in Sonobuoy; pods of
/// older versions and of manifests without a UUID lack it too.
pub const RUN_ANNOTATION: &str = "sono-run-id";
/// Label selectors that find the aggregator's pod, the current one first (cli §8.1, core §2.10).
pub const AGGREGATOR_SELECTORS: [&str; 2] = ["sonobuoy-component=aggregator", "run=sonobuoy-master"];

/// Label that distinguishes `aggregator` and `plugin` pods.
pub const COMPONENT_LABEL: &str = "sonobuoy-component";
/// Label of all objects: `component: sonobuoy`.
pub const COMPONENT: (&str, &str) = ("component", "sonobuoy");
/// Label of all pods: `tier: analysis`.
pub const TIER: (&str, &str) = ("tier", "analysis");

/// Image of the aggregator, with both programs: of the same release, or as built by `cargo xtask images`.
pub const AGGREGATOR_IMAGE: &str = match option_env!("SONO_BUILD_AGGREGATOR_IMAGE") {
    Some(released) => released,
    None => "sono.local/sono:dev",
};
/// Image of the worker: of the same release, or as built by `cargo xtask images`.
pub const WORKER_IMAGE: &str = match option_env!("SONO_BUILD_WORKER_IMAGE") {
    Some(released) => released,
    None => "sono.local/sono-worker:dev",
};
/// Image of the built-in plugin systemd-logs: of the same release, or as built by `cargo xtask images`.
pub const SYSTEMD_LOGS_IMAGE: &str = match option_env!("SONO_BUILD_SYSTEMD_LOGS_IMAGE") {
    Some(released) => released,
    None => "sono.local/sono-systemd-logs:dev",
};

/// Annotation that prevents the cluster autoscaler from removing the pod's node
/// (Kubernetes autoscaler FAQ, "What types of pods can prevent CA from removing a node?").
pub const SAFE_TO_EVICT: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict";

/// Value of `ResultsCompatibility` that changes only how custom statuses are counted: as in Sonobuoy. Used for runs that
/// are started under the name `sonobuoy`.
pub const COMPATIBLE_COUNTS: &str = "sonobuoy-counts";
