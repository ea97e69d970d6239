//! The objects of a run, and the pods that its plugins will have.

use serde_json::{Value, json};
use sono_manifest::{
    Definition, ResultsVolume, RunObjects, aggregator_spec_mut, expected_pod_spec, run_objects, uses_host_network,
};
use sono_types::{Config, UploadLimits, constants};

use super::{RunPlan, refused};
use crate::{error::CliError, output::Printer, plugin_pod::PluginPod};

impl RunPlan {
    /// Workload kind of the aggregator.
    fn workload(&self) -> &str {
        let configured = self.config.aggregator_workload.as_str();
        if configured.is_empty() {
            self.default_workload
        } else {
            configured
        }
    }

    /// Assigns an id to a run that survives its aggregator's pod, to distinguish it from other runs in the namespace.
    pub(crate) fn assign_run_id(&mut self) {
        if self.config.uuid.is_empty() && self.workload() == constants::WORKLOAD_DEPLOYMENT {
            self.config.uuid = uuid::Uuid::new_v4().to_string();
        }
    }

    /// Renders all objects of the run.
    pub(crate) fn objects(
        &self,
        definitions: Vec<Definition>,
        version: &str,
        rbac: bool,
        printer: &Printer,
    ) -> Result<Vec<Value>, CliError> {
        let definitions = self.prepared(definitions, version, printer)?;
        self.rendered(&definitions, rbac)
    }

    /// Configuration of the aggregator.
    fn aggregator_config(&self) -> Config {
        let mut config = self.config.clone();
        self.workload().clone_into(&mut config.aggregator_workload);
        self.plugin_account.clone_into(&mut config.plugin_account);
        self.limit_results(&mut config.upload_limits);
        config
    }

    /// The pods of prepared definitions: name, order group and podSpec.
    pub(crate) fn plugin_pods(&self, definitions: &[Definition]) -> Vec<PluginPod> {
        let config = self.aggregator_config();
        let pod = |definition: &Definition| PluginPod {
            plugin: definition.name.clone(),
            order: definition.order,
            spec: expected_pod_spec(&config, definition),
        };
        definitions.iter().map(pod).collect()
    }

    /// Renders all objects of the run from prepared definitions.
    pub(crate) fn rendered(&self, definitions: &[Definition], rbac: bool) -> Result<Vec<Value>, CliError> {
        refused::refuse_invalid(definitions)?;
        let config = self.aggregator_config();
        if self.network_policy {
            refuse_host_network(definitions)?;
        }
        let mut objects = run_objects(&RunObjects {
            config: &config,
            definitions,
            aggregator_image: &self.aggregator_image,
            rbac,
            log_level: &self.level,
            results_volume: self.results_volume.as_ref(),
            sizes: &self.sizes,
            network_policy: self.network_policy,
        });
        self.changes.add_secrets(&self.config, &mut objects);
        self.changes.apply_to_aggregator(&mut objects);
        if !self.node_selector.is_empty() {
            for spec in objects.iter_mut().filter_map(aggregator_spec_mut) {
                spec["nodeSelector"] = json!(self.node_selector);
            }
        }
        Ok(objects)
    }
}

impl RunPlan {
    /// Limits results to 90 % of their storage, unless the configuration sets a limit. The size of an existing volume is
    /// unknown here.
    fn limit_results(&self, limits: &mut UploadLimits) {
        let size = match &self.results_volume {
            None => Some(self.sizes.results.clone()),
            Some(ResultsVolume::New { size, .. }) => size.parse().ok(),
            Some(ResultsVolume::Existing { .. }) => None,
        };
        if let Some(size) = size.filter(|size| !size.is_zero())
            && limits.max_total_bytes == UploadLimits::DEFAULT.max_total_bytes
        {
            limits.max_total_bytes = (size.bytes() / 10 * 9).max(1);
        }
    }
}

/// Rejects plugins that use the host network: a NetworkPolicy cannot select their pods.
fn refuse_host_network(definitions: &[Definition]) -> Result<(), CliError> {
    match definitions.iter().find(|definition| uses_host_network(definition)) {
        None => Ok(()),
        Some(definition) => {
            let what = format!(
                "cannot create a NetworkPolicy for plugin `{}`: its pods use the host network, which a NetworkPolicy cannot select, so their results would be blocked",
                definition.name
            );
            Err(CliError::new(what).hint("omit --network-policy, or select other plugins with --plugin"))
        }
    }
}
