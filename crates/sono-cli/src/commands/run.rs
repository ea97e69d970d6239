//! `sono run`.

use std::time::Instant;

use serde_json::Value;
use sono_kube::{Cluster, Kind, elapsed};
use sono_local::RunLog;
use sono_manifest::{Preparation, RunObjects, prepare, run_objects};
use sono_types::{constants, exit};

use super::{
    attach::{self, Attach},
    create, local,
};
use crate::{
    aggregator::text,
    args,
    error::CliError,
    output::Printer,
    settings::{IN_CLUSTER, Plan, again, connect},
};

pub(super) async fn run(arguments: args::Run, level: &str, log: RunLog, printer: &Printer) -> Result<u8, CliError> {
    let args::Run {
        plan,
        cluster: cluster_arguments,
        wait,
        wait_output,
        exit_code,
        local: is_local,
    } = arguments;
    let started = Instant::now();
    let mut plan = Plan::new(plan, level)?;
    if exit_code && wait.is_none() && !is_local {
        return Err(CliError::new("--exit-code tells how a run ended, which nobody waits for").hint("add --wait"));
    }
    if is_local {
        return local::run(plan, wait_output, exit_code, log, printer).await;
    }
    let definitions = plan.definitions(&plan.named(&IN_CLUSTER), printer).await?;
    let cluster = connect(&cluster_arguments).await?;
    let namespace = plan.config.namespace.clone();
    let (version, ()) = futures::try_join!(
        async {
            let version = cluster.server_version().await;
            version.map_err(|error| CliError::of_cluster(error.to_string(), &error))
        },
        check_namespace(&cluster, &plan, &cluster_arguments)
    )?;
    let server_version = text(&version, "/gitVersion").to_owned();
    let plugin_version = plan
        .kubernetes_version
        .take()
        .unwrap_or_else(|| image_version(&server_version));
    if plan.config.uuid.is_empty() {
        plan.config.uuid = uuid::Uuid::new_v4().to_string();
    }
    let definitions = prepare(
        definitions,
        &Preparation {
            config: &plan.config,
            kubernetes_version: &plugin_version,
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
    tracing::debug!(elapsed_ms = millis(started), "checked");
    create::create(&cluster, &objects, &namespace, &cluster_arguments, printer).await?;
    tracing::debug!(elapsed_ms = millis(started), "objects created");
    if printer.is_terminal() {
        let name = cluster.context().unwrap_or_else(|| cluster.server_url());
        printer.note(&format!("cluster  {name}, {server_version}"));
    }
    printer.note(&format!(
        "run {} in namespace {namespace}, created in {}",
        plan.config.uuid,
        elapsed(started.elapsed())
    ));
    let Some(limit) = wait else {
        printer.note(&format!("next: {}", again("wait", &namespace, &cluster_arguments)));
        return Ok(exit::SUCCESS);
    };
    let attach = Attach {
        cluster: &cluster,
        namespace: &namespace,
        arguments: &cluster_arguments,
        limit: limit.0,
        output: wait_output,
        printer,
        exit_code,
        started,
    };
    let code = attach::attach(attach).await?;
    tracing::debug!(elapsed_ms = millis(started), "returning");
    Ok(code)
}

/// Milliseconds since then.
pub(super) fn millis(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Where the namespace is not created, it must be there, and without a run.
async fn check_namespace(cluster: &Cluster, plan: &Plan, arguments: &args::Cluster) -> Result<(), CliError> {
    let namespace = plan.config.namespace.as_str();
    if plan.config.aggregator_permissions == "clusterAdmin" {
        return Ok(());
    }
    let run = cluster
        .get(Kind::ConfigMap, Some(namespace), constants::CONFIG_MAP)
        .await;
    match run.map_err(|error| CliError::of_cluster(format!("cannot look into namespace `{namespace}`"), &error))? {
        Some(run)
            if run
                .pointer("/metadata/deletionTimestamp")
                .and_then(Value::as_str)
                .is_some() =>
        {
            Err(create::terminating(namespace))
        }
        Some(_) => Err(create::holds_a_run(namespace, arguments)),
        None => Ok(()),
    }
}

/// `v1.37.2`, also of `v1.37.2-gke.100` and `v1.37.2+k3s1`; pre-releases of Kubernetes itself stay (cli spec §4.2).
pub(super) fn image_version(git_version: &str) -> String {
    let without_build = git_version.split('+').next().unwrap_or(git_version);
    match without_build.split_once('-') {
        Some((number, pre_release)) => {
            let own = ["rc", "alpha", "beta"].iter().any(|word| pre_release.starts_with(word));
            if own {
                without_build.to_owned()
            } else {
                number.to_owned()
            }
        }
        None => without_build.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vendors_suffixes_are_dropped() {
        assert_eq!(image_version("v1.37.2"), "v1.37.2");
        assert_eq!(image_version("v1.37.2-gke.100"), "v1.37.2");
        assert_eq!(image_version("v1.37.2+k3s1"), "v1.37.2");
        assert_eq!(image_version("v1.38.0-rc.1+abc"), "v1.38.0-rc.1");
    }
}
