//! Start-up: a run starts, or resumes where an earlier process left it. [`sono_run::Startup`] decides the steps; this carries them
//! out.

mod files;
mod plan;

use std::{
    collections::{BTreeMap, VecDeque},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use sono_manifest::{Definition, NodeFacts};
use sono_run::{
    ARCHIVE_LOST, Effect, LeftOutNodes, OwnedRun, Planned, Run, RunPolicy, StartEffect, StartEvent, StartNotice,
    StartSettings,
};
use sono_tls::Authority;
use sono_types::{Config, PluginName, RunStatus, SessionId, UploadLimits, constants, error_chain, layout};

use super::run::Setup;
use crate::{
    backend::{Backend, BackendError, Driver},
    clock::Clock,
    coordinator::{
        finalize,
        names::{archive_path, has_nameless_journal, stable_name},
    },
    durability::{
        checkpoint::CheckpointWriter,
        disk_full::DiskFull,
        journal::{Journal, Opened},
        ownership::Ownership,
        progress_file,
    },
    error::{JournalError, RecordError, RunError},
    observe::{loopback::LoopbackView, run_log::RunLog},
};

/// Time limit for closing a journal after a conflict.
const CLOSE: Duration = Duration::from_secs(2);

/// Pause before another attempt to open a journal or to acquire the run.
const PAUSE: Duration = Duration::from_secs(1);

/// The drivers of all plugins.
pub(crate) type Drivers = Arc<BTreeMap<PluginName, Box<dyn Driver>>>;

/// The input of the start-up.
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
        let mut config = setup.config.clone();
        constants::ARCHIVE_VERSION.clone_into(&mut config.version);
        Self {
            config,
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
    pub(crate) is_resumed: bool,
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
    let ownership = Ownership::of(start.backend.as_ref());
    let mut startup = sono_run::Startup::new(settings(&start, ownership.is_some()));
    let mut shell = Shell::new(start, ownership);
    let mut effects = VecDeque::from(startup.begin());
    while let Some(effect) = effects.pop_front() {
        let outcome = shell.carry_out(effect, startup.records()).await?;
        match outcome {
            Outcome::Done => {}
            Outcome::Event(event) => effects = startup.handle((shell.start.clock)(), event).into(),
            Outcome::End(found) => return Ok(found),
        }
    }
    Err(defect("it stopped before its last effect"))
}

fn settings(start: &Start, checkpointed: bool) -> StartSettings {
    let Start { config, backend, .. } = start;
    StartSettings {
        uuid: config.uuid.clone(),
        backend_identity: backend.identity(),
        new_uuid: uuid::Uuid::new_v4().to_string(),
        holder: uuid::Uuid::new_v4().to_string(),
        waits_for_journal: backend.plugins_survive_restart(),
        policy: RunPolicy {
            stop_on_failure: config.stop_on_failure,
            store_tries: config.upload_limits.max_store_tries,
            checkpointed,
        },
    }
}

fn defect(reason: &str) -> RunError {
    RunError::Task {
        task: "the start-up",
        reason: reason.to_owned(),
    }
}

/// The outcome of an effect.
enum Outcome {
    /// The next effect follows.
    Done,
    Event(StartEvent<RunError>),
    End(Startup),
}

/// Everything that the effects of a start-up need, and what they made.
struct Shell {
    /// Its configuration has the run's identity after [`StartEffect::Identify`].
    start: Start,
    /// `None` if the run has no checkpoint; taken by the run that starts.
    ownership: Option<Ownership>,
    /// Open from [`StartEffect::OpenJournal`] on.
    journal: Option<Journal>,
    progress: PathBuf,
    drivers: Drivers,
    /// `None` if they may not be listed.
    nodes: Option<Vec<NodeFacts>>,
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

impl Shell {
    fn new(start: Start, ownership: Option<Ownership>) -> Self {
        Self {
            start,
            ownership,
            journal: None,
            progress: PathBuf::new(),
            drivers: Drivers::default(),
            nodes: None,
        }
    }

    fn files(&self) -> Files {
        Files::of(&self.start.root, &self.start.config.uuid)
    }

    fn journal(&self) -> Result<&Journal, RunError> {
        self.journal.as_ref().ok_or_else(|| defect("the journal is not open"))
    }

    /// Carries out one effect.
    async fn carry_out(
        &mut self,
        effect: StartEffect<RunError>,
        records: &[sono_run::Record],
    ) -> Result<Outcome, RunError> {
        match effect {
            StartEffect::ReadCheckpoint => return self.read_checkpoint().await.map(Outcome::Event),
            StartEffect::OpenJournal { uuid } => return self.open_journal(&uuid).await.map(Outcome::Event),
            StartEffect::CloseJournal => {
                if let Some(journal) = self.journal.take() {
                    journal.close(CLOSE).await;
                }
            }
            StartEffect::Pause => tokio::time::sleep(PAUSE).await,
            StartEffect::Log(notice) => log(notice),
            StartEffect::Record(records) => {
                let written = self.journal()?.append_and_sync(records).await;
                written.map_err(RecordError::from)?;
            }
            StartEffect::WriteCheckpoint(checkpoint) => {
                let ownership = self.ownership.as_mut();
                let ownership = ownership.ok_or_else(|| defect("the run has no checkpoint store"))?;
                if !ownership.write(&checkpoint).await? {
                    return Ok(Outcome::Event(StartEvent::Conflict));
                }
            }
            StartEffect::Identify { uuid, sessions } => self.identify(uuid, &sessions),
            StartEffect::RemoveUnfinished { start } => {
                let Start { config, root, .. } = &self.start;
                let archive = root.join(layout::archive_name(start, &config.uuid));
                files::remove_unfinished(&archive, &self.progress, &self.files().directory).await?;
            }
            StartEffect::Prepare => self.prepare().await?,
            StartEffect::ListNodes { within } => return Ok(Outcome::Event(self.list_nodes(within).await)),
            StartEffect::Plan { start } => {
                let run_start = plan::identity(&self.start.config, &self.drivers, self.nodes.as_deref(), start)?;
                return Ok(Outcome::Event(StartEvent::Planned(run_start)));
            }
            StartEffect::Restore => {
                let (Files { directory, incoming }, limits) = (self.files(), self.start.limits.clone());
                files::restore(&directory, &incoming, records, limits, &self.start.disk_full).await?;
                let missed = files::placed(&directory, records);
                if !missed.is_empty() {
                    tracing::info!(results = missed.len(), "found results that are not in the journal");
                }
                return Ok(Outcome::Event(StartEvent::Restored(missed)));
            }
            StartEffect::Start(owned) => return self.started(*owned).map(Outcome::End),
            StartEffect::Over {
                status,
                is_archive_lost,
            } => return self.over(*status, is_archive_lost).map(Outcome::End),
            StartEffect::Fail(error) => return Err(error),
        }
        Ok(Outcome::Done)
    }

    async fn read_checkpoint(&mut self) -> Result<StartEvent<RunError>, RunError> {
        let checkpoint = match &mut self.ownership {
            Some(ownership) => ownership.read().await?,
            None => None,
        };
        let identity = self.start.backend.identity();
        Ok(StartEvent::CheckpointRead {
            checkpoint,
            has_nameless_journal: identity.is_some_and(|identity| has_nameless_journal(&self.start.root, &identity)),
        })
    }

    async fn open_journal(&mut self, uuid: &str) -> Result<StartEvent<RunError>, RunError> {
        let Start { root, disk_full, .. } = &self.start;
        files::prepare(root, disk_full).await?;
        let path = root.join(stable_name("journal", uuid));
        self.progress = root.join(stable_name("progress", uuid));
        let own = disk_full.clone();
        let open = move || Journal::open(&path, &own);
        match disk_full.retry("opening the journal", open).await {
            Ok(Opened { journal, records }) => {
                self.journal = Some(journal);
                Ok(StartEvent::JournalOpened(records))
            }
            Err(error @ JournalError::Held(_)) => Ok(StartEvent::JournalHeld(RunError::Journal(error))),
            Err(error) => Err(RunError::Journal(error)),
        }
    }

    /// The identity in the configuration, the log and the metrics, and the drivers of all plugins, with the sessions of those that an
    /// earlier process planned.
    fn identify(&mut self, uuid: String, sessions: &BTreeMap<PluginName, SessionId>) {
        self.start.config.uuid = uuid;
        let Start {
            config,
            definitions,
            backend,
            new_session,
            reconcile,
            log,
            view,
            ..
        } = &self.start;
        log.identify(&config.uuid);
        view.metrics().identify(&config.uuid);
        let session = |name: &PluginName| sessions.get(name).cloned().unwrap_or_else(new_session);
        self.drivers = plan::drivers(definitions.clone(), config, backend.as_ref(), session, *reconcile);
    }

    /// Creates the run's directories and first files.
    async fn prepare(&self) -> Result<(), RunError> {
        let Start {
            config,
            root,
            log,
            view,
            disk_full,
            ..
        } = &self.start;
        let files = self.files();
        // Workers send interrupted uploads again.
        fs_err::remove_dir_all(&files.incoming).ok();
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
        disk_full.retry("the run's directory", first_files).await?;
        if !config.require_redaction {
            view.collect_in(&files.directory);
        }
        Ok(())
    }

    async fn list_nodes(&mut self, within: Option<Duration>) -> StartEvent<RunError> {
        let labels = self.drivers.values();
        let labels = labels.flat_map(|driver| sono_manifest::node_labels(driver.definition()));
        let labels = labels.collect();
        let nodes = self.start.backend.nodes(&labels);
        let listed = match within {
            None => nodes.await,
            Some(limit) => tokio::time::timeout(limit, nodes)
                .await
                .unwrap_or_else(|_| Err(BackendError::new(format!("no response within {limit:?}")))),
        };
        match listed {
            Ok(nodes) => {
                self.nodes = nodes;
                StartEvent::NodesListed
            }
            Err(error) => {
                tracing::debug!(error = error_chain(&error), "cannot list the nodes");
                StartEvent::NodesFailed(RunError::Nodes(error))
            }
        }
    }

    fn started(&mut self, owned: OwnedRun) -> Result<Startup, RunError> {
        let OwnedRun {
            run_start,
            mut run,
            effects,
            checkpoint,
            is_resumed,
        } = owned;
        let authority =
            Authority::from_pem(&run_start.ca_certificate, &run_start.ca_key).map_err(RunError::Certificates)?;
        let journal = self.journal.take().ok_or_else(|| defect("the journal is not open"))?;
        let Files { directory, incoming } = self.files();
        let is_empty = |planned: &&Planned| planned.expected().is_empty() && !planned.discovers_targets;
        for planned in run_start.plugins.iter().filter(is_empty) {
            tracing::warn!(plugin_name = %planned.plugin, "no node matches this plugin: it is not started");
        }
        let mut present = 0;
        if is_resumed {
            progress_file::read(&self.progress, &mut |key, update| run.restore_progress(key, update));
            present = files::bytes_below(&directory.join("plugins"));
        }
        let nodes = self.nodes.take().unwrap_or_default();
        let left_out = self.drivers.iter();
        let left_out = left_out.map(|(name, driver)| (name.clone(), driver.left_out(&nodes)));
        run.leave_out(left_out.collect::<LeftOutNodes>());
        self.start.view.metrics().syncs_of(journal.syncs());
        let ownership = self.ownership.take().zip(checkpoint);
        let checkpoint_writer = ownership.and_then(|(ownership, checkpoint)| ownership.into_writer(checkpoint));
        Ok(Startup::Started(Box::new(StartedRun {
            config: self.start.config.clone(),
            start: run_start.start,
            directory,
            incoming,
            journal,
            progress: self.progress.clone(),
            authority,
            drivers: Arc::clone(&self.drivers),
            run,
            effects,
            present,
            is_resumed,
            checkpoint_writer,
        })))
    }

    fn over(&self, status: RunStatus, is_archive_lost: bool) -> Result<Startup, RunError> {
        if !is_archive_lost {
            let Files { directory, incoming } = self.files();
            let archive = archive_path(&self.start.root, &status.tarball.name)?;
            // These files are packed, and may be removed already.
            finalize::remove_marker(&directory);
            fs_err::remove_dir_all(directory).ok();
            fs_err::remove_dir_all(incoming).ok();
            fs_err::remove_file(&self.progress).ok();
            self.start.view.seal(&archive, &status.tarball);
        }
        Ok(Startup::Over {
            status,
            left: self.ownership.is_some().then(|| Arc::clone(&self.drivers)),
            broken: is_archive_lost.then(|| ARCHIVE_LOST.to_owned()),
        })
    }
}

fn log(notice: StartNotice<RunError>) {
    match notice {
        StartNotice::JournalHeld(error) => {
            tracing::warn!(reason = error_chain(&error), "waiting for the other aggregator to end");
        }
        StartNotice::Conflict => {
            tracing::info!("another aggregator took over the run at the same time, checking again");
        }
        StartNotice::TakenOver { epoch } => tracing::warn!(
            epoch,
            "the results of the previous aggregator are lost, collecting them again"
        ),
        StartNotice::Resumed { records } => tracing::info!(records, "resuming the run of an earlier process"),
    }
}
