//! How a run begins, or is taken up where an earlier process left it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use sono_manifest::{Definition, DriverKind, NodeFacts, reconcile_results_dir};
use sono_run::{Begun, Effect, Event, LeftOutNodes, Plan, Planned, Policy, Record, Run, SmallBody};
use sono_tls::Authority;
use sono_types::{Config, PluginName, RunStatus, SessionId, UploadLimits, constants, layout};

use crate::{
    backend::{Driver, Site},
    clock::Clock,
    coordinator::names::{archive_path, check_id},
    durability::{
        checkpoint::Keeper,
        disk_full::Shortage,
        journal::{Journal, Opened},
        ownership::{ARCHIVE_GONE, Claim, Taken},
        progress_file,
    },
    error::{JournalError, RunError},
    ingest::{staging, staging::NotRestored},
    observe::{loopback::View, run_log::RunLog},
};

/// Version of the journal that this program writes and reads.
const JOURNAL_VERSION: u32 = 1;

/// How long a journal that is given up is waited for.
const CLOSE: Duration = Duration::from_secs(2);

/// Between two looks at a journal that another process holds.
const HELD_PAUSE: Duration = Duration::from_secs(1);

/// How long the nodes are waited for when a run is taken up.
const NODES_WITHIN: Duration = Duration::from_secs(5);

/// The drivers of all plugins.
pub(crate) type Drivers = Arc<BTreeMap<PluginName, Box<dyn Driver>>>;

/// What is needed to begin.
#[derive(Clone)]
pub(crate) struct Start {
    pub(crate) config: Config,
    pub(crate) definitions: Vec<Definition>,
    pub(crate) site: Arc<dyn Site>,
    pub(crate) root: PathBuf,
    pub(crate) clock: Clock,
    pub(crate) new_session: fn() -> SessionId,
    pub(crate) log: RunLog,
    pub(crate) reconcile: bool,
    pub(crate) view: View,
    pub(crate) limits: UploadLimits,
    /// Whoever takes up a run on a full volume waits.
    pub(crate) shortage: Shortage,
}

/// A run that goes on from here.
pub(crate) struct Beginning {
    /// With the run's identity.
    pub(crate) config: Config,
    /// When it first began.
    pub(crate) start: Timestamp,
    /// The run's directory.
    pub(crate) directory: PathBuf,
    /// Where bodies are received.
    pub(crate) incoming: PathBuf,
    pub(crate) journal: Journal,
    /// What plugins last said of their progress.
    pub(crate) progress: PathBuf,
    pub(crate) authority: Authority,
    pub(crate) drivers: Drivers,
    pub(crate) run: Run,
    /// What is to be done first.
    pub(crate) effects: Vec<Effect>,
    /// Bytes of the results that are there.
    pub(crate) present: u64,
    /// An earlier process began it.
    pub(crate) taken_up: bool,
    /// What keeps for another aggregator what must outlive this one's pod, where that is wanted.
    pub(crate) keeper: Option<Keeper>,
}

/// What was found.
pub(crate) enum Found {
    Beginning(Box<Beginning>),
    /// An earlier process brought it to its end.
    Over {
        status: RunStatus,
        /// Those whose objects it may have left.
        left: Option<Drivers>,
        /// Why there is no archive all the same.
        broken: Option<String>,
    },
}

/// Name of a file that outlives the run's process. Without an identity in the configuration there is one run a directory.
fn lasting_name(what: &str, uuid: &str) -> String {
    if uuid.is_empty() {
        format!(".sono-{what}")
    } else {
        format!(".sono-{what}-{uuid}")
    }
}

/// Whether the journal here is one of commit baf4e4a or earlier, whose name did not say of which run it is.
fn has_nameless_journal(root: &Path, identity: &str) -> bool {
    !root.join(lasting_name("journal", identity)).exists() && root.join(lasting_name("journal", "")).exists()
}

/// Opens the journal and begins, or goes on with what it holds, or with what the run keeps outside of its volume.
pub(crate) async fn begin(start: Start) -> Result<Found, RunError> {
    loop {
        if let Some(found) = once(start.clone()).await? {
            return Ok(found);
        }
        tracing::info!("another aggregator took the run over in the same moment, looking again");
        tokio::time::sleep(HELD_PAUSE).await;
    }
}

/// `None` when another process was quicker.
async fn once(start: Start) -> Result<Option<Found>, RunError> {
    let Start {
        mut config,
        definitions,
        site,
        root,
        clock,
        new_session,
        log,
        reconcile,
        view,
        limits,
        shortage,
    } = start;
    constants::ARCHIVE_VERSION.clone_into(&mut config.version);
    check_id(&config.uuid)?;
    prepare(&root, &shortage).await?;
    let mut claim = Claim::look(site.as_ref(), &config.uuid).await?;
    if config.uuid.is_empty()
        && let Some(identity) = site.identity()
    {
        let continues = claim.as_ref().is_some_and(Claim::has_checkpoint);
        if !(continues && has_nameless_journal(&root, &identity)) {
            config.uuid = identity;
        }
    }
    let path = root.join(lasting_name("journal", &config.uuid));
    let progress = root.join(lasting_name("progress", &config.uuid));
    let Opened { journal, mut records } = open(path, site.outlives_the_process(), &shortage).await?;
    if let Some(claim) = &mut claim {
        match claim.take_up(&journal, &mut records, clock()).await? {
            Taken::Done | Taken::Nothing => {}
            Taken::Missed => {
                journal.close(CLOSE).await;
                return Ok(None);
            }
            Taken::Sealed { status, sessions } => {
                let session = |name: &PluginName| sessions.get(name).cloned().unwrap_or_else(&new_session);
                let left = drivers(definitions, &config, site.as_ref(), session, reconcile);
                return Ok(Some(Found::Over {
                    status,
                    left: Some(left),
                    broken: Some(ARCHIVE_GONE.to_owned()),
                }));
            }
        }
    }
    let earlier = match records.first() {
        None => None,
        Some(Record::Begun(begun)) if begun.version == JOURNAL_VERSION => Some(begun.clone()),
        Some(Record::Begun(begun)) => {
            return Err(RunError::Record(format!(
                "it has version {}, this program knows {JOURNAL_VERSION}",
                begun.version
            )));
        }
        Some(_) => return Err(RunError::Record("it does not begin with the run's identity".to_owned())),
    };
    if let Some(begun) = &earlier {
        config.uuid.clone_from(&begun.uuid);
        check_id(&config.uuid)?;
        tracing::info!(
            uuid = begun.uuid,
            records = records.len(),
            "going on with the run that an earlier process began"
        );
    } else if config.uuid.is_empty() {
        config.uuid = uuid::Uuid::new_v4().to_string();
    }
    log.identify(&config.uuid);
    view.metrics().identify(&config.uuid);
    let directory = root.join(&config.uuid);
    let incoming = root.join(format!(".incoming-{}", config.uuid));
    if let Some(begun) = &earlier {
        remove_unfinished(
            &root.join(layout::archive_name(begun.start, &config.uuid)),
            &progress,
            &directory,
        )
        .await?;
    }
    let sessions: BTreeMap<PluginName, SessionId> = earlier
        .iter()
        .flat_map(|begun| &begun.plugins)
        .map(|planned| (planned.plugin.clone(), planned.session.clone()))
        .collect();
    let session = |name: &PluginName| sessions.get(name).cloned().unwrap_or_else(new_session);
    let drivers = drivers(definitions, &config, site.as_ref(), session, reconcile);
    let sealed = records.iter().rev().find_map(|record| match record {
        Record::Sealed { status } => Some(status),
        _ => None,
    });
    if let Some(status) = sealed {
        let archive = archive_path(&root, &status.tarball.name)?;
        // What is packed is not needed any more; it may be gone already.
        fs_err::remove_dir_all(&directory).ok();
        fs_err::remove_dir_all(&incoming).ok();
        fs_err::remove_file(&progress).ok();
        view.seal(&archive, &status.tarball);
        return Ok(Some(Found::Over {
            status: status.clone(),
            left: claim.map(|_| drivers),
            broken: None,
        }));
    }
    if earlier.is_some() {
        // Bodies that were on their way come again.
        fs_err::remove_dir_all(&incoming).ok();
    }
    prepare(&directory.join("meta"), &shortage).await?;
    prepare(&incoming, &shortage).await?;
    sync_names(&root, &directory, &shortage).await?;
    let (path, text) = (directory.clone(), config.to_json());
    let first_files = move || {
        let attached = log.attach(&path.join(layout::RUN_LOG));
        attached.map_err(|source| RunError::Prepare {
            path: path.clone(),
            source,
        })?;
        sono_bundle::write_durably(&path.join(layout::CONFIG), text.as_bytes()).map_err(RunError::Write)
    };
    shortage.outlast("taking up the run", first_files).await?;
    view.collect_in(&directory);

    let policy = Policy {
        stop_on_failure: config.stop_on_failure,
        store_tries: config.upload_limits.max_store_tries,
    };
    let now = clock();
    let labels = drivers
        .values()
        .flat_map(|driver| sono_manifest::node_labels(driver.definition()))
        .collect();
    let (begun, authority, nodes) = if let Some(begun) = earlier {
        let authority = Authority::from_pem(&begun.ca_certificate, &begun.ca_key).map_err(RunError::Certificates)?;
        (begun, authority, nodes_now(site.as_ref(), &labels).await)
    } else {
        let nodes = site.nodes(&labels).await.map_err(RunError::Nodes)?;
        let (begun, authority) = identity(&config, &drivers, nodes.as_deref(), now)?;
        // Nothing may be created before it is known who created it.
        let mut first = vec![Record::Begun(begun.clone())];
        if let Some(claim) = &mut claim {
            let Some(owned) = claim.begin(&begun).await? else {
                journal.close(CLOSE).await;
                return Ok(None);
            };
            first.push(owned);
        }
        journal.commit_patiently(first).await.map_err(RunError::Record)?;
        (begun, authority, nodes.unwrap_or_default())
    };
    let left_out = drivers
        .iter()
        .map(|(name, driver)| (name.clone(), driver.left_out(&nodes)));
    let left_out: LeftOutNodes = left_out.collect();
    view.metrics().syncs_of(journal.syncs());
    let plans: Vec<Plan> = begun.plugins.iter().map(plan).collect();
    for plan in plans.iter().filter(|plan| plan.expected.is_empty() && !plan.learns) {
        tracing::warn!(plugin_name = %plan.plugin, "no node matches this plugin: it is not started");
    }
    let taken_up = !records.is_empty();
    let (run, effects, present) = if records.is_empty() {
        let mut run = Run::new(plans, policy);
        let effects = run.handle(now, Event::Start);
        (run, effects, 0)
    } else {
        restore(&directory, &incoming, &records, limits, &shortage).await?;
        let mut records = records;
        let missed = placed(&directory, &plans, &records);
        if !missed.is_empty() {
            tracing::info!(
                results = missed.len(),
                "results were in place that the journal does not know"
            );
            journal.append(missed.clone(), None);
            // Before the end of collecting, which they were in time for.
            let end = records.iter().position(|record| *record == Record::Finishing);
            let end = end.unwrap_or(records.len());
            records.splice(end..end, missed);
        }
        let mut run = Run::recover(plans, policy, &records);
        progress_file::read(&progress, &mut |key, update| run.restore_progress(key, update));
        let effects = run.resume(now);
        (run, effects, bytes_below(&directory.join("plugins")))
    };
    let keeper = claim.and_then(|claim| claim.keeper(&run));
    let mut run = run;
    run.leave_out(left_out);
    Ok(Some(Found::Beginning(Box::new(Beginning {
        config,
        start: begun.start,
        directory,
        incoming,
        journal,
        progress,
        authority,
        drivers,
        run,
        effects,
        present,
        taken_up,
        keeper,
    }))))
}

/// What an earlier process was writing when it was killed: it takes room, and would be in the archive. Results appear as
/// a whole, so that there it is a plugin's own, whatever its name.
async fn remove_unfinished(archive: &Path, progress: &Path, directory: &Path) -> Result<(), RunError> {
    let (archive, progress, directory) = (archive.to_path_buf(), progress.to_path_buf(), directory.to_path_buf());
    let is_results =
        |path: &Path| path.components().count() == 3 && path.starts_with("plugins") && path.ends_with("results");
    tokio::task::spawn_blocking(move || {
        sono_bundle::remove_unfinished(&archive);
        sono_bundle::remove_unfinished(&progress);
        sono_bundle::remove_unfinished_below(&directory, &is_results);
    })
    .await
    .map_err(|error| RunError::Record(error.to_string()))
}

/// Opens the journal. A pod that takes another's place may start before that one has ended, and waits for it.
async fn open(path: PathBuf, waits: bool, shortage: &Shortage) -> Result<Opened, RunError> {
    let mut said = false;
    loop {
        let (path, own) = (path.clone(), shortage.clone());
        let opened = shortage.outlast("opening the journal", move || Journal::open(&path, &own));
        match opened.await {
            Err(error @ JournalError::Held(_)) if waits => {
                if !said {
                    tracing::warn!(%error, "waiting until it ends");
                }
                said = true;
                tokio::time::sleep(HELD_PAUSE).await;
            }
            opened => return opened.map_err(RunError::Journal),
        }
    }
}

/// Who a new run is and what it waits for.
fn identity(
    config: &Config,
    drivers: &Drivers,
    nodes: Option<&[NodeFacts]>,
    now: Timestamp,
) -> Result<(Begun, Authority), RunError> {
    let authority = Authority::new(now).map_err(RunError::Certificates)?;
    let timeout = (config.server.timeout_seconds > 0).then_some(config.server.timeout_seconds);
    let learns = |driver: &dyn Driver| nodes.is_none() && driver.definition().driver == DriverKind::DaemonSet;
    let known = nodes.unwrap_or_default();
    let targets = |driver: &dyn Driver| {
        let expected = driver.expected_results(known).into_iter();
        let mut targets: Vec<String> = expected.map(|key| key.target.to_string()).collect();
        if config.all_nodes {
            // Their failure says that the plugin does not tolerate the node.
            targets.extend(driver.left_out(known).into_values().flatten());
        }
        targets
    };
    let planned = |driver: &dyn Driver| Planned {
        plugin: driver.name().clone(),
        session: driver.session().clone(),
        order: driver.definition().order,
        timeout,
        targets: targets(driver),
        learns: learns(driver),
    };
    let begun = Begun {
        version: JOURNAL_VERSION,
        uuid: config.uuid.clone(),
        start: now,
        ca_certificate: authority.certificate_pem().to_owned(),
        ca_key: authority.key_pem().to_owned(),
        plugins: drivers.values().map(|driver| planned(driver.as_ref())).collect(),
    };
    Ok((begun, authority))
}

/// The nodes of a run that is taken up. They only say which nodes plugins leave out, so the run does not wait for them.
async fn nodes_now(site: &dyn Site, labels: &BTreeSet<String>) -> Vec<NodeFacts> {
    match tokio::time::timeout(NODES_WITHIN, site.nodes(labels)).await {
        Ok(Ok(nodes)) => nodes.unwrap_or_default(),
        Ok(Err(error)) => {
            tracing::debug!(error, "cannot see which nodes plugins leave out");
            Vec::new()
        }
        Err(_) => {
            tracing::debug!("cannot see which nodes plugins leave out: no answer");
            Vec::new()
        }
    }
}

async fn prepare(path: &Path, shortage: &Shortage) -> Result<(), RunError> {
    let path = path.to_path_buf();
    let make = move || sono_bundle::create_directories(&path).map_err(RunError::Write);
    shortage.outlast("taking up the run", make).await
}

/// Syncs the names of all directories on the way to results, which an earlier process may have created and not synced: results in
/// them are about to be acknowledged, or have been found in their place.
async fn sync_names(root: &Path, directory: &Path, shortage: &Shortage) -> Result<(), RunError> {
    let (root, directory) = (root.to_path_buf(), directory.to_path_buf());
    let sync = move || {
        for name in ways_to_results(&root, &directory) {
            sono_bundle::sync_directory(&name).map_err(RunError::Write)?;
        }
        Ok(())
    };
    shortage.outlast("taking up the run", sync).await
}

/// The directories whose names lead to results: `plugins`, a plugin's, and its results and errors.
fn ways_to_results(root: &Path, directory: &Path) -> Vec<PathBuf> {
    let mut ways = vec![root.to_path_buf(), directory.to_path_buf()];
    let mut level = vec![directory.join("plugins")];
    for _ in 0..3 {
        level.retain(|path| path.is_dir());
        ways.extend(level.iter().cloned());
        let below = |path: PathBuf| fs_err::read_dir(path).into_iter().flatten().flatten();
        level = level.into_iter().flat_map(below).map(|entry| entry.path()).collect();
    }
    ways.sort();
    ways
}

fn plan(planned: &Planned) -> Plan {
    Plan {
        plugin: planned.plugin.clone(),
        order: planned.order,
        expected: planned.expected(),
        timeout: planned.timeout.map(Duration::from_secs),
        learns: planned.learns,
    }
}

/// Results that appear at once and synced, so that one that is there is whole: the process ended between that and the
/// journal's record.
fn placed(directory: &Path, plans: &[Plan], records: &[Record]) -> Vec<Record> {
    let known: BTreeSet<_> = records
        .iter()
        .filter_map(|record| match record {
            Record::Stored { key } | Record::Kept { key, .. } => Some(key),
            _ => None,
        })
        .collect();
    let expected = plans.iter().flat_map(|plan| &plan.expected);
    let joined = records.iter().filter_map(|record| match record {
        Record::Expected { key } => Some(key),
        _ => None,
    });
    expected
        .chain(joined)
        .filter(|key| !known.contains(key))
        .filter(|key| fs_err::symlink_metadata(directory.join(layout::results_dir(key))).is_ok())
        .map(|key| Record::Stored { key: key.clone() })
        .collect()
}

/// Puts the results in place of which only the journal is known to be on disk. Where there is no room for them that is waited
/// for: nothing else may be collected before, because what the journal holds was acknowledged.
async fn restore(
    directory: &Path,
    incoming: &Path,
    records: &[Record],
    limits: UploadLimits,
    shortage: &Shortage,
) -> Result<(), RunError> {
    let kept: Vec<(PathBuf, SmallBody)> = records
        .iter()
        .filter_map(|record| match record {
            Record::Kept { key, body } => Some((directory.join(layout::results_dir(key)), body.clone())),
            _ => None,
        })
        .collect();
    let incoming = incoming.to_path_buf();
    // A new try goes on where there was no room.
    let next = AtomicUsize::new(0);
    let restore = move || {
        while let Some((destination, body)) = kept.get(next.load(Ordering::Relaxed)) {
            staging::restore(body, &incoming, destination, &limits)?;
            next.fetch_add(1, Ordering::Relaxed);
        }
        Ok::<_, NotRestored>(())
    };
    let restored = shortage.outlast("putting results in place that the journal holds", restore);
    restored.await.map_err(|error| RunError::Record(error.to_string()))
}

/// What cannot be read counts for nothing: it is only for the bound on the whole.
fn bytes_below(directory: &Path) -> u64 {
    let mut bytes = 0;
    let mut open = vec![directory.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs_err::read_dir(directory).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => open.push(entry.path()),
                Ok(metadata) => bytes += metadata.len(),
                Err(_) => {}
            }
        }
    }
    bytes
}

fn drivers(
    definitions: Vec<Definition>,
    config: &Config,
    site: &dyn Site,
    session: impl Fn(&PluginName) -> SessionId,
    reconcile: bool,
) -> Drivers {
    let drivers = definitions.into_iter().map(|mut definition| {
        if reconcile {
            reconcile_results_dir(&mut definition, &config.results_dir);
        }
        let session = session(&definition.name);
        (definition.name.clone(), site.driver(definition, session))
    });
    Arc::new(drivers.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S17: each directory whose entry leads to a result, and nothing below a result.
    #[test]
    fn ways_to_results_are_all_directories_above_them() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("run");
        sono_bundle::create_directories(&directory.join("plugins/p/results/n1/deep")).unwrap();
        sono_bundle::create_directories(&directory.join("plugins/p/errors/n2")).unwrap();
        sono_bundle::create_directories(&directory.join("meta")).unwrap();
        fs_err::write(directory.join("plugins/p/results/n1/file"), "").unwrap();
        let ways = ways_to_results(root.path(), &directory);
        let names = [
            "",
            "run",
            "run/plugins",
            "run/plugins/p",
            "run/plugins/p/errors",
            "run/plugins/p/results",
        ];
        assert_eq!(
            ways,
            names.map(|name| if name.is_empty() {
                root.path().to_path_buf()
            } else {
                root.path().join(name)
            })
        );
    }

    #[test]
    fn runs_of_one_volume_have_journals_of_their_own() {
        assert_eq!(lasting_name("journal", "a-b"), ".sono-journal-a-b");
        assert_eq!(lasting_name("journal", ""), ".sono-journal");
    }
}
