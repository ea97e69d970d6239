//! `sono gen`: what `run` would create.

use sono_manifest::{Preparation, RunObjects, prepare, run_objects, to_manifest};
use sono_types::{env, exit};

use crate::{
    args,
    error::CliError,
    output::Printer,
    settings::{IN_CLUSTER, Plan},
};

/// Stands for the cluster's version where there is none to ask, as with Sonobuoy's `--kubernetes-version=ignore`.
const NO_VERSION: &str = "ignore";

pub(super) fn generate(arguments: args::Gen, level: &str, printer: &Printer) -> Result<u8, CliError> {
    // The cluster is not asked; its flags are there so that the same flags work for `run` and `gen`.
    let args::Gen {
        what,
        plan,
        cluster: args::Cluster {
            kubeconfig: _,
            context: _,
        },
    } = arguments;
    let plan = Plan::new(plan, level)?;
    if let Some(args::GenWhat::Config) = what {
        printer.line(&plan.config.to_json())?;
        return Ok(exit::SUCCESS);
    }
    let definitions = plan.definitions(&plan.named(&IN_CLUSTER), printer)?;
    let placeholder = format!("${}", env::SONOBUOY_K8S_VERSION);
    let wants_version = definitions.iter().find(|definition| {
        definition
            .spec
            .get("image")
            .and_then(serde_json::Value::as_str)
            .is_some_and(|image| image.contains(&placeholder))
    });
    if let (Some(definition), None) = (wants_version, &plan.kubernetes_version) {
        return Err(CliError::new(format!(
            "the image of plugin `{}` depends on the cluster's version",
            definition.name
        ))
        .hint("say which: --kubernetes-version v1.37.2"));
    }
    let version = plan.kubernetes_version.as_deref().unwrap_or(NO_VERSION);
    let definitions = prepare(
        definitions,
        &Preparation {
            config: &plan.config,
            kubernetes_version: version,
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
