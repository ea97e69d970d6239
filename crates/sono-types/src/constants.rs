//! Names and numbers that plugins, scripts and other programs rely on (core spec §0.3).

use std::time::Duration;

/// The namespace of a run unless told otherwise.
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
/// Secret in which a run keeps what must outlive the aggregator's pod; see [`WORKLOAD_DEPLOYMENT`]. sono's own.
pub const RUN_SECRET: &str = "sonobuoy-run";
/// Key of that in [`RUN_SECRET`]: gzipped JSON.
pub const RUN_SECRET_KEY: &str = "run.json.gz";
/// `AggregatorWorkload`: the aggregator is a Deployment, whose pod is replaced when it goes, and the run goes on.
pub const WORKLOAD_DEPLOYMENT: &str = "deployment";
/// `AggregatorWorkload`: the aggregator is a single pod, as with Sonobuoy; the run goes with it.
pub const WORKLOAD_POD: &str = "pod";
/// Service account of the aggregator, and of plugins where they share it.
pub const SERVICE_ACCOUNT: &str = "sonobuoy-serviceaccount";
/// Service account of plugins that may read. sono's own.
pub const PLUGINS_SERVICE_ACCOUNT: &str = "sonobuoy-plugins";
/// Service account of plugins that ask nothing of the API server. sono's own.
pub const NO_RIGHTS_SERVICE_ACCOUNT: &str = "sonobuoy-no-rights";
/// `PluginAccount`: plugins have an account of their own.
pub const PLUGIN_ACCOUNT_OWN: &str = "own";
/// `PluginAccount`: plugins have the aggregator's account, as with Sonobuoy.
pub const PLUGIN_ACCOUNT_SHARED: &str = "shared";
/// Name of the sidecar's container in every plugin pod.
pub const WORKER_CONTAINER: &str = "sonobuoy-worker";
/// Name of the volume that a plugin's containers and the worker share.
pub const RESULTS_VOLUME: &str = "results";

/// Where the aggregator keeps its archives (and looks for them: `splat`).
pub const AGGREGATOR_DIR: &str = "/tmp/sonobuoy";
/// Where the aggregator's configuration is mounted.
pub const AGGREGATOR_CONFIG_FILE: &str = "/etc/sonobuoy/config.json";
/// Where the plugin definitions are mounted in the aggregator.
pub const PLUGINS_DIR: &str = "/plugins.d";
/// Results directory inside plugin pods unless the configuration names another.
pub const RESULTS_DIR: &str = "/tmp/sonobuoy/results";
/// Results directory that plugins older than v0.50 know; their mounts are pointed at the configured one.
pub const LEGACY_RESULTS_DIR: &str = "/tmp/results";
/// Where a plugin's `config-map` entries are mounted.
pub const PLUGIN_CONFIG_DIR: &str = "/tmp/sonobuoy/config";
/// Name of the file in the results directory whose content names the finished result.
pub const DONE_FILE: &str = "done";
/// What the runner of the Kubernetes suite writes the suite's output to, in the results directory
/// (`test/conformance/image/go-runner` of Kubernetes).
pub const SUITE_OUTPUT: &str = "e2e.log";
/// Name given to an uploaded result that does not say its own.
pub const DEFAULT_FILE_NAME: &str = "result";
/// Name of the file that describes why there is no result.
pub const ERROR_FILE: &str = "error.json";

/// Port of the aggregator's mutual TLS listener.
pub const AGGREGATOR_PORT: u16 = 8080;
/// Port of the aggregator's loopback listener (status, archives); reached by port-forward and exec only.
pub const LOCAL_PORT: u16 = 8081;
/// Port on which the worker relays progress, inside the plugin's pod.
pub const PROGRESS_PORT: &str = "8099";

/// Time limit of each plugin.
pub const PLUGIN_TIMEOUT: Duration = Duration::from_hours(6);
/// How long a worker that got SIGTERM still waits for a result, and the grace period of a plugin's pod.
pub const GRACEFUL_SHUTDOWN: Duration = Duration::from_mins(1);
/// How long the done file must stand before it counts, where a sidecar may want to take it away and post-process.
pub const DONE_FILE_DELAY: Duration = Duration::from_secs(5);

/// Stands for the whole cluster where a node's name would be.
pub const GLOBAL: &str = "global";
/// The content type that makes the aggregator unpack a result; compared exactly.
pub const GZIP_MIME: &str = "application/gzip";
/// Why a plugin without a result failed when its time was up.
pub const TIMEOUT_MESSAGE: &str = "Plugin timeout while waiting for results so there are no results. Check pod logs or other cluster details for more information as to why this occurred.";
/// Between [`TIMEOUT_MESSAGE`] and what the result waited for.
pub const LAST_SEEN: &str = " At the end: ";
/// What the aggregator logs when it has finished and only serves the archive.
pub const NO_EXIT_MESSAGE: &str = "no-exit was specified, sonobuoy is now blocking";
/// Name of the tree's root and of the summary in `results --plugin`.
pub const HEALTH_PLUGIN: &str = "sonobuoy";

/// `Version` in `meta/config.json`. Readers choose the archive's layout by it (core spec §8): anything from v0.15 up is
/// the current layout, so this is a constant of the archive format and not the version of this program.
pub const ARCHIVE_VERSION: &str = "v0.57.5";

/// Annotation of the aggregator's pod that holds the status.
pub const STATUS_ANNOTATION: &str = "sonobuoy.hept.io/status";
/// Annotation of plugin pods: the driver as the definition writes it.
pub const DRIVER_ANNOTATION: &str = "sonobuoy-driver";
/// Annotation and label of plugin pods: the plugin's name.
pub const PLUGIN_LABEL: &str = "sonobuoy-plugin";
/// Label of everything that belongs to one plugin of one run: the session id.
pub const RUN_LABEL: &str = "sonobuoy-run";
/// Annotation of the aggregator's pod: the identity of its run (`UUID` of the configuration). sono's own; pods of Sonobuoy, of
/// older versions and of manifests without a UUID lack it.
pub const RUN_ANNOTATION: &str = "sono-run-id";
/// Label selectors that find the aggregator's pod, the current one first (cli spec §8.1, core spec §2.10).
pub const AGGREGATOR_SELECTORS: [&str; 2] = ["sonobuoy-component=aggregator", "run=sonobuoy-master"];

/// Label that tells `aggregator` from `plugin`.
pub const COMPONENT_LABEL: &str = "sonobuoy-component";
/// Labels that all objects carry: `component: sonobuoy`.
pub const COMPONENT: (&str, &str) = ("component", "sonobuoy");
/// Labels that all pods carry: `tier: analysis`.
pub const TIER: (&str, &str) = ("tier", "analysis");

/// Image of the aggregator (holds both programs): of the same release, or as `cargo xtask images` builds it.
pub const AGGREGATOR_IMAGE: &str = match option_env!("SONO_BUILD_AGGREGATOR_IMAGE") {
    Some(released) => released,
    None => "sono.local/sono:dev",
};
/// Image of the worker: of the same release, or as `cargo xtask images` builds it.
pub const WORKER_IMAGE: &str = match option_env!("SONO_BUILD_WORKER_IMAGE") {
    Some(released) => released,
    None => "sono.local/sono-worker:dev",
};
/// Image of the built-in plugin systemd-logs: of the same release, or as `cargo xtask images` builds it.
pub const SYSTEMD_LOGS_IMAGE: &str = match option_env!("SONO_BUILD_SYSTEMD_LOGS_IMAGE") {
    Some(released) => released,
    None => "sono.local/sono-systemd-logs:dev",
};

/// Annotation by which the cluster autoscaler leaves a pod's node alone while the pod is there
/// (Kubernetes autoscaler FAQ, "What types of pods can prevent CA from removing a node?").
pub const SAFE_TO_EVICT: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict";

/// Value of `ResultsCompatibility` with which words of plugins are counted as Sonobuoy counts them, and nothing else
/// changes: that of runs which are started under Sonobuoy's name.
pub const COMPATIBLE_COUNTS: &str = "sonobuoy-counts";
