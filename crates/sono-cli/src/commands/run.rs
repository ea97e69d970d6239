//! `sono run`.

use std::{path::Path, time::Instant};

use serde_json::Value;
use sono_analysis::Waivers;
use sono_kube::{Cluster, Kind, elapsed};
use sono_local::RunLog;
use sono_manifest::{canary_objects, canary_resource, to_manifest};
use sono_types::{constants, exit};

use super::{
    attach::{self, Attach},
    canaries::{self, Canaries},
    create::Creation,
    delete, local,
    preflight::{self, Checks, PlannedRun},
    recording, report_file, retrieve, step_summary, waivers, why,
};
use crate::{
    aggregator::{self, WhichRun, text},
    args::{self, GivenFlags},
    error::CliError,
    identity::Identity,
    manifest::{self, Manifest},
    output::{Format, Printer},
    settings::{DEFAULT_PLUGINS, RunPlan, Version, command_hint, connect, latest},
};

/// Flags that also apply with `--file`.
const WITH_FILE: [&str; 20] = [
    "file",
    "dry-run",
    "quiet",
    "color",
    "kubeconfig",
    "context",
    "skip-preflight",
    "dns-namespace",
    "dns-pod-labels",
    "wait",
    "wait-output",
    "exit-code",
    "rm",
    "keep",
    "report",
    "waivers",
    "history",
    "no-history",
    "local",
    "level",
];

/// Objects to create.
#[derive(Debug)]
struct Run {
    objects: Vec<Value>,
    namespace: String,
    uuid: Option<String>,
    /// Version information of the API server.
    server: Value,
    /// A custom resource with canaries, which is created when the API server serves its kind.
    resource: Option<Value>,
}

pub(super) async fn run(
    arguments: args::Run,
    given: &GivenFlags,
    level: &str,
    log: RunLog,
    printer: &Printer,
) -> Result<u8, CliError> {
    let args::Run {
        names,
        mut flags,
        cluster: cluster_arguments,
        file,
        preflight,
        wait,
        wait_output,
        exit_code,
        dry_run,
        canaries,
        rm,
        archive,
        local: is_local,
    } = arguments;
    flags.plugins.extend(names);
    let started = Instant::now();
    let canaries = canaries.map(|scope| Canaries::new(scope, uuid::Uuid::new_v4().as_u128()));
    let fetches = rm || canaries.is_some();
    let wait = wait_limit(wait, rm, canaries.is_some(), printer)?;
    let waivers = check_combination(exit_code, wait.is_some() || is_local, &archive)?;
    if is_local {
        local::check_flags(given)?;
        let plan = RunPlan::new(flags, given, level, printer)?;
        let waiting = (wait.map(|limit| limit.limit), wait_output, exit_code);
        return Box::pin(local::run(plan, waiting, &archive.recording, log, printer)).await;
    }
    let checks = Checks::new(preflight)?;
    let (cluster, run) = if let Some(file) = file {
        from_manifest(&file, given, &checks, &cluster_arguments, printer).await?
    } else {
        let plan = RunPlan::new(flags, given, level, printer)?;
        from_plan(plan, &checks, &cluster_arguments, canaries, printer).await?
    };
    let Run {
        objects,
        namespace,
        uuid,
        server,
        resource,
    } = run;
    tracing::debug!(elapsed_ms = millis(started), "checked");
    let creation = Creation {
        cluster: &cluster,
        namespace: &namespace,
        arguments: &cluster_arguments,
        namespace_may_exist: !checks.namespace,
        printer,
    };
    if dry_run {
        return check_only(&creation, objects, printer).await;
    }
    let created_roles = objects.iter().any(|object| text(object, "/kind") == "ClusterRole");
    let created = creation.create(objects).await?;
    canaries::plant_resource(&cluster, &namespace, resource.as_ref()).await?;
    let identity = Identity::of_created(&created, uuid.as_deref());
    tracing::debug!(elapsed_ms = millis(started), "objects created");
    announce(&cluster, &server, (uuid.as_deref(), &namespace), started, printer);
    let Some(limit) = wait else {
        let next = command_hint("wait", &namespace, &cluster_arguments);
        printer.note(&format!("next: {next}"));
        return Ok(exit::SUCCESS);
    };
    let identity = identity_or_newest(identity, &cluster, &namespace).await?;
    let attach = Attach {
        cluster: &cluster,
        namespace: &namespace,
        run: identity.clone(),
        arguments: &cluster_arguments,
        limit: limit.limit,
        output: wait_output,
        printer,
        exit_code,
        fetches,
        started,
        starts_run: true,
    };
    let code = Box::pin(attach::attach(attach)).await?;
    let detached = [exit::INTERRUPTED, exit::TERMINATED, exit::HUNG_UP].contains(&code);
    if !fetches || detached {
        return Ok(code);
    }
    let location = args::RunLocation {
        namespace,
        cluster: cluster_arguments,
    };
    let rest = Finish {
        canaries,
        deletes: rm.then_some(created_roles),
        archive,
        waivers,
        code,
    };
    let code = Box::pin(finish(&cluster, location, (&identity, &created), rest, printer)).await;
    tracing::debug!(elapsed_ms = millis(started), "returning");
    code
}

/// The created aggregator, or the newest one if that of the manifest is neither a pod nor a Deployment.
async fn identity_or_newest(
    identity: Option<Identity>,
    cluster: &Cluster,
    namespace: &str,
) -> Result<Identity, CliError> {
    match identity {
        Some(identity) => Ok(identity),
        None => Ok(aggregator::find(cluster, namespace, WhichRun::Newest).await?.identity),
    }
}

/// Refuses flags that are useless together, and a file that a report must not replace. Returns the waivers.
fn check_combination(
    exit_code: bool,
    has_outcome: bool,
    archive: &args::RunArchive,
) -> Result<Option<Waivers>, CliError> {
    if exit_code && !has_outcome {
        return Err(CliError::new("--exit-code requires --wait, --rm or --local").hint("add --wait"));
    }
    archive.report.as_deref().map_or(Ok(()), report_file::check)?;
    archive.waivers.as_deref().map(waivers::load).transpose()
}

/// Checks the objects and prints them.
async fn check_only(creation: &Creation<'_>, objects: Vec<Value>, printer: &Printer) -> Result<u8, CliError> {
    creation.check(objects.clone()).await?;
    printer.document(Format::Yaml, &to_manifest(&objects))?;
    printer.note("dry run: all checks passed; nothing was created");
    Ok(exit::SUCCESS)
}

/// Prints which run was created, and on a terminal where.
fn announce(
    cluster: &Cluster,
    server: &Value,
    (uuid, namespace): (Option<&str>, &str),
    started: Instant,
    printer: &Printer,
) {
    if printer.is_terminal() {
        let name = cluster.context().unwrap_or_else(|| cluster.server_url());
        printer.note(&format!("cluster  {name}, {}", text(server, "/gitVersion")));
    }
    let run = uuid.map_or_else(|| "run".to_owned(), |uuid| format!("run {uuid}"));
    let took = elapsed(started.elapsed());
    printer.note(&format!("{run} in namespace {namespace}, created in {took}"));
}

/// Time limit of the wait; `None` without a wait.
fn wait_limit(
    wait: Option<args::WaitTime>,
    rm: bool,
    canaries: bool,
    printer: &Printer,
) -> Result<Option<args::WaitTime>, CliError> {
    if let Some(note) = wait.and_then(args::WaitTime::interpretation) {
        printer.note(&note);
    }
    // As in Sonobuoy, 0 is the default and does not wait.
    let is_zero = wait.is_some_and(|limit| limit.limit.is_zero());
    if rm && is_zero {
        return Err(CliError::new("--rm conflicts with --wait=0").hint("omit --wait, or set a time limit: --wait=60m"));
    }
    if canaries && is_zero {
        return Err(
            CliError::new("--canaries conflicts with --wait=0").hint("omit --wait, or set a time limit: --wait=60m")
        );
    }
    let wait = wait.or_else(|| (rm || canaries).then(args::WaitTime::default_limit));
    Ok(wait.filter(|limit| !limit.limit.is_zero()))
}

/// What follows a complete run.
struct Finish {
    canaries: Option<Canaries>,
    /// Whether the run is deleted, and whether it created roles.
    deletes: Option<bool>,
    /// What is done with the archive.
    archive: args::RunArchive,
    /// Accepted failures.
    waivers: Option<Waivers>,
    /// Exit code of the run.
    code: u8,
}

/// Retrieves the archive of a complete run, searches it for canaries, and deletes the run or the canaries. Returns the exit
/// code.
async fn finish(
    cluster: &Cluster,
    location: args::RunLocation,
    (identity, created): (&Identity, &[Value]),
    finish: Finish,
    printer: &Printer,
) -> Result<u8, CliError> {
    let Finish {
        canaries,
        deletes,
        archive: options,
        waivers,
        mut code,
    } = finish;
    let retrieval = args::Retrieve::into_this_directory(location.clone(), options.keep);
    let archives = retrieve::fetch(retrieval, WhichRun::Created(identity), printer).await;
    if let Some(canaries) = canaries.filter(|_| deletes.is_none()) {
        canaries.remove(cluster, &location.namespace, printer).await;
    }
    let archives = archives?;
    for archive in &archives {
        recording::record(archive, &options.recording, printer);
        step_summary::of_archive(archive, printer);
        if code != exit::SUCCESS {
            why::note_stored(archive, printer);
        }
    }
    if let (Some(file), Some(archive)) = (&options.report, archives.first())
        && let Err(error) = report_file::write(archive, file, printer)
    {
        // The archive is complete: the report can be written again.
        printer.error(&error);
    }
    if let (Some(waivers), Some(archive)) = (&waivers, archives.first()) {
        match waivers::code_of_run(archive, waivers, code, printer) {
            Ok(judged) => code = judged,
            // The failures count, as without waivers.
            Err(error) => printer.error(&error),
        }
    }
    let leaked = canaries.map_or(Ok(false), |canaries| canaries.search(&archives, printer));
    // Delete the run only after its archive was retrieved completely.
    if let Some(created_roles) = deletes {
        let deleted = async {
            check_unchanged(cluster, &location.namespace, created).await?;
            let arguments = args::Delete::of_run(location.clone(), created_roles);
            delete::delete(arguments, printer).await.map(drop)
        };
        if let Err(error) = deleted.await {
            // The exit code of the run has priority over that of the deletion.
            if code == exit::SUCCESS && leaked.is_ok() {
                return Err(error);
            }
            printer.error(&error);
        }
    }
    if leaked? {
        code = exit::SECRETS_FOUND;
    }
    Ok(code)
}

/// Checks that the namespace still contains the run that this command created, since `delete` removes any run in it.
async fn check_unchanged(cluster: &Cluster, namespace: &str, created: &[Value]) -> Result<(), CliError> {
    let is_configuration = |object: &&Value| text(object, "/metadata/name") == constants::CONFIG_MAP;
    let Some(ours) = created.iter().find(is_configuration) else {
        return Ok(());
    };
    match cluster
        .get(Kind::ConfigMap, Some(namespace), constants::CONFIG_MAP)
        .await
    {
        Ok(Some(found)) if text(&found, "/metadata/uid") != text(ours, "/metadata/uid") => Err(CliError::new(format!(
            "namespace `{namespace}` now contains another run, which is not deleted"
        ))
        .hint("another command deleted this run and started the other one; the archive is complete")),
        Ok(_) => Ok(()),
        Err(error) => {
            tracing::debug!(%error, "cannot read the configuration");
            Ok(())
        }
    }
}

/// Objects from flags and configuration.
async fn from_plan(
    mut plan: RunPlan,
    checks: &Checks,
    arguments: &args::Cluster,
    canaries: Option<Canaries>,
    printer: &Printer,
) -> Result<(Cluster, Run), CliError> {
    let mut definitions = plan.definitions(&plan.named(&DEFAULT_PLUGINS), printer).await?;
    if let Some(canaries) = canaries {
        if canaries.cluster && !plan.creates_namespace() {
            return Err(
                CliError::new("--canaries=cluster requires --aggregator-permissions clusterAdmin")
                    .hint("plant canaries in the namespace only: --canaries"),
            );
        }
        definitions.push(plan.canary_plugin(canaries.seed));
    }
    let cluster = connect(arguments).await?;
    let namespace = plan.config.namespace.clone();
    let planned = PlannedRun {
        namespace: &namespace,
        creates_namespace: plan.creates_namespace(),
        arguments,
        printer,
    };
    let (server, rbac) = futures::try_join!(preflight::check(&cluster, checks, planned), async {
        Ok(plan.detected_rbac(&cluster, true).await)
    })?;
    let version = match &plan.kubernetes_version {
        Version::Exact(version) => version.clone(),
        Version::Latest => latest().await?,
        Version::Cluster | Version::ClusterOrNone => image_version(text(&server, "/gitVersion")),
    };
    if plan.config.uuid.is_empty() {
        plan.config.uuid = uuid::Uuid::new_v4().to_string();
    }
    let definitions = plan.prepared(definitions, &version, printer)?;
    let mut objects = plan.rendered(&definitions, rbac)?;
    let mut resource = None;
    if let Some(canaries) = canaries {
        canaries.mark(&mut objects);
        objects.extend(canary_objects(&plan.config, canaries.seed, canaries.cluster));
        resource = canaries.cluster.then(|| canary_resource(&plan.config, canaries.seed));
    }
    if !(plan.creates_namespace() && checks.namespace) {
        let pods = plan.plugin_pods(&definitions);
        preflight::check_limits(&cluster, checks, &namespace, &pods, &objects, printer).await?;
    }
    let run = Run {
        objects,
        namespace,
        uuid: Some(plan.config.uuid),
        server,
        resource,
    };
    Ok((cluster, run))
}

/// Objects of a manifest, unchanged.
async fn from_manifest(
    file: &Path,
    given: &GivenFlags,
    checks: &Checks,
    arguments: &args::Cluster,
    printer: &Printer,
) -> Result<(Cluster, Run), CliError> {
    let manifest = Manifest::parse(file, &manifest::read(file)?)?;
    warn_of_ignored(given, printer);
    let pods = manifest.plugin_pods();
    let Manifest {
        objects,
        namespace,
        uuid,
    } = manifest;
    let cluster = connect(arguments).await?;
    let is_made = |object: &Value| text(object, "/kind") == "Namespace" && text(object, "/metadata/name") == namespace;
    let planned = PlannedRun {
        namespace: &namespace,
        creates_namespace: objects.iter().any(is_made),
        arguments,
        printer,
    };
    let server = preflight::check(&cluster, checks, planned).await?;
    if !(planned.creates_namespace && checks.namespace) {
        preflight::check_limits(&cluster, checks, &namespace, &pods, &objects, printer).await?;
    }
    let run = Run {
        objects,
        namespace,
        uuid,
        server,
        resource: None,
    };
    Ok((cluster, run))
}

/// Warns of each flag that has no effect with a manifest.
pub(super) fn warn_of_ignored(given: &GivenFlags, printer: &Printer) {
    for flag in given.except(&WITH_FILE) {
        printer.note(&format!(
            "warning: --{flag} has no effect with --file: the manifest defines all objects"
        ));
    }
}

/// Milliseconds since `started`.
pub(super) fn millis(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// `v1.37.2`, also for `v1.37.2-gke.100` and `v1.37.2+k3s1`. Suffixes of Kubernetes pre-releases are preserved
/// (cli §4.2).
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
    fn vendor_suffix_is_removed() {
        assert_eq!(image_version("v1.37.2"), "v1.37.2");
        assert_eq!(image_version("v1.37.2-gke.100"), "v1.37.2");
        assert_eq!(image_version("v1.37.2+k3s1"), "v1.37.2");
        assert_eq!(image_version("v1.38.0-rc.1+abc"), "v1.38.0-rc.1");
    }
}
