//! The objects of one plugin: creating and removing them.

use std::sync::Arc;

use serde_json::Value;
use sono_kube::{Kind, KubeError};
use sono_manifest::{Definition, PluginLaunch, pod_security_misfit};
use sono_run::Failure;
use sono_types::{SessionId, constants, error_chain};

use super::{Shared, retry::patiently};
use crate::backend::{BackendError, Launch};

/// One plugin in a cluster.
pub(super) struct PluginObjects {
    pub(super) shared: Arc<Shared>,
    pub(super) definition: Definition,
    pub(super) session: SessionId,
}

impl PluginObjects {
    /// Creates the Secret, then the object that `render` returns.
    pub(super) async fn create(
        &self,
        launch: &Launch,
        what: &str,
        render: fn(&PluginLaunch<'_>) -> Value,
    ) -> Result<(), Failure> {
        let launch = PluginLaunch {
            definition: &self.definition,
            config: &self.shared.config,
            session: &self.session,
            namespace: &self.shared.config.namespace,
            owner: &self.shared.owner,
            aggregator_url: &launch.url,
            fallback_url: launch.fallback_url.as_deref(),
            ca_cert: &launch.ca_pem,
            client_cert: &launch.identity.certificate_pem,
            client_key: &launch.identity.key_pem,
            deadline: launch.deadline,
        };
        let name = &self.definition.name;
        let failed = |step: String| move |error: KubeError| Failure::new(format!("{step}: {}", error_chain(&error)));
        let object = render(&launch);
        self.admitted(&object)?;
        let secret = sono_manifest::secret(&launch);
        self.create_or_adopt(&secret).await.map_err(failed(format!(
            "couldn't create TLS secret for {} plugin {name}",
            what.to_lowercase()
        )))?;
        self.create_or_adopt(&object).await.map_err(failed(format!(
            "could not create {what} for {} plugin {name}",
            what.to_lowercase()
        )))?;
        Ok(())
    }

    /// Checks the plugin's pods against the pod security level of the run's namespace. A DaemonSet's pods would be refused only
    /// later, and the plugin would end at its time limit.
    fn admitted(&self, object: &Value) -> Result<(), Failure> {
        let config = &self.shared.config;
        if config.namespace_psa_enforce_level != "restricted" || config.aggregator_permissions != "clusterAdmin" {
            return Ok(());
        }
        let spec = object.pointer("/spec/template/spec").or_else(|| object.get("spec"));
        let misfit = |spec| pod_security_misfit(&config.namespace_psa_enforce_level, &self.definition.name, spec);
        match spec.and_then(misfit) {
            None => Ok(()),
            Some(misfit) => Err(Failure::new(format!(
                "{misfit}; change its definition, or run with --namespace-psa-enforce-level privileged"
            ))),
        }
    }

    /// Names contain the plugin's session ID, so an existing object was created by an earlier process of this run, or by an
    /// attempt whose response was lost.
    async fn create_or_adopt(&self, object: &Value) -> Result<(), KubeError> {
        let cluster = &self.shared.cluster;
        match patiently("creating the plugin's objects", || cluster.create(object)).await {
            Err(error) if error.is_already_exists() => {
                tracing::info!(plugin_name = %self.definition.name, error = error_chain(&error), "using the existing object");
                Ok(())
            }
            created => created.map(|_| ()),
        }
    }

    /// Label selector of everything that belongs to this plugin of this run.
    pub(super) fn selector(&self) -> String {
        format!("{}={}", constants::RUN_LABEL, self.session)
    }

    /// Removes the plugin's object and its secret (which Sonobuoy leaves behind: W-45).
    pub(super) async fn remove(&self, kind: Kind, grace: u32) -> Result<(), BackendError> {
        let cluster = &self.shared.cluster;
        let namespace = Some(self.shared.config.namespace.as_str());
        let secret = sono_manifest::secret_name(&self.definition, &self.session);
        let selector = self.selector();
        let (objects, secret) = tokio::join!(
            patiently("removing the plugin's objects", || {
                cluster.delete_all(kind, namespace, &selector, Some(grace))
            }),
            patiently("removing the plugin's secret", || {
                cluster.delete(Kind::Secret, namespace, &secret, None)
            })
        );
        let problems: Vec<String> = [objects.err(), secret.err()]
            .iter()
            .flatten()
            .map(|error| error_chain(error))
            .collect();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(BackendError::new(problems.join("; ")))
        }
    }
}
