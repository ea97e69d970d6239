//! What the arguments come to: defaults, then the configuration file, then flags.

mod version;

use std::{collections::BTreeMap, path::Path};

use serde_json::{Value, json};
use sono_kube::{Cluster, Connection};
use sono_manifest::{Definition, Images};
use sono_types::{Config, constants};

use crate::{aggregator::text, args, changes::Resolved, error::CliError, output::Printer, plugins};

impl From<&args::Cluster> for Connection {
    fn from(cluster: &args::Cluster) -> Self {
        let args::Cluster { kubeconfig, context } = cluster;
        Self {
            kubeconfig: kubeconfig.clone(),
            context: context.clone(),
        }
    }
}

/// Connects, with an error for people.
pub(crate) async fn connect(cluster: &args::Cluster) -> Result<Cluster, CliError> {
    Ok(Cluster::connect(&cluster.into()).await?)
}

/// What to run, resolved.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The run's configuration.
    pub(crate) config: Config,
    /// Image of the aggregator.
    pub(crate) aggregator_image: String,
    /// Plugins as the user named them.
    plugins: Vec<String>,
    /// Images of the built-in plugins.
    pub(crate) images: Images,
    /// Version that plugins are told, where the user says it.
    pub(crate) kubernetes_version: Option<String>,
    /// Roles are created.
    pub(crate) rbac: bool,
    /// Labels of the aggregator's node.
    node_selector: BTreeMap<String, String>,
    /// A flag that was given and means something in a cluster only.
    pub(crate) cluster_flag: Option<&'static str>,
    /// What flags change in plugins.
    pub(crate) changes: Resolved,
    /// The aggregator's log level.
    pub(crate) level: String,
}

impl Plan {
    pub(crate) fn new(plan: args::Plan, level: &str) -> Result<Self, CliError> {
        let args::Plan {
            plugins,
            namespace,
            timeout,
            sonobuoy_image,
            aggregator_image,
            worker_image,
            image_pull_policy,
            aggregator_permissions,
            config: file,
            kubernetes_version,
            aggregator,
            changes,
        } = plan;
        let cluster_flag = aggregator.given();
        let args::Aggregator {
            service_account_name,
            existing_service_account,
            rbac,
            namespace_psa_enforce_level,
            security_context_mode,
            aggregator_node_selector,
            force_image_pull_policy,
        } = aggregator;
        let mut config = file.as_deref().map(read_config).transpose()?.unwrap_or_default();
        let aggregator_image = aggregator_image
            .or_else(|| sonobuoy_image.clone())
            .unwrap_or_else(|| constants::AGGREGATOR_IMAGE.to_owned());
        set(&mut config.worker_image, worker_image.or(sonobuoy_image));
        set(&mut config.namespace, namespace);
        set(&mut config.server.timeout_seconds, timeout);
        set(&mut config.image_pull_policy, image_pull_policy.as_deref().map(spelled));
        set(&mut config.service_account_name, service_account_name);
        set(&mut config.namespace_psa_enforce_level, namespace_psa_enforce_level);
        set(&mut config.security_context_mode, security_context_mode);
        config.existing_service_account |= existing_service_account;
        config.force_image_pull_policy |= force_image_pull_policy;
        set(&mut config.aggregator_permissions, aggregator_permissions);
        let images = Images {
            host_check: aggregator_image.clone(),
            pull_policy: config.image_pull_policy.clone(),
            ..Images::default()
        };
        Ok(Self {
            config,
            aggregator_image,
            plugins,
            images,
            kubernetes_version: kubernetes_version.as_deref().map_or(Ok(None), version::wanted)?,
            rbac: rbac.is_none_or(|mode| mode.eq_ignore_ascii_case("Enable")),
            node_selector: aggregator_node_selector
                .into_iter()
                .map(|args::Pair { name, value }| (name, value))
                .collect(),
            cluster_flag,
            changes: Resolved::new(changes)?,
            level: level.to_owned(),
        })
    }
}

impl Plan {
    /// The plugins as the user named them. Where none is named: `otherwise`.
    pub(crate) fn named(&self, otherwise: &[&str]) -> Vec<String> {
        if self.plugins.is_empty() {
            return otherwise.iter().map(ToString::to_string).collect();
        }
        self.plugins.clone()
    }

    /// Changes the aggregator's pod among a run's objects.
    pub(crate) fn apply_to_aggregator(&self, objects: &mut [Value]) {
        self.changes.apply_to_aggregator(objects);
        if self.node_selector.is_empty() {
            return;
        }
        let pods = objects.iter_mut().filter(|object| text(object, "/kind") == "Pod");
        for spec in pods.filter_map(|pod| pod.get_mut("spec")) {
            spec["nodeSelector"] = json!(self.node_selector);
        }
    }

    /// The plugins as flags want them.
    pub(crate) async fn definitions(&self, names: &[String], printer: &Printer) -> Result<Vec<Definition>, CliError> {
        let mut definitions = plugins::load(names, &self.images, printer).await?;
        self.changes.apply(&mut definitions)?;
        Ok(definitions)
    }
}

/// What runs in a cluster when no plugin is named, as it does with Sonobuoy.
pub(crate) const IN_CLUSTER: [&str; 2] = ["e2e", "systemd-logs"];

/// A pull policy as the cluster spells it.
fn spelled(policy: &str) -> String {
    let known = ["Always", "IfNotPresent", "Never"];
    let found = known.into_iter().find(|known| known.eq_ignore_ascii_case(policy));
    found.unwrap_or(policy).to_owned()
}

fn set<T>(target: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *target = given;
    }
}

fn read_config(path: &Path) -> Result<Config, CliError> {
    let what = format!("cannot use the configuration file `{}`", path.display());
    let text = fs_err::read_to_string(path).map_err(|error| CliError::new(&what).caused_by(&error))?;
    Config::from_json(&text).map_err(|error| CliError::new(&what).caused_by(&error))
}

/// How to type a command for the same run again.
pub(crate) fn again(command: &str, namespace: &str, cluster: &args::Cluster) -> String {
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
