//! `sono gen`: the objects that `run` would create.

mod plugin;

use std::time::Duration;

use serde_json::Value;
use sono_images::Registries;
use sono_manifest::{Definition, to_manifest};
use sono_types::{env, exit};

use super::run::{image_version, warn_of_ignored};
use crate::{
    aggregator::text,
    args::{self, GivenFlags},
    error::CliError,
    manifest,
    output::{Format, Printer},
    settings::{DEFAULT_PLUGINS, NO_VERSION, RunPlan, Version, connect, latest},
};

/// Flags of `run` that do not affect the created objects.
const RUN_ONLY_FLAGS: [&str; 5] = [
    "skip-preflight",
    "dns-namespace",
    "dns-pod-labels",
    "wait",
    "wait-output",
];
/// Time limit for querying an optional cluster.
const CLUSTER_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) async fn generate(
    arguments: args::Gen,
    given: &GivenFlags,
    level: &str,
    printer: &Printer,
) -> Result<u8, CliError> {
    let args::Gen { what, flags } = arguments;
    match what {
        None => objects(flags, given, level, printer).await,
        Some(args::GenWhat::Config(flags)) => configuration(*flags, given, level, printer),
        Some(args::GenWhat::DefaultImageConfig(flags)) => default_image_config(&flags, printer),
        Some(args::GenWhat::Plugin(flags)) => plugin::generate(*flags, given, level, printer).await,
    }
}

async fn objects(flags: args::GenFlags, given: &GivenFlags, level: &str, printer: &Printer) -> Result<u8, CliError> {
    if let Some(file) = &flags.file {
        let text = manifest::read(file)?;
        warn_of_ignored(given, printer);
        printer.document(Format::Yaml, &text)?;
        return Ok(exit::SUCCESS);
    }
    let (mut plan, cluster) = resolve(flags, given, level, printer)?;
    plan.assign_run_id();
    let definitions = plan.definitions(&plan.named(&DEFAULT_PLUGINS), printer).await?;
    let version = version(&plan, &definitions, &cluster, printer).await?;
    let rbac = if plan.detects_rbac() {
        let cluster = connect(&cluster).await.map_err(|error| {
            CliError::new("--rbac Detect requires a cluster")
                .details(error.lines())
                .hint("use --rbac Enable or --rbac Disable")
        })?;
        plan.detected_rbac(&cluster, false).await
    } else {
        plan.rbac()
    };
    let objects = plan.objects(definitions, &version, rbac, printer)?;
    printer.document(Format::Yaml, &to_manifest(&objects))?;
    Ok(exit::SUCCESS)
}

/// Resolves the flags. Warns of flags that affect only `run`.
fn resolve(
    flags: args::GenFlags,
    given: &GivenFlags,
    level: &str,
    printer: &Printer,
) -> Result<(RunPlan, args::Cluster), CliError> {
    let args::GenFlags {
        flags,
        cluster,
        file: _,
        preflight: _,
        wait: _,
        wait_output: _,
    } = flags;
    for flag in RUN_ONLY_FLAGS.into_iter().filter(|flag| given.has(flag)) {
        printer.note(&format!("warning: --{flag} has no effect on gen"));
    }
    Ok((RunPlan::new(flags, given, level, printer)?, cluster))
}

fn configuration(flags: args::GenFlags, given: &GivenFlags, level: &str, printer: &Printer) -> Result<u8, CliError> {
    if flags.file.is_some() {
        printer.note("warning: --file has no effect on gen config");
    }
    let (plan, _) = resolve(flags, given, level, printer)?;
    printer.document(Format::Json, &(plan.config.to_json() + "\n"))?;
    Ok(exit::SUCCESS)
}

/// Kubernetes version for plugins. The cluster is queried only if a plugin depends on its version.
async fn version(
    plan: &RunPlan,
    definitions: &[Definition],
    cluster: &args::Cluster,
    printer: &Printer,
) -> Result<String, CliError> {
    let placeholder = format!("${}", env::SONOBUOY_K8S_VERSION);
    let versioned = definitions.iter().find(|definition| {
        let image = definition.spec.get("image").and_then(Value::as_str);
        image.is_some_and(|image| image.contains(&placeholder))
    });
    let is_named = cluster.kubeconfig.is_some() || cluster.context.is_some();
    match (&plan.kubernetes_version, versioned) {
        (Version::Exact(version), _) => Ok(version.clone()),
        (Version::Latest, _) => latest().await,
        (Version::ClusterOrNone, versioned) => {
            let asked = tokio::time::timeout(CLUSTER_TIMEOUT, cluster_version(cluster)).await;
            if let Ok(Ok(version)) = asked {
                return Ok(version);
            }
            if let Some(definition) = versioned {
                printer.note(&format!(
                    "warning: the image of plugin `{}` depends on the cluster's version, which is unknown without a cluster; the image has no version",
                    definition.name
                ));
            }
            Ok(NO_VERSION.to_owned())
        }
        // A cluster selected by flags must respond.
        (Version::Cluster, None) if is_named => cluster_version(cluster).await,
        (Version::Cluster, None) => Ok(NO_VERSION.to_owned()),
        (Version::Cluster, Some(definition)) => cluster_version(cluster).await.map_err(|error| {
            CliError::new(format!(
                "the image of plugin `{}` depends on the cluster's version, which is unknown without a cluster",
                definition.name
            ))
            .details(error.lines())
            .hint("set the version: --kubernetes-version v1.37.2")
        }),
    }
}

async fn cluster_version(cluster: &args::Cluster) -> Result<String, CliError> {
    let version = connect(cluster).await?.server_version().await?;
    Ok(image_version(text(&version, "/gitVersion")))
}

/// Prints the current groups of test images and an empty line, as Sonobuoy does (cli §15.5).
fn default_image_config(flags: &args::GenDefaultImageConfig, printer: &Printer) -> Result<u8, CliError> {
    let args::GenDefaultImageConfig {
        cluster: args::Cluster {
            kubeconfig: _,
            context: _,
        },
    } = flags;
    let registries = Registries::default();
    let groups = [
        ("buildImageRegistry", registries.build_image_registry),
        ("dockerGluster", registries.docker_gluster),
        ("dockerLibraryRegistry", registries.docker_library_registry),
        ("e2eRegistry", registries.e2e_registry),
        ("e2eVolumeRegistry", registries.e2e_volume_registry),
        ("gcRegistry", registries.gc_registry),
        ("gcEtcdRegistry", registries.gc_etcd_registry),
        ("promoterE2eRegistry", registries.promoter_e2e_registry),
        ("sigStorageRegistry", registries.sig_storage_registry),
    ];
    let lines: Vec<String> = groups
        .iter()
        .map(|(group, registry)| format!("{group}: {registry}\n"))
        .collect();
    printer.document(Format::Yaml, &(lines.concat() + "\n"))?;
    Ok(exit::SUCCESS)
}
