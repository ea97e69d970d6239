//! Start-up: a run starts, or resumes where an earlier process left it.

mod files;
mod plan;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use sono_manifest::{Definition, NodeFacts};
use sono_run::{Effect, Event, LeftOutNodes, PluginPlan, Record, Run, RunPolicy, RunStart};
use sono_tls::Authority;
use sono_types::{Config, PluginName, RunStatus, SessionId, UploadLimits, constants, layout};

use super::run::Setup;
use crate::{
    backend::{Backend, Driver},
    clock::Clock,
    coordinator::names::{archive_path, check_id, has_nameless_journal, stable_name},
    durability::{
        checkpoint::CheckpointWriter,
        disk_full::DiskFull,
        journal::{Journal, Opened},
        ownership::{ARCHIVE_GONE, Acquired, Ownership},
        progress_file,
    },
    error::{JournalError, RunError},
    observe::{loopback::LoopbackView, run_log::RunLog},
};

/// Version of the journal that this program writes and reads.
const JOURNAL_VERSION: u32 = 1;

/// Time limit for closing a journal after a conflict.
const CLOSE: Duration = Duration::from_secs(2);

/// Interval between attempts to open a journal that another process holds.
const HELD_PAUSE: Duration = Duration::from_secs(1);

/// Time limit of the list of nodes when a run is resumed.
const NODES_WITHIN: Duration = Duration::from_secs(5);

/// The drivers of all plugins.
pub(crate) type Drivers = Arc<BTreeMap<PluginName, Box<dyn Driver>>>;

/// The input of the start-up.
#[derive(Clone)]
pub(crate) struct Start {
    pub(crate) config: Config,
    pub(crate) definitions: Vec<Definition>,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) root: PathBuf,
    pub(crate) clock: Clock,
    pub(crate) new_session: fn() -> SessionId,
    pub(crate) log: RunLog,
    pub(crate) reconcile: bool,
    pub(crate) view: LoopbackView,
    pub(crate) limits: UploadLimits,
    /// A resumed run waits while the disk is full.
    pub(crate) disk_full: DiskFull,
}

impl Start {
    pub(super) fn of(setup: &Setup, disk_full: &DiskFull) -> Self {
        Self {
            config: setup.config.clone(),
            definitions: setup.definitions.clone(),
            backend: Arc::clone(&setup.backend),
            root: setup.root.clone(),
            clock: Arc::clone(&setup.clock),
            new_session: setup.new_session,
            log: setup.log.clone(),
            reconcile: setup.reconcile,
            view: setup.view.clone(),
            limits: setup.limits.clone(),
            disk_full: disk_full.clone(),
        }
    }
}

/// A run that this process owns, with its next effects.
pub(crate) struct StartedRun {
    /// With the run's identity.
    pub(crate) config: Config,
    /// When the run started, before any resumption.
    pub(crate) start: Timestamp,
    /// The run's directory.
    pub(crate) directory: PathBuf,
    /// The directory for bodies that are being received.
    pub(crate) incoming: PathBuf,
    pub(crate) journal: Journal,
    /// The file with the latest progress of plugins.
    pub(crate) progress: PathBuf,
    pub(crate) authority: Authority,
    pub(crate) drivers: Drivers,
    pub(crate) run: Run,
    /// The first effects.
    pub(crate) effects: Vec<Effect>,
    /// Size of the existing results in bytes.
    pub(crate) present: u64,
    /// An earlier process started it.
    pub(crate) taken_up: bool,
    /// `None` if the run has no checkpoint.
    pub(crate) checkpoint_writer: Option<CheckpointWriter>,
}

/// How the start-up ended.
pub(crate) enum Startup {
    Started(Box<StartedRun>),
    /// An earlier process completed the run.
    Over {
        status: RunStatus,
        /// Drivers whose objects may still exist.
        left: Option<Drivers>,
        /// The reason for a missing archive.
        broken: Option<String>,
    },
}

/// Starts the run, or resumes it from its journal or its checkpoint.
///
/// # Cancel safety
///
/// May be dropped at any point: nothing is created in the cluster before the run's identity is in the journal, and the next process
/// finds the files.
pub(crate) async fn begin(start: Start) -> Result<Startup, RunError> {
    loop {
        if let Some(found) = try_start(start.clone()).await? {
            return Ok(found);
        }
        tracing::info!("another aggregator took over the run at the same time, checking again");
        tokio::time::sleep(HELD_PAUSE).await;
    }
}

/// One attempt; `None` if another process wrote the checkpoint first.
async fn try_start(start: Start) -> Result<Option<Startup>, RunError> {
    let mut attempt = Attempt::open(start).await?;
    if let Some(ownership) = &mut attempt.ownership {
        let now = (attempt.start.clock)();
        match ownership.acquire(&attempt.journal, &mut attempt.records, now).await? {
            Acquired::Owned | Acquired::NewRun => {}
            Acquired::Conflict => {
                attempt.journal.close(CLOSE).await;
                return Ok(None);
            }
            Acquired::Sealed { status, sessions } => {
                return Ok(Some(Startup::Over {
                    status,
                    left: Some(attempt.drivers(&sessions)),
                    broken: Some(ARCHIVE_GONE.to_owned()),
                }));
            }
        }
    }
    let earlier = attempt.identify()?;
    let files = Files::of(&attempt.start.root, &attempt.start.config.uuid);
    if let Some(run_start) = &earlier {
        let archive = layout::archive_name(run_start.start, &run_start.uuid);
        files::remove_unfinished(&attempt.start.root.join(archive), &attempt.progress, &files.directory).await?;
    }
    let sessions = earlier.iter().flat_map(|run_start| &run_start.plugins);
    let sessions = sessions.map(|planned| (planned.plugin.clone(), planned.session.clone()));
    let drivers = attempt.drivers(&sessions.collect());
    if let Some(status) = attempt.sealed_status() {
        return attempt.over(&files, status, drivers).map(Some);
    }
    attempt.prepare(&files, earlier.is_some()).await?;
    let Some(owned) = attempt.own(earlier, &drivers).await? else {
        attempt.journal.close(CLOSE).await;
        return Ok(None);
    };
    let beginning = attempt.resume(files, drivers, owned).await?;
    Ok(Some(Startup::Started(Box::new(beginning))))
}

/// One attempt to start a run, with its journal open.
struct Attempt {
    /// Its configuration has the run's identity after [`Attempt::identify`].
    start: Start,
    /// `None` if the run has no checkpoint.
    ownership: Option<Ownership>,
    journal: Journal,
    /// The records of the journal.
    records: Vec<Record>,
    progress: PathBuf,
}

/// Directories of the run.
struct Files {
    directory: PathBuf,
    incoming: PathBuf,
}

impl Files {
    fn of(root: &Path, uuid: &str) -> Self {
        Self {
            directory: root.join(uuid),
            incoming: root.join(format!(".incoming-{uuid}")),
        }
    }
}

/// A run that this process owns.
struct Owned {
    run_start: RunStart,
    authority: Authority,
    nodes: Vec<NodeFacts>,
    /// When this process acquired it.
    now: Timestamp,
}

impl Attempt {
    /// Reads the checkpoint and the journal.
    async fn open(mut start: Start) -> Result<Self, RunError> {
        let Start {
            config,
            backend,
            root,
            disk_full,
            ..
        } = &mut start;
        constants::ARCHIVE_VERSION.clone_into(&mut config.version);
        check_id(&config.uuid)?;
        files::prepare(root, disk_full).await?;
        let ownership = Ownership::load(backend.as_ref(), &config.uuid).await?;
        if config.uuid.is_empty()
            && let Some(identity) = backend.identity()
        {
            let continues = ownership.as_ref().is_some_and(Ownership::has_checkpoint);
            if !(continues && has_nameless_journal(root, &identity)) {
                config.uuid = identity;
            }
        }
        let path = root.join(stable_name("journal", &config.uuid));
        let progress = root.join(stable_name("progress", &config.uuid));
        let Opened { journal, records } = open(path, backend.plugins_survive_restart(), disk_full).await?;
        Ok(Self {
            start,
            ownership,
            journal,
            records,
            progress,
        })
    }

    /// Determines the run's identity. Returns the first record of an earlier process.
    fn identify(&mut self) -> Result<Option<RunStart>, RunError> {
        let config = &mut self.start.config;
        let earlier = match self.records.first() {
            None => None,
            Some(Record::Started(run_start)) if run_start.version == JOURNAL_VERSION => Some(run_start.clone()),
            Some(Record::Started(run_start)) => {
                return Err(RunError::Record(format!(
                    "the journal has the unsupported version {}; this aggregator supports version {JOURNAL_VERSION}",
                    run_start.version
                )));
            }
            Some(_) => {
                return Err(RunError::Record(
                    "the first record of the journal is not the run's identity".to_owned(),
                ));
            }
        };
        if let Some(run_start) = &earlier {
            config.uuid.clone_from(&run_start.uuid);
            check_id(&config.uuid)?;
            tracing::info!(
                uuid = run_start.uuid,
                records = self.records.len(),
                "resuming the run of an earlier process"
            );
        } else if config.uuid.is_empty() {
            config.uuid = uuid::Uuid::new_v4().to_string();
        }
        self.start.log.identify(&config.uuid);
        self.start.view.metrics().identify(&config.uuid);
        Ok(earlier)
    }

    /// The drivers of all plugins, with the sessions of those that an earlier process started.
    fn drivers(&self, sessions: &BTreeMap<PluginName, SessionId>) -> Drivers {
        let Start {
            config,
            definitions,
            backend,
            new_session,
            reconcile,
            ..
        } = &self.start;
        let session = |name: &PluginName| sessions.get(name).cloned().unwrap_or_else(new_session);
        plan::drivers(definitions.clone(), config, backend.as_ref(), session, *reconcile)
    }

    /// The final status, if an earlier process sealed the run.
    fn sealed_status(&self) -> Option<RunStatus> {
        self.records.iter().rev().find_map(|record| match record {
            Record::Sealed { status } => Some(status.clone()),
            _ => None,
        })
    }

    fn over(&self, files: &Files, status: RunStatus, drivers: Drivers) -> Result<Startup, RunError> {
        let archive = archive_path(&self.start.root, &status.tarball.name)?;
        // These files are packed, and may be removed already.
        fs_err::remove_dir_all(&files.directory).ok();
        fs_err::remove_dir_all(&files.incoming).ok();
        fs_err::remove_file(&self.progress).ok();
        self.start.view.seal(&archive, &status.tarball);
        Ok(Startup::Over {
            status,
            left: self.ownership.is_some().then_some(drivers),
            broken: None,
        })
    }

    /// Creates the run's directories and first files.
    async fn prepare(&self, files: &Files, taken_up: bool) -> Result<(), RunError> {
        let Start {
            config,
            root,
            log,
            view,
            disk_full,
            ..
        } = &self.start;
        if taken_up {
            // Workers send interrupted uploads again.
            fs_err::remove_dir_all(&files.incoming).ok();
        }
        files::prepare(&files.directory.join("meta"), disk_full).await?;
        files::prepare(&files.incoming, disk_full).await?;
        files::sync_names(root, &files.directory, disk_full).await?;
        let (path, text, log) = (files.directory.clone(), config.to_json(), log.clone());
        let first_files = move || {
            let attached = log.attach(&path.join(layout::RUN_LOG));
            attached.map_err(|source| RunError::Prepare {
                path: path.clone(),
                source,
            })?;
            sono_bundle::write_durably(&path.join(layout::CONFIG), text.as_bytes()).map_err(RunError::Write)
        };
        disk_full.retry("the takeover of the run", first_files).await?;
        if !config.require_redaction {
            view.collect_in(&files.directory);
        }
        Ok(())
    }

    /// Acquires a new run in checkpoint and journal; `None` if another process wrote the checkpoint first.
    async fn own(&mut self, earlier: Option<RunStart>, drivers: &Drivers) -> Result<Option<Owned>, RunError> {
        let backend = self.start.backend.as_ref();
        let now = (self.start.clock)();
        let labels = drivers
            .values()
            .flat_map(|driver| sono_manifest::node_labels(driver.definition()))
            .collect();
        if let Some(run_start) = earlier {
            let authority =
                Authority::from_pem(&run_start.ca_certificate, &run_start.ca_key).map_err(RunError::Certificates)?;
            let nodes = plan::nodes_now(backend, &labels).await;
            return Ok(Some(Owned {
                run_start,
                authority,
                nodes,
                now,
            }));
        }
        let nodes = backend
            .nodes(&labels)
            .await
            .map_err(|error| RunError::Nodes(error.to_string()))?;
        let (run_start, authority) = plan::identity(&self.start.config, drivers, nodes.as_deref(), now)?;
        // Recorded before any object is created, so that the next process recognizes the objects.
        let mut first = vec![Record::Started(run_start.clone())];
        if let Some(ownership) = &mut self.ownership {
            let Some(owned) = ownership.begin(&run_start).await? else {
                return Ok(None);
            };
            first.push(owned);
        }
        self.journal
            .commit_patiently(first)
            .await
            .map_err(|error| RunError::Record(error.to_string()))?;
        let nodes = nodes.unwrap_or_default();
        Ok(Some(Owned {
            run_start,
            authority,
            nodes,
            now,
        }))
    }

    /// The state machine: of a new run, or replayed from the records.
    async fn resume(self, files: Files, drivers: Drivers, owned: Owned) -> Result<StartedRun, RunError> {
        let Owned {
            run_start,
            authority,
            nodes,
            now,
        } = owned;
        let Start {
            config,
            view,
            limits,
            disk_full,
            ..
        } = self.start;
        let policy = RunPolicy {
            stop_on_failure: config.stop_on_failure,
            store_tries: config.upload_limits.max_store_tries,
            checkpointed: self.ownership.is_some(),
        };
        let left_out = drivers
            .iter()
            .map(|(name, driver)| (name.clone(), driver.left_out(&nodes)));
        let left_out: LeftOutNodes = left_out.collect();
        view.metrics().syncs_of(self.journal.syncs());
        let plans: Vec<PluginPlan> = run_start.plugins.iter().map(plan::plan).collect();
        for plan in plans
            .iter()
            .filter(|plan| plan.expected.is_empty() && !plan.discovers_targets)
        {
            tracing::warn!(plugin_name = %plan.plugin, "no node matches this plugin: it is not started");
        }
        let taken_up = !self.records.is_empty();
        let (mut run, effects, present) = if taken_up {
            files::restore(&files.directory, &files.incoming, &self.records, limits, &disk_full).await?;
            let records = with_placed(self.records, &files.directory, &plans, &self.journal);
            let mut run = Run::recover(plans, policy, &records);
            progress_file::read(&self.progress, &mut |key, update| run.restore_progress(key, update));
            let effects = run.resume(now);
            (run, effects, files::bytes_below(&files.directory.join("plugins")))
        } else {
            let mut run = Run::new(plans, policy);
            let effects = run.handle(now, Event::Start);
            (run, effects, 0)
        };
        let checkpoint_writer = self.ownership.and_then(|ownership| ownership.into_writer(&run));
        run.leave_out(left_out);
        Ok(StartedRun {
            config,
            start: run_start.start,
            directory: files.directory,
            incoming: files.incoming,
            journal: self.journal,
            progress: self.progress,
            authority,
            drivers,
            run,
            effects,
            present,
            taken_up,
            checkpoint_writer,
        })
    }
}

/// The records, with additional ones for committed results that the journal lacks.
fn with_placed(mut records: Vec<Record>, directory: &Path, plans: &[PluginPlan], journal: &Journal) -> Vec<Record> {
    let missed = files::placed(directory, plans, &records);
    if !missed.is_empty() {
        tracing::info!(results = missed.len(), "found results that are not in the journal");
        journal.append(missed.clone(), None);
        // Before the end of the collection: they arrived in time.
        let end = records.iter().position(|record| *record == Record::Finishing);
        let end = end.unwrap_or(records.len());
        records.splice(end..end, missed);
    }
    records
}

/// Opens the journal. A replacement pod may start before the previous one has ended, and then waits for it.
async fn open(path: PathBuf, waits: bool, disk_full: &DiskFull) -> Result<Opened, RunError> {
    let mut said = false;
    loop {
        let (path, own) = (path.clone(), disk_full.clone());
        let opened = disk_full.retry("opening the journal", move || Journal::open(&path, &own));
        match opened.await {
            Err(error @ JournalError::Held(_)) if waits => {
                if !said {
                    tracing::warn!(%error, "waiting for the other aggregator to end");
                }
                said = true;
                tokio::time::sleep(HELD_PAUSE).await;
            }
            opened => return opened.map_err(RunError::Journal),
        }
    }
}
