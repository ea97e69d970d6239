//! `sono gen`: what `run` would create.

use sono_manifest::{Preparation, RunObjects, prepare, run_objects, to_manifest};
use sono_types::{env, exit};

use super::run::image_version;
use crate::{
    aggregator::text,
    args,
    error::CliError,
    output::Printer,
    settings::{IN_CLUSTER, Plan, connect},
};

/// Stands for the cluster's version where there is none to ask, as with Sonobuoy's `--kubernetes-version=ignore`.
const NO_VERSION: &str = "ignore";

pub(super) async fn generate(arguments: args::Gen, level: &str, printer: &Printer) -> Result<u8, CliError> {
    let args::Gen { what, plan, cluster } = arguments;
    let plan = Plan::new(plan, level)?;
    if let Some(args::GenWhat::Config) = what {
        printer.line(&plan.config.to_json())?;
        return Ok(exit::SUCCESS);
    }
    let definitions = plan.definitions(&plan.named(&IN_CLUSTER), printer).await?;
    let placeholder = format!("${}", env::SONOBUOY_K8S_VERSION);
    let wants_version = definitions.iter().find(|definition| {
        definition
            .spec
            .get("image")
            .and_then(serde_json::Value::as_str)
            .is_some_and(|image| image.contains(&placeholder))
    });
    let is_named = cluster.kubeconfig.is_some() || cluster.context.is_some();
    let version = match (&plan.kubernetes_version, wants_version) {
        (Some(version), _) => version.clone(),
        // Whoever names a cluster means it.
        (None, None) if is_named => cluster_version(&cluster).await?,
        (None, None) => NO_VERSION.to_owned(),
        (None, Some(definition)) => cluster_version(&cluster).await.map_err(|error| {
            CliError::new(format!(
                "the image of plugin `{}` depends on the cluster's version, and there is no cluster to ask",
                definition.name
            ))
            .details(error.lines())
            .hint("say which: --kubernetes-version v1.37.2")
        })?,
    };
    let definitions = prepare(
        definitions,
        &Preparation {
            config: &plan.config,
            kubernetes_version: &version,
        },
    );
    let mut objects = run_objects(&RunObjects {
        config: &plan.config,
        definitions: &definitions,
        aggregator_image: &plan.aggregator_image,
        rbac: plan.rbac,
        log_level: &plan.level,
    });
    plan.apply_to_aggregator(&mut objects);
    printer.data(to_manifest(&objects).as_bytes())?;
    Ok(exit::SUCCESS)
}

async fn cluster_version(cluster: &args::Cluster) -> Result<String, CliError> {
    let version = connect(cluster).await?.server_version().await?;
    Ok(image_version(text(&version, "/gitVersion")))
}
