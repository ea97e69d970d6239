//! The objects that `sono delete` would delete.

use serde_json::Value;
use sono_kube::Kind;
use sono_types::constants;

use super::{E2E_NAMESPACES, Job, NAMESPACED_KINDS, canaries, is_ours, no_run};
use crate::{aggregator::text, args, error::CliError};

impl Job<'_> {
    /// Prints the objects that would be deleted, one per line.
    pub(super) async fn preview(&self) -> Result<(), CliError> {
        let mut lines = Vec::new();
        let list = async |kind: Kind, namespace: Option<&str>, labels: &str| {
            let found = self.cluster.list(kind, namespace, labels).await;
            let found = match found {
                // The server does not support this kind.
                Err(error) if error.is_not_served() => Vec::new(),
                found => {
                    found.map_err(|error| CliError::of_cluster(format!("cannot list {}", kind.plural()), &error))?
                }
            };
            let line = |object: &Value| format!("{}/{}", kind.name().to_lowercase(), text(object, "/metadata/name"));
            Ok::<_, CliError>(found.iter().map(line).collect::<Vec<_>>())
        };
        if self.roles != args::DeleteRoles::Disable {
            for kind in [Kind::ClusterRoleBinding, Kind::ClusterRole] {
                lines.extend(list(kind, None, &self.labels_of_roles()).await?);
            }
        }
        match self.find_namespace().await? {
            None => self
                .printer
                .note(&format!("namespace `{}` does not exist", self.namespace)),
            Some(namespace) if is_ours(&namespace) => {
                if canaries::has_definition(&namespace) {
                    let name = sono_manifest::canary_definition_name(self.namespace);
                    lines.push(format!("customresourcedefinition/{name}"));
                }
                lines.push(format!("namespace/{}", self.namespace));
            }
            Some(_) => {
                let before = lines.len();
                let labels = format!("{}={}", constants::COMPONENT.0, constants::COMPONENT.1);
                let kinds = [Kind::DaemonSet, Kind::Deployment, Kind::Pod]
                    .into_iter()
                    .chain(NAMESPACED_KINDS);
                for kind in kinds {
                    lines.extend(list(kind, Some(self.namespace), &labels).await?);
                }
                lines.extend(
                    self.plugin_config_maps()
                        .await?
                        .iter()
                        .map(|name| format!("configmap/{name}")),
                );
                if lines.len() == before {
                    self.printer.note(&no_run(self.namespace));
                }
            }
        }
        if self.all {
            lines.extend(list(Kind::Namespace, None, E2E_NAMESPACES).await?);
        }
        lines.iter().try_for_each(|line| self.printer.line(line))
    }
}
