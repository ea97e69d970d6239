//! `sono run --local`: a run on this machine. The last line of standard output is the path of the archive.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, AtomicU8, Ordering},
    time::Duration,
};

use sono_bundle::Bundle;
use sono_kube::elapsed;
use sono_local::{FinishedRun, LocalError, Options, RunError, RunLog, system_clock};
use sono_manifest::Definition;
use sono_types::{PluginName, RunStatus, exit, layout};
use tokio::sync::watch;

use super::{recording, step_summary};
use crate::{
    args::{GivenFlags, Recording, WaitOutput},
    clock::now,
    error::CliError,
    judgement,
    output::{Printer, Tone, text},
    settings::RunPlan,
    signals::termination,
    trees,
    view::{checks, counts, progress_log::ProgressLog, screen::Screen, words::counted},
};

/// The built-in plugin that can run without a cluster.
const HOST_CHECK: &str = "host-check";
/// Name used instead of a namespace.
const LOCAL_NAMESPACE: &str = "local";

pub(super) async fn run(
    plan: RunPlan,
    (limit, output, exit_code): (Option<Duration>, WaitOutput, bool),
    recording: &Recording,
    log: RunLog,
    printer: &Printer,
) -> Result<u8, CliError> {
    let definitions = definitions(&plan, printer).await?;
    let names: Vec<PluginName> = definitions.iter().map(|definition| definition.name.clone()).collect();
    let (statuses, mut received) = watch::channel(RunStatus::default());
    let options = Options {
        definitions,
        config: sono_types::Config {
            // Flags without effect in a local run.
            require_redaction: false,
            ..plan.config
        },
        output: Path::new(".").to_owned(),
        statuses,
        log,
        clock: system_clock(),
        observer: None,
    };
    let begun = now();
    let mut screen = Screen::new(printer, output);
    let mut progress = ProgressLog::new(begun);
    let too_late = async {
        match limit {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    let is_late = AtomicBool::new(false);
    let stopped_by = AtomicU8::new(exit::INTERRUPTED);
    let interrupted = async {
        tokio::select! {
            // If signals cannot be caught, the process ends without cleanup.
            Ok(code) = termination() => stopped_by.store(code, Ordering::Relaxed),
            () = too_late => is_late.store(true, Ordering::Relaxed),
        }
    };
    let run = sono_local::run(options, interrupted);
    let mut run = std::pin::pin!(run);
    let outcome = loop {
        // The run is polled by reference, and a status that is not shown is replaced by the next.
        tokio::select! {
            outcome = &mut run => break outcome,
            Ok(()) = received.changed() => {
                let status = received.borrow_and_update().clone();
                let time = now();
                screen.log(&progress.status(&status), time);
                screen.show(&status, time.duration_since(begun).unsigned_abs(), &|_| None);
            }
        }
    };
    if let Ok(finished) = &outcome {
        screen.log(&progress.status(&finished.status), now());
    }
    screen.end(None);
    if let Err(LocalError::Run(RunError::Stopped)) = &outcome {
        if let (true, Some(limit)) = (is_late.load(Ordering::Relaxed), limit) {
            let error = CliError::new(format!(
                "the run was not complete after {}: all plugin processes were stopped; no archive was written",
                elapsed(limit)
            ))
            .exit_with(if exit_code { exit::TIMED_OUT } else { exit::FAILURE });
            step_summary::of_error(&error, &[], LOCAL_NAMESPACE, printer);
            return Err(error);
        }
        printer.note("interrupted: all plugin processes were stopped; no archive was written");
        return Ok(stopped_by.load(Ordering::Relaxed));
    }
    let FinishedRun {
        archive,
        status,
        errors,
    } = outcome.map_err(|error| {
        let error = refused(&error);
        step_summary::of_error(&error, &[], LOCAL_NAMESPACE, printer);
        error
    })?;
    report(&archive, &names, printer)?;
    recording::record(&archive, recording, printer);
    step_summary::of_archive(&archive, printer);
    let verdict = counts::verdict(&status);
    let tone = match verdict.as_str() {
        "passed" => Tone::Good,
        "failed" => Tone::Bad,
        _ => Tone::Plain,
    };
    if errors > 0 {
        let number = counted(errors as u64, "error");
        printer.note(&format!(
            "{number} during the run: see {} in the archive",
            layout::RUN_LOG
        ));
    }
    let took = elapsed(now().duration_since(begun).unsigned_abs());
    printer.note(&text!["run ", tone.paint(verdict), format!(" in {took}")]);
    let path = archive.strip_prefix(".").unwrap_or(&archive);
    printer.note(&format!("next: sono results {}", path.display()));
    printer.path(path)?;
    Ok(if exit_code {
        judgement::of_run(&status)
    } else {
        exit::SUCCESS
    })
}

/// Flags that require a cluster.
const CLUSTER_ONLY: [&str; 52] = [
    "dry-run",
    "aggregator-image",
    "aggregator-memory",
    "aggregator-node-selector",
    "aggregator-permissions",
    "aggregator-toleration",
    "aggregator-workload",
    "all-nodes",
    "annotation",
    "canaries",
    "context",
    "dns-namespace",
    "dns-pod-labels",
    "e2e-docker-config-file",
    "e2e-focus",
    "e2e-parallel",
    "e2e-repo",
    "e2e-repo-config",
    "e2e-skip",
    "existing-service-account",
    "file",
    "force-image-pull-policy",
    "image-pull-policy",
    "image-pull-secrets",
    "kube-conformance-image",
    "kubeconfig",
    "kubernetes-version",
    "mode",
    "namespace",
    "namespace-psa-enforce-level",
    "network-policy",
    "plugin-account",
    "plugin-image",
    "plugin-service-account",
    "rbac",
    "redact-known",
    "registry",
    "require-redaction",
    "rerun-failed",
    "results-size-limit",
    "results-volume",
    "results-volume-claim",
    "results-volume-class",
    "security-context-mode",
    "service-account-name",
    "show-default-podspec",
    "skip-preflight",
    "sonobuoy-image",
    "ssh-key",
    "ssh-user",
    "systemd-logs-image",
    "worker-image",
];
/// All other flags of `run`.
#[cfg(test)]
const LOCAL_FLAGS: [&str; 17] = [
    "allow-http",
    "config",
    "exit-code",
    "history",
    "keep",
    "report",
    "local",
    "no-history",
    "plugin",
    "plugin-env",
    "rm",
    "sha256",
    "stop-on-failure",
    "timeout",
    "waivers",
    "wait",
    "wait-output",
];

/// Fails if a flag requires a cluster.
pub(super) fn check_flags(given: &GivenFlags) -> Result<(), CliError> {
    match given.first_of(&CLUSTER_ONLY) {
        Some(flag) => Err(
            CliError::new(format!("--{flag} requires a cluster and conflicts with --local"))
                .hint("omit the flag, or omit --local to use a cluster"),
        ),
        None => Ok(()),
    }
}

/// Loads the plugins. `host-check` runs as this program.
async fn definitions(plan: &RunPlan, printer: &Printer) -> Result<Vec<Definition>, CliError> {
    let program = std::env::current_exe()
        .map_err(|error| CliError::new("cannot find the path of this program").caused_by(&error))?;
    if plan.changes.changes_aggregator() {
        return Err(CliError::new(
            "--plugin-env sonobuoy.… changes the aggregator's container, which a local run does not have",
        ));
    }
    let names = plan.named(&[HOST_CHECK]);
    let mut definitions = plan.definitions(&names, printer).await?;
    if definitions.is_empty() {
        return Err(CliError::new("no plugins selected for a run without a cluster")
            .hint("remove SkipPlugins from the configuration"));
    }
    if definitions.iter().any(|definition| plan.is_suite(definition)) {
        return Err(of_the_cluster(&["plugin e2e requires a cluster".to_owned()]));
    }
    for definition in &mut definitions {
        let is_built_in = names.iter().any(|name| name == HOST_CHECK);
        if is_built_in && definition.name.as_str() == HOST_CHECK {
            *definition = sono_local::host_check(&program);
        }
    }
    Ok(definitions)
}

fn refused(error: &LocalError) -> CliError {
    match error {
        LocalError::Unsupported(problems) => of_the_cluster(problems),
        error => CliError::new("the local run failed").caused_by(error),
    }
}

fn of_the_cluster(problems: &[String]) -> CliError {
    CliError::new("plugins of this run require a cluster")
        .details(problems.iter().cloned())
        .hint("omit --local to run them in a cluster")
}

/// Prints the results of each plugin on standard error.
fn report(archive: &Path, names: &[PluginName], printer: &Printer) -> Result<(), CliError> {
    let unreadable = |error: &(dyn std::error::Error + 'static)| {
        CliError::new(format!("cannot read `{}`", archive.display())).caused_by(error)
    };
    let selected: Vec<&str> = names.iter().map(PluginName::as_str).collect();
    let bundle = Bundle::open(archive).map_err(|error| unreadable(&error))?;
    let found = trees::of_plugins(&bundle, &selected).map_err(|error| unreadable(&error))?;
    for files in selected.iter().filter_map(|name| found.get(*name)) {
        let item = files.tree().map_err(|error| unreadable(&error))?;
        printer.note(&checks::report(&item));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clap::CommandFactory as _;

    use super::*;
    use crate::args::Arguments;

    /// A new flag of `run` must be added to one of the lists.
    #[test]
    fn every_flag_of_run_is_in_one_list() {
        let program = Arguments::command();
        let run = program.find_subcommand("run").unwrap();
        let flags = run.get_arguments().filter(|flag| !flag.is_hide_set());
        let mut places: BTreeMap<&str, usize> = flags.filter_map(|flag| Some((flag.get_long()?, 0))).collect();
        for flag in CLUSTER_ONLY.into_iter().chain(LOCAL_FLAGS) {
            *places.entry(flag).or_insert(usize::MAX / 2) += 1;
        }
        let wrong: Vec<_> = places.into_iter().filter(|(_, places)| *places != 1).collect();
        assert_eq!(wrong, Vec::new());
    }
}
