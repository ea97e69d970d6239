//! Resolved settings: defaults, overridden by the configuration file, overridden by flags.

mod checked;
pub(crate) mod configuration;
mod latest;
mod plugin_account;
mod private;
mod redaction;
mod refused;
mod rendering;

use std::{collections::BTreeMap, path::PathBuf};

pub(crate) use latest::latest;
use private::PrivateRegistry;
use sono_kube::{Cluster, Connection};
use sono_manifest::{Definition, Images, Preparation, ResultsVolume, Sizes, default_pod_spec, prepare};
use sono_types::{Config, canary::Seed, constants, env};

pub(crate) use crate::kubernetes_version::{NO_VERSION, Version, numbers};
use crate::{
    args::{self, GivenFlags},
    changes::{PluginChanges, run_in_parallel},
    error::CliError,
    kubernetes_version,
    output::Printer,
    plugins::{self, fetch::Access},
};

impl From<&args::Cluster> for Connection {
    fn from(cluster: &args::Cluster) -> Self {
        let args::Cluster { kubeconfig, context } = cluster;
        Self {
            kubeconfig: kubeconfig.clone(),
            context: context.clone(),
        }
    }
}

/// Connects to a cluster.
pub(crate) async fn connect(cluster: &args::Cluster) -> Result<Cluster, CliError> {
    Ok(Cluster::connect(&cluster.into()).await?)
}

/// Resolved plugins and configuration of a run.
#[derive(Debug)]
pub(crate) struct RunPlan {
    /// The run's configuration.
    pub(crate) config: Config,
    /// Image of the aggregator.
    aggregator_image: String,
    /// Plugins as the user named them.
    plugins: Vec<String>,
    /// Images of the built-in plugins.
    images: Images,
    /// Kubernetes version for plugins.
    pub(crate) kubernetes_version: Version,
    /// Whether roles are created, if the user set it.
    rbac: Option<Rbac>,
    /// Node selector of the aggregator.
    node_selector: BTreeMap<String, String>,
    /// Volume for results; `None` stores them in the aggregator's pod.
    results_volume: Option<ResultsVolume>,
    /// Workload kind of the aggregator, unless the configuration sets one.
    default_workload: &'static str,
    /// Service account of plugins.
    plugin_account: &'static str,
    /// Memory and storage limits of the aggregator.
    sizes: Sizes,
    /// Whether a NetworkPolicy restricts access to the aggregator.
    network_policy: bool,
    /// Whether definitions without a podSpec show the driver's default.
    show_default_podspec: bool,
    /// Changes to plugins.
    pub(crate) changes: PluginChanges,
    /// The aggregator's log level.
    level: String,
    /// Configuration file.
    file: Option<PathBuf>,
    /// Checks of definitions that are fetched from a URL.
    addresses: args::Addresses,
    /// Whether the program was called as `sonobuoy`.
    as_sonobuoy: bool,
}

/// Whether roles are created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rbac {
    Enable,
    Disable,
    /// If the cluster uses RBAC.
    Detect,
}

impl RunPlan {
    #[expect(clippy::too_many_lines, reason = "one block per group of flags")]
    pub(crate) fn new(
        flags: args::RunFlags,
        given: &GivenFlags,
        level: &str,
        printer: &Printer,
    ) -> Result<Self, CliError> {
        let args::RunFlags {
            plugins,
            namespace,
            timeout,
            registry,
            sonobuoy_image,
            aggregator_image,
            worker_image,
            image_pull_policy,
            aggregator_permissions,
            config: file,
            kubernetes_version,
            show_default_podspec,
            stop_on_failure,
            addresses,
            all_nodes,
            aggregator,
            changes,
        } = flags;
        let args::Aggregator {
            service_account_name,
            existing_service_account,
            plugin_account,
            plugin_service_account,
            network_policy,
            aggregator_memory,
            rbac,
            namespace_psa_enforce_level,
            security_context_mode,
            aggregator_node_selector,
            aggregator_toleration,
            annotation,
            image_pull_secrets,
            aggregator_workload,
            results_volume,
            results_volume_class,
            results_volume_claim,
            results_size_limit,
            redact_known,
            require_redaction,
            force_image_pull_policy,
        } = aggregator;
        let results_volume = match (results_volume, results_volume_claim) {
            (Some(size), _) => Some(ResultsVolume::New {
                size,
                class: results_volume_class,
            }),
            (None, Some(name)) => Some(ResultsVolume::Existing { name }),
            (None, None) => None,
        };
        let config = file
            .as_deref()
            .map(|file| configuration::read(file, printer))
            .transpose()?;
        let mut config = config.unwrap_or_default();
        let registry = registry.as_deref().map(PrivateRegistry::new);
        // A variable that a script fills in may be empty.
        let [sonobuoy_image, aggregator_image, worker_image] =
            [sonobuoy_image, aggregator_image, worker_image].map(|image| image.filter(|image| !image.is_empty()));
        let located = |image: &str| {
            registry
                .as_ref()
                .map_or_else(|| image.to_owned(), |registry| registry.image(image))
        };
        let aggregator_image = aggregator_image
            .or_else(|| sonobuoy_image.clone())
            .unwrap_or_else(|| located(constants::AGGREGATOR_IMAGE));
        if config.worker_image == constants::WORKER_IMAGE {
            config.worker_image = located(constants::WORKER_IMAGE);
        }
        set(&mut config.worker_image, worker_image.or(sonobuoy_image));
        set(&mut config.namespace, namespace);
        set(&mut config.server.timeout_seconds, timeout.map(|timeout| timeout.0));
        set(&mut config.image_pull_policy, image_pull_policy);
        config.image_pull_policy = canonical_policy(&config.image_pull_policy);
        set(&mut config.image_pull_secrets, image_pull_secrets);
        set(&mut config.service_account_name, service_account_name);
        set(&mut config.namespace_psa_enforce_level, namespace_psa_enforce_level);
        set(&mut config.security_context_mode, security_context_mode);
        set(&mut config.aggregator_permissions, aggregator_permissions);
        set(&mut config.aggregator_workload, aggregator_workload);
        let default_workload = default_workload(
            &config.aggregator_workload,
            results_volume.is_some(),
            given.as_sonobuoy(),
        )?;
        config.existing_service_account |= existing_service_account;
        set(
            &mut config.plugin_account,
            plugin_account.map(|account| account.to_lowercase()),
        );
        set(&mut config.plugin_service_account_name, plugin_service_account);
        let mut sizes = Sizes::default();
        set(&mut sizes.memory, aggregator_memory);
        set(&mut sizes.results, results_size_limit);
        config.force_image_pull_policy |= force_image_pull_policy;
        config.stop_on_failure |= stop_on_failure;
        redaction::configure(&mut config, redact_known.as_deref(), require_redaction)?;
        config.all_nodes |= all_nodes;
        let tolerations = aggregator_toleration.into_iter().map(|args::Toleration(fields)| fields);
        config.aggregator_tolerations.extend(tolerations);
        let annotations = annotation.into_iter().map(|args::Pair { name, value }| (name, value));
        config.custom_annotations.extend(annotations);
        // Scripts for Sonobuoy expect its counts. The program name never hides a failure.
        if given.as_sonobuoy() && config.results_compatibility.is_empty() {
            constants::COMPATIBLE_COUNTS.clone_into(&mut config.results_compatibility);
        }
        if let Some(file) = &file {
            configuration::refused(file, &checked::problems(&config))?;
        }
        let plugin_account = plugin_account::resolve(&config, printer)?;
        if changes.kube_conformance_image.is_some() && kubernetes_version.is_some() {
            printer
                .note("warning: --kubernetes-version does not affect the image of e2e, because --kube-conformance-image sets it");
        }
        let mut changes = PluginChanges::new(changes, given, &mut config, printer)?;
        if let Some(registry) = &registry {
            changes.take_test_images_from(registry.groups());
        }
        let kubernetes_version = kubernetes_version
            .as_deref()
            .map_or(Ok(Version::Cluster), kubernetes_version::parse)?;
        let conformance = match kubernetes_version {
            Version::Latest => format!("{}:${}", latest::CONFORMANCE, env::SONOBUOY_K8S_VERSION),
            _ => Images::default().conformance,
        };
        let images = Images {
            host_check: aggregator_image.clone(),
            pull_policy: config.image_pull_policy.clone(),
            service_account: config.service_account_name.clone(),
            progress_port: config.progress_updates_port.clone(),
            conformance: located(&conformance),
            systemd_logs: located(&Images::default().systemd_logs),
        };
        Ok(Self {
            config,
            aggregator_image,
            plugins,
            images,
            kubernetes_version,
            rbac: rbac.map(|mode| match mode.to_lowercase().as_str() {
                "enable" => Rbac::Enable,
                "disable" => Rbac::Disable,
                _ => Rbac::Detect,
            }),
            node_selector: aggregator_node_selector
                .into_iter()
                .map(|args::Pair { name, value }| (name, value))
                .collect(),
            results_volume,
            default_workload,
            plugin_account,
            sizes,
            network_policy,
            show_default_podspec,
            changes,
            level: level.to_owned(),
            file,
            addresses,
            as_sonobuoy: given.as_sonobuoy(),
        })
    }
}

impl RunPlan {
    /// Plugins as named by the user; `otherwise` if none is named.
    pub(crate) fn named(&self, otherwise: &[&str]) -> Vec<String> {
        if self.plugins.is_empty() {
            return otherwise.iter().map(ToString::to_string).collect();
        }
        self.plugins.clone()
    }

    /// Loads the plugin definitions and applies flags to them.
    pub(crate) async fn definitions(&self, names: &[String], printer: &Printer) -> Result<Vec<Definition>, CliError> {
        let access = Access::new(&self.addresses, self.as_sonobuoy);
        let mut definitions = plugins::load(names, &self.images, access, printer).await?;
        if let (Some(selected), Some(file)) = (&self.config.plugins, &self.file) {
            let loaded: Vec<&str> = definitions.iter().map(|definition| definition.name.as_str()).collect();
            configuration::check_selection(file, selected, &loaded)?;
        }
        self.changes.apply(&mut definitions, printer)?;
        if self.config.skip_plugins {
            definitions.clear();
        }
        if self.show_default_podspec {
            for definition in &mut definitions {
                let default = || default_pod_spec(definition.driver, &self.config.service_account_name);
                definition.pod_spec.get_or_insert_with(default);
            }
        }
        Ok(definitions)
    }

    /// The plugin that plants canaries.
    pub(crate) fn canary_plugin(&self, seed: Seed) -> Definition {
        sono_manifest::canary_plugin(&self.images, seed)
    }

    /// Whether this is the built-in plugin that runs the Kubernetes tests.
    pub(crate) fn is_suite(&self, definition: &Definition) -> bool {
        let built_in = sono_manifest::builtin(sono_manifest::E2E, &self.images);
        definition.name.as_str() == sono_manifest::E2E
            && built_in.is_some_and(|built_in| built_in.spec.get("image") == definition.spec.get("image"))
    }

    /// Whether the run creates its namespace.
    pub(crate) fn creates_namespace(&self) -> bool {
        self.config.aggregator_permissions == "clusterAdmin"
    }

    /// Whether the cluster is queried to decide about roles.
    pub(crate) fn detects_rbac(&self) -> bool {
        self.rbac == Some(Rbac::Detect)
    }

    /// Whether roles are created. Without a setting, the cluster is queried if `by_default`.
    pub(crate) async fn detected_rbac(&self, cluster: &Cluster, by_default: bool) -> bool {
        match self.rbac {
            Some(Rbac::Enable) => true,
            Some(Rbac::Disable) => false,
            None if !by_default => true,
            None | Some(Rbac::Detect) => {
                let found = cluster.has_api("rbac.authorization.k8s.io", "v1").await;
                // Without an answer, assume that the cluster uses RBAC.
                found.unwrap_or_else(|error| {
                    tracing::debug!(%error, "cannot detect RBAC");
                    true
                })
            }
        }
    }

    /// Whether roles are created, without a query to the cluster.
    pub(crate) fn rbac(&self) -> bool {
        self.rbac != Some(Rbac::Disable)
    }

    /// Prepares the definitions for the cluster.
    pub(crate) fn prepared(
        &self,
        definitions: Vec<Definition>,
        version: &str,
        printer: &Printer,
    ) -> Result<Vec<Definition>, CliError> {
        self.changes.check_version(version)?;
        let preparation = Preparation {
            config: &self.config,
            kubernetes_version: version,
        };
        let mut definitions = prepare(definitions, &preparation);
        run_in_parallel(&mut definitions, version, printer)?;
        Ok(definitions)
    }
}

/// Default plugins in a cluster, as in Sonobuoy.
pub(crate) const DEFAULT_PLUGINS: [&str; 2] = ["e2e", "systemd-logs"];

/// Pull policy in the capitalization of Kubernetes.
fn canonical_policy(policy: &str) -> String {
    let known = ["Always", "IfNotPresent", "Never"];
    let found = known.into_iter().find(|known| known.eq_ignore_ascii_case(policy));
    found.unwrap_or(policy).to_owned()
}

/// Default workload kind of the aggregator: a Deployment, or a pod if the program was called as `sonobuoy`.
///
/// # Errors
///
/// For an unknown kind, and for a pod with a results volume.
fn default_workload(configured: &str, has_volume: bool, as_sonobuoy: bool) -> Result<&'static str, CliError> {
    match (configured, has_volume) {
        (constants::WORKLOAD_POD, true) => {
            let what = "a results volume requires the aggregator workload deployment, not pod";
            Err(CliError::new(what).hint("omit --aggregator-workload (AggregatorWorkload) or the volume"))
        }
        ("", false) if as_sonobuoy => Ok(constants::WORKLOAD_POD),
        ("" | constants::WORKLOAD_POD | constants::WORKLOAD_DEPLOYMENT, _) => Ok(constants::WORKLOAD_DEPLOYMENT),
        (configured, _) => {
            let what = format!("invalid aggregator workload `{configured}` (AggregatorWorkload)");
            Err(CliError::new(what).hint("expected deployment or pod"))
        }
    }
}

fn set<T>(target: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *target = given;
    }
}

/// Command line of `sono` for the same run, for hints.
pub(crate) fn command_hint(command: &str, namespace: &str, cluster: &args::Cluster) -> String {
    let mut text = format!("sono {command}");
    if namespace != constants::DEFAULT_NAMESPACE {
        text.push_str(" -n ");
        text.push_str(namespace);
    }
    if let Some(context) = &cluster.context {
        text.push_str(" --context ");
        text.push_str(context);
    }
    if let Some(kubeconfig) = &cluster.kubeconfig {
        text.push_str(" --kubeconfig ");
        text.push_str(&kubeconfig.to_string_lossy());
    }
    text
}
