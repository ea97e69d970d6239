//! The end of a run, after its plugins: queries, clean-up, post-processing, archive.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::future::join_all;
use serde_json::json;
use sono_bundle::{DirectoryFiles, SealError, StoreError};
use sono_redact::Redactor;
use sono_run::Event;
use sono_types::{Config, LeftOut, PluginName, ResultKey, TarInfo, error_chain, layout};
use tokio::task::{JoinError, JoinSet};

use crate::{
    backend::{Backend, BackendError, Driver},
    clock::Clock,
    durability::disk_full::DiskFull,
    handle::CoordinatorHandle,
    observe::run_log::RunLog,
};

mod causes;
mod item_trees;
mod redaction;

pub(crate) use causes::remove_marker;
pub(crate) use item_trees::stopped_in_order;

use self::redaction::Redaction;

/// Time limit for the removal of one plugin's objects: results are waiting to be packed.
const CLEAN_UP_LIMIT: Duration = Duration::from_secs(30);

/// The input of the last phase of a run.
pub(crate) struct Finish {
    pub(crate) directory: PathBuf,
    /// Next to the archive's content, and removed after the run.
    pub(crate) incoming: PathBuf,
    pub(crate) archive: PathBuf,
    pub(crate) stored: Vec<ResultKey>,
    pub(crate) expected: Vec<ResultKey>,
    /// The results in `expected` that were discovered.
    pub(crate) discovered: Vec<ResultKey>,
    /// Nodes that plugins left out.
    pub(crate) left_out: Vec<LeftOut>,
    pub(crate) drivers: Arc<BTreeMap<PluginName, Box<dyn Driver>>>,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) log: RunLog,
    pub(crate) coordinator: CoordinatorHandle,
    /// Read-locked by each result that is being committed.
    pub(crate) commits_in_progress: Arc<tokio::sync::RwLock<()>>,
    /// Their objects are removed before the archive is made; otherwise workers keep results until it is.
    pub(crate) cleans_up_before_packing: bool,
    pub(crate) disk_full: DiskFull,
    /// Plugins whose results ended an earlier process while it read them.
    pub(crate) unprocessed: BTreeSet<PluginName>,
    /// Tasks that write error files.
    pub(crate) errors: JoinSet<()>,
}

/// The archive and the number of problems, or why it could not be written.
pub(crate) type Finalized = Result<(TarInfo, usize), NotPacked>;

/// Why the archive could not be packed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotPacked {
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("the task that packs the archive ended unexpectedly, which is a bug in sono")]
    Task(#[from] JoinError),
    /// The run requires a proof of its redaction, which the report does not have.
    #[error("the archive is withheld: {0}")]
    Withheld(String),
}

/// Why the files that describe the run are not complete.
#[derive(Debug, thiserror::Error)]
enum DescribeError {
    #[error(transparent)]
    Write(#[from] StoreError),
    #[error("cannot write the cluster's health as JSON")]
    Health(#[from] serde_json::Error),
}

pub(crate) async fn finish(mut finish: Finish) -> Finalized {
    let mut problems = 0;
    let mut say = |what: &str, problem: String| {
        problems += 1;
        tracing::error!(problem, "{what}");
    };
    while let Some(written) = finish.errors.join_next().await {
        if let Err(error) = written {
            say("cannot record an error", error.to_string());
        }
    }
    drop(finish.commits_in_progress.write().await);
    for key in &finish.stored {
        let place = finish.directory.join(layout::results_dir(key));
        if !place.exists() {
            say("a result is missing", format!("the files of result {key} are missing"));
            continue;
        }
        // A good result that followed an error replaces it.
        let errors = finish.directory.join(layout::errors_dir(key));
        if errors.exists()
            && let Err(error) = fs_err::remove_dir_all(&errors)
        {
            say("cannot remove a superseded error", error.to_string());
        }
    }
    let started = (finish.clock)();
    let backend = finish.backend.as_ref();
    // One of an earlier process describes files that are written again.
    fs_err::remove_file(finish.directory.join(layout::REDACTIONS)).ok();
    let redactor = Arc::new(backend.redactor().await);
    for problem in query(
        backend,
        &finish.directory,
        &finish.incoming,
        (&finish.disk_full, &redactor),
    )
    .await
    {
        say("a query failed", problem);
    }
    tracing::info!(took = %(finish.clock)().duration_since(started), "queries are done");
    let (cleaned, clean_up_problems) = if finish.cleans_up_before_packing {
        clean_up(&finish.drivers).await
    } else {
        (BTreeSet::new(), Vec::new())
    };
    for problem in clean_up_problems {
        say("cannot clean up", problem);
    }
    let redaction = Redaction::new(redactor);
    for problem in redaction.results(&finish).await {
        say("cannot redact results", problem);
    }
    let (processed, tree_problems) = item_trees::make(&finish).await;
    for problem in tree_problems {
        say("cannot process results", problem);
    }
    // Only the end of the run closes the requests, and it reads all of them first.
    finish.coordinator.send(Event::Summarized(processed)).await.ok();
    if let Err(problem) = causes::write(&finish).await {
        say("cannot explain failures", error_chain(&problem));
    }
    if let Err(problem) = describe(&finish, &cleaned, &redaction).await {
        say("cannot write the run's metadata", error_chain(&problem));
    }
    tracing::info!("Log lines after this point will not appear in the downloaded tarball.");
    finish.log.detach();
    for problem in redaction.rest(&finish).await {
        say("cannot redact the run's files", problem);
    }
    match redaction.write(&finish).await {
        Ok(report) => {
            if let Some(reason) = redaction::withheld(&report).filter(|_| finish.config.require_redaction) {
                return Err(NotPacked::Withheld(reason));
            }
        }
        Err(error) if finish.config.require_redaction => return Err(NotPacked::Withheld(error_chain(&error))),
        Err(error) => say("cannot write the report of redactions", error_chain(&error)),
    }
    let (directory, archive) = (finish.directory.clone(), finish.archive.clone());
    let seal = move || sono_bundle::seal(&directory, &archive);
    let sealed = finish.disk_full.retry("packing the archive", seal).await;
    let sealed = sealed?;
    causes::remove_marker(&finish.directory);
    for problem in incomplete(&sealed.packed) {
        say("packing", problem);
    }
    let name = finish
        .archive
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    tracing::info!(size = sealed.size, "Results available at {}", finish.archive.display());
    let tarball = TarInfo {
        name,
        created: (finish.clock)(),
        sha256: sealed.sha256,
        size: sealed.size,
    };
    Ok((tarball, problems))
}

/// Attempts of all queries while the disk is full.
const MAX_QUERY_ATTEMPTS: usize = 3;
/// Free space to wait for before another attempt: less is used up at once.
const PROBE_BYTES: usize = 1 << 20;

/// Repeats the queries once the disk has free space, a limited number of times: the responses themselves may fill the disk.
async fn query(
    backend: &dyn Backend,
    directory: &Path,
    incoming: &Path,
    (disk_full, redactor): (&DiskFull, &Arc<Redactor>),
) -> Vec<String> {
    let mut tries = 0;
    loop {
        tries += 1;
        let problems = backend.query(directory, redactor).await;
        let full = problems.iter().any(|problem| reports_disk_full(problem));
        if !full || tries == MAX_QUERY_ATTEMPTS {
            return problems;
        }
        let probe = incoming.join("probe");
        let probe_space = move || {
            let written = fs_err::write(&probe, vec![0; PROBE_BYTES]);
            // The probe is removed in either case.
            fs_err::remove_file(&probe).ok();
            written
        };
        if let Err(error) = disk_full.retry("storing the results of queries", probe_space).await {
            tracing::warn!(error = error_chain(&error), "cannot check for free disk space");
            return problems;
        }
    }
}

/// Queries report failures as sentences; after a full disk these contain the system's own words for it.
fn reports_disk_full(problem: &str) -> bool {
    const DISK_FULL: [&str; 2] = ["No space left on device", "Disk quota exceeded"];
    DISK_FULL.iter().any(|words| problem.contains(words))
}

/// Removes the objects of all plugins concurrently, except for plugins with `skip-cleanup`. Returns the plugins whose objects were
/// removed, and the problems.
pub(crate) async fn clean_up(drivers: &BTreeMap<PluginName, Box<dyn Driver>>) -> (BTreeSet<PluginName>, Vec<String>) {
    let wanted = drivers.iter().filter(|(_, driver)| !driver.skip_cleanup());
    let cleaned = join_all(wanted.map(|(name, driver)| async move {
        let outcome = tokio::time::timeout(CLEAN_UP_LIMIT, driver.cleanup()).await;
        let late = || {
            let seconds = CLEAN_UP_LIMIT.as_secs();
            Err(BackendError::new(format!(
                "plugin {name} was not removed within {seconds} s"
            )))
        };
        (name.clone(), outcome.unwrap_or_else(|_| late()))
    }))
    .await;
    let mut gone = BTreeSet::new();
    let mut problems = Vec::new();
    for (name, outcome) in cleaned {
        match outcome {
            Ok(()) => {
                gone.insert(name);
            }
            Err(problem) => problems.push(error_chain(&problem)),
        }
    }
    (gone, problems)
}

/// Files of the run that the archive lacks or has in another state. The aggregator wrote all of them, so each is a defect.
fn incomplete(packed: &sono_bundle::Packed) -> Vec<String> {
    let skipped = packed.skipped.iter();
    let changed = packed.changed.iter();
    skipped
        .map(|(name, reason)| format!("`{name}` is not in the archive: {reason}"))
        .chain(changed.map(|name| format!("`{name}` changed while it was packed")))
        .collect()
}

/// Writes `definition.json` of each plugin, `meta/info.json` and `meta/clusterhealth.json`.
async fn describe(finish: &Finish, cleaned: &BTreeSet<PluginName>, redaction: &Redaction) -> Result<(), DescribeError> {
    let write = async |name: &str, value: &serde_json::Value| {
        let (path, text) = (finish.directory.join(name), value.to_string());
        let write = move || sono_bundle::write_durably(&path, text.as_bytes());
        finish.disk_full.retry("storing the run's metadata", write).await
    };
    for (name, driver) in finish.drivers.iter() {
        let annotations = (!finish.config.custom_annotations.is_empty()).then_some(&finish.config.custom_annotations);
        let mut definition = json!({
            "Definition": driver.definition().to_json(),
            "SessionID": driver.session(),
            "Namespace": finish.config.namespace,
            "SonobuoyImage": finish.config.worker_image,
            "CleanedUp": cleaned.contains(name),
            "ImagePullPolicy": finish.config.image_pull_policy,
            "ImagePullSecrets": finish.config.image_pull_secrets,
            "CustomAnnotations": annotations,
        });
        let path = layout::definition_file(name);
        redaction.definition(&path, &mut definition);
        write(&path, &definition).await?;
    }
    let names: Vec<&PluginName> = finish.drivers.keys().collect();
    let mut info = if names.is_empty() {
        json!({})
    } else {
        json!({ "plugins": names })
    };
    if !finish.left_out.is_empty() {
        info["left-out"] = json!(finish.left_out);
    }
    write(layout::INFO, &info).await?;
    if !finish.discovered.is_empty() {
        let mut discovered: BTreeMap<&PluginName, Vec<String>> = BTreeMap::new();
        for key in &finish.discovered {
            discovered.entry(&key.plugin).or_default().push(key.target.to_string());
        }
        write(layout::JOINED, &json!(discovered)).await?;
    }
    let health = health(&finish.directory)?;
    Ok(write(layout::CLUSTER_HEALTH, &health).await?)
}

fn health(directory: &Path) -> Result<serde_json::Value, serde_json::Error> {
    let health = sono_results::cluster_health(&DirectoryFiles::new(directory.to_path_buf()));
    serde_json::to_value(health)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::future::BoxFuture;
    use sono_manifest::{Definition, NodeFacts};
    use sono_types::{RunStatus, SessionId};

    use super::*;

    #[test]
    fn files_missing_from_the_archive_are_problems() {
        let packed = sono_bundle::Packed {
            skipped: vec![("plugins/a/results/b".to_owned(), "Input/output error".to_owned())],
            changed: vec!["run.log".to_owned()],
            ..sono_bundle::Packed::default()
        };
        assert_eq!(
            incomplete(&packed),
            [
                "`plugins/a/results/b` is not in the archive: Input/output error",
                "`run.log` changed while it was packed",
            ]
        );
        assert_eq!(incomplete(&sono_bundle::Packed::default()), Vec::<String>::new());
    }
    use crate::durability::disk_full::IsDiskFull as _;

    /// Returns the given problems per call, then none.
    struct Asked(Mutex<Vec<Vec<String>>>);

    impl Backend for Asked {
        fn nodes<'a>(&'a self, _: &'a BTreeSet<String>) -> BoxFuture<'a, Result<Option<Vec<NodeFacts>>, BackendError>> {
            Box::pin(async { Ok(None) })
        }

        fn driver(&self, _: Definition, _: SessionId) -> Box<dyn Driver> {
            unreachable!("nothing is started here")
        }

        fn publish<'a>(&'a self, _: &'a RunStatus) -> BoxFuture<'a, Result<(), BackendError>> {
            Box::pin(async { Ok(()) })
        }

        fn query<'a>(&'a self, _: &'a Path, _: &'a Arc<Redactor>) -> BoxFuture<'a, Vec<String>> {
            let answer = self.0.lock().unwrap().pop();
            Box::pin(async { answer.unwrap_or_default() })
        }
    }

    /// The problems, and the number of prepared answers that were not used.
    async fn queried(answers: &[&str]) -> (Vec<String>, usize) {
        let folder = tempfile::tempdir().unwrap();
        let answers = answers.iter().rev().map(|answer| vec![(*answer).to_owned()]);
        let backend = Asked(Mutex::new(answers.collect()));
        let problems = query(
            &backend,
            folder.path(),
            folder.path(),
            (&DiskFull::default(), &Arc::default()),
        )
        .await;
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
        let left = backend.0.lock().unwrap().len();
        (problems, left)
    }

    /// Queries that found the disk full are repeated a few times; any other problem is one line.
    #[tokio::test]
    async fn queries_on_full_volume_are_repeated() {
        let full = "writing pods: No space left on device (os error 28)".to_owned();
        assert_eq!(queried(&[&full]).await, (Vec::new(), 0));
        assert_eq!(queried(&["pods: forbidden", &full]).await.1, 1);
        assert_eq!(queried(&[&full, &full, &full, &full]).await, (vec![full.clone()], 1));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn disk_full_texts_of_the_system_are_recognized() {
        for (code, full) in [(28, true), (122, true), (5, false)] {
            let error = std::io::Error::from_raw_os_error(code);
            assert_eq!((reports_disk_full(&error.to_string()), error.is_full()), (full, full));
        }
    }
}
