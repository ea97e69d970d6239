//! The coordinator: the one task that owns the [`Run`]. It waits for a [`Wake`], gives it to the machine as an event, and
//! carries out the effects, until the machine says that the run is over.

mod effects;

use std::{
    future::Future,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, OnceLock, atomic::AtomicBool},
    time::Duration,
};

use jiff::Timestamp;
use sono_run::{Effect, Event, Record, Run};
use sono_tls::{Authority, Identity};
use sono_types::{Config, RunStatus, error_chain, layout, status::plugin_status};
use tokio::{
    sync::{RwLock, mpsc},
    task::JoinSet,
};

use self::effects::clean_up_after;
use super::{
    finalize,
    launcher::Launcher,
    requests::{answer, write},
    run::{FinishedRun, SHUTDOWN_LIMIT, Setup},
    server::Server,
    startup::{self, StartedRun, Startup},
    tasks::Tasks,
    wake::{Sources, Wake},
};
use crate::{
    backend::{Addresses, Backend},
    clock::Clock,
    durability::{
        checkpoint::{CheckpointWriter, OwnershipLost},
        disk_full::DiskFull,
        journal::Journal,
        progress_file::ProgressFile,
    },
    error::RunError,
    handle::{CoordinatorHandle, Request},
    ingest::{
        routes::{Interface, Updates},
        upload::Uploads,
    },
    observe::{
        loopback::LoopbackView,
        run_events::RunEvents,
        run_log::RunLog,
        status_snapshots::{Publisher, Snapshots},
    },
};

/// Starts or resumes the run, and returns at its end.
///
/// # Cancel safety
///
/// Dropping the future aborts monitors, server and packing. Everything that was acknowledged is in the journal, so the next process
/// resumes the run.
pub(super) async fn coordinate(
    setup: Setup,
    publisher: &Publisher,
    journals: &OnceLock<Journal>,
    mut shutdown: Pin<&mut impl Future<Output = ()>>,
) -> Result<FinishedRun, RunError> {
    let disk_full = {
        // A task that waits for free space must not prevent the end of the event recorder.
        let (events, clock) = (publisher.events.downgrade(), Arc::clone(&setup.clock));
        DiskFull::new(move |why| {
            if let Some(events) = events.upgrade() {
                events.send(RunEvents::disk_full(&clock().to_string(), why)).ok();
            }
        })
    };
    let begin = startup::begin(startup::Start::of(&setup, &disk_full));
    let found = tokio::select! {
        found = begin => found?,
        () = &mut shutdown => return Err(RunError::Stopped),
    };
    let beginning = match found {
        Startup::Started(beginning) => *beginning,
        Startup::Over { status, left, broken } => {
            if let Some(drivers) = left {
                clean_up_after(&drivers).await;
            }
            if let Some(reason) = broken {
                tracing::error!(reason, "the run has no archive");
                publisher.publish([RunEvents::broken(&reason)]);
            }
            publisher.show(status.clone());
            return Ok(finished_run(&setup.root, status, 0));
        }
    };
    let (mut coordinator, effects) = Coordinator::start(setup, beginning, publisher, journals, disk_full)?;
    let backend = Arc::clone(&coordinator.backend);
    // Aborted on drop.
    let mut secrets = JoinSet::new();
    secrets.spawn(async move { backend.read_secrets().await });
    coordinator.run_until_end(effects, &mut shutdown).await
}

/// The state machine of a run, with everything that its effects need.
struct Coordinator<'a> {
    run: Run,
    publisher: &'a Publisher,
    journal: &'a Journal,
    /// `None` if the run has no checkpoint.
    checkpoint_writer: Option<CheckpointWriter>,
    /// Closed once the run accepts no more requests.
    requests: mpsc::Receiver<Request>,
    handle: CoordinatorHandle,
    server: Server,
    launcher: Launcher,
    tasks: Tasks,
    snapshots: Snapshots<'a>,
    progress: ProgressFile,
    run_events: RunEvents,
    files: Files,
    config: Config,
    backend: Arc<dyn Backend>,
    clock: Clock,
    log: RunLog,
    view: LoopbackView,
    disk_full: DiskFull,
    /// Read-locked by each result that is being committed; the archive waits for them.
    commits_in_progress: Arc<RwLock<()>>,
    /// The archive is sealed, and workers can discard their results.
    over: Arc<AtomicBool>,
    /// Number of problems in the archive.
    problems: usize,
    /// The reason why the archive does not exist.
    broken: Option<finalize::NotPacked>,
}

/// Paths of the run.
struct Files {
    root: PathBuf,
    directory: PathBuf,
    incoming: PathBuf,
    progress: PathBuf,
    archive: PathBuf,
}

impl<'a> Coordinator<'a> {
    /// Starts the workers' server, and returns the first effects.
    fn start(
        setup: Setup,
        beginning: StartedRun,
        publisher: &'a Publisher,
        journals: &'a OnceLock<Journal>,
        disk_full: DiskFull,
    ) -> Result<(Self, Vec<Effect>), RunError> {
        let Setup {
            backend,
            root,
            listener,
            addresses,
            limits,
            clock,
            log,
            view,
            ..
        } = setup;
        let StartedRun {
            config,
            start,
            directory,
            incoming,
            journal,
            progress,
            authority,
            drivers,
            run,
            effects,
            present,
            is_resumed,
            checkpoint_writer,
        } = beginning;
        let journal = journals.get_or_init(|| journal);
        let (coordinator, requests) = CoordinatorHandle::new();
        view.ask(&coordinator);
        let (over, commits_in_progress) = (Arc::<AtomicBool>::default(), Arc::<RwLock<()>>::default());
        let limits = Arc::new(limits);
        let uploads = Uploads::new(
            coordinator.clone(),
            directory.clone(),
            incoming.clone(),
            Arc::clone(&limits),
            present,
            Arc::clone(&commits_in_progress),
        );
        let interface = Interface {
            coordinator: coordinator.clone(),
            uploads: uploads
                .waiting_in(&disk_full)
                .counting_log(log.bytes())
                .counted_in(view.metrics()),
            limits: Arc::clone(&limits),
            updates: Updates::default(),
            clock: Arc::clone(&clock),
            retention: checkpoint_writer.is_some().then(|| retention_poll_interval(&run)),
            over: Arc::clone(&over),
            backend: Arc::clone(&backend),
        };
        let identity = server_identity(&authority, &addresses, start.min(clock()))?;
        let server = Server::start(listener, &identity, &authority, &limits, interface, &view.metrics())?;
        let launcher = Launcher {
            drivers,
            addresses,
            authority,
            coordinator: coordinator.clone(),
            clock: Arc::clone(&clock),
            start,
        };
        let resumed = is_resumed.then(|| clock().to_string());
        let results = run.expected().count();
        publisher.publish([RunEvents::begun(&config.uuid, results, resumed.as_deref())]);
        let files = Files {
            archive: root.join(layout::archive_name(start, &config.uuid)),
            root,
            directory,
            incoming,
            progress: progress.clone(),
        };
        let coordinator = Self {
            run,
            publisher,
            journal,
            checkpoint_writer,
            requests,
            handle: coordinator,
            server,
            launcher,
            tasks: Tasks::new(&disk_full),
            snapshots: Snapshots::new(publisher),
            progress: ProgressFile::new(progress),
            run_events: RunEvents::default(),
            files,
            config,
            backend,
            clock,
            log,
            view,
            disk_full,
            commits_in_progress,
            over,
            problems: 0,
            broken: None,
        };
        Ok((coordinator, effects))
    }

    /// Carries out effects and waits for the next wake, until the end.
    async fn run_until_end(
        &mut self,
        mut effects: Vec<Effect>,
        shutdown: &mut Pin<&mut impl Future<Output = ()>>,
    ) -> Result<FinishedRun, RunError> {
        let mut reply = None;
        loop {
            if let Some(finished) = self.carry_out(effects, reply, shutdown).await? {
                return Ok(finished);
            }
            self.snapshots.show_if_due(&self.run, self.journal);
            self.progress.write_if_due(&self.run);
            let sources = Sources {
                requests: &mut self.requests,
                deadline: self.run.next_deadline(),
                clock: &self.clock,
                snapshots: &self.snapshots,
                progress: &self.progress,
                tasks: &mut self.tasks,
                checkpoint_writer: self.checkpoint_writer.as_ref(),
                journal: self.journal,
                server: &mut self.server,
            };
            (effects, reply) = match sources.next(shutdown).await {
                Wake::Request(message) => answer(&mut self.run, self.journal, (self.clock)(), message),
                Wake::Deadline => (self.handle(Event::Tick), None),
                // Both are checked before each wait.
                Wake::StatusDue | Wake::ProgressDue => (Vec::new(), None),
                Wake::Finalized(ended) => (self.finalized(ended).await, None),
                Wake::OwnershipLost(lost) => return Err(ended_by(&lost)),
                Wake::JournalEnded => return Err(journal_ended()),
                Wake::ServerEnded(error) => return Err(RunError::Serve(error)),
                Wake::Shutdown => {
                    self.stop().await;
                    return Err(RunError::Stopped);
                }
            };
        }
    }

    fn handle(&mut self, event: Event) -> Vec<Effect> {
        self.run.handle((self.clock)(), event)
    }

    /// The archive is complete or failed: accepts no more requests, and passes the outcome to the machine.
    async fn finalized(&mut self, ended: finalize::Finalized) -> Vec<Effect> {
        self.tasks.finish = None;
        // Requests from before the end are still answered.
        while let Ok(message) = self.requests.try_recv() {
            let (_, reply) = answer(&mut self.run, self.journal, (self.clock)(), message);
            write(self.journal, Vec::new(), reply);
        }
        // Uploads that are still running get a response, rather than a reset.
        self.requests = mpsc::channel(1).1;
        if self.checkpoint_writer.is_none() {
            self.server.stop.cancel();
        }
        let effects = match ended {
            Ok((tarball, problems)) => {
                self.problems += problems;
                self.handle(Event::Packed(tarball))
            }
            Err(reason) => {
                self.broken = Some(reason);
                self.handle(Event::Broken)
            }
        };
        // Best effort: these files are not part of a result, and all progress is in the status.
        fs_err::remove_dir_all(&self.files.incoming).ok();
        self.progress.close(&self.run).await;
        fs_err::remove_file(&self.files.progress).ok();
        effects
    }

    /// The process is asked to stop: writes the state that the next one resumes from, and removes plugins that no other could watch.
    async fn stop(&mut self) {
        self.log.detach();
        let progress = self.progress.close(&self.run);
        tokio::time::timeout(SHUTDOWN_LIMIT, progress).await.ok();
        if self.tasks.finish.is_some() {
            let plugins = finalize::stopped_in_order(self.launcher.drivers.keys(), self.run.unprocessed());
            let stopped = self.journal.append_and_sync(vec![Record::Processed { plugins }]);
            tokio::time::timeout(SHUTDOWN_LIMIT, stopped).await.ok();
        }
        if !self.backend.plugins_survive_restart() {
            // The next process could not watch these plugins.
            let removed = finalize::clean_up(&self.launcher.drivers);
            tokio::time::timeout(SHUTDOWN_LIMIT, removed).await.ok();
        }
    }
}

/// The server's certificate and key, valid from the earlier of the run's start and now: workers have clocks of their own, and one of
/// these times may be wrong.
fn server_identity(authority: &Authority, addresses: &Addresses, since: Timestamp) -> Result<Identity, RunError> {
    authority
        .server(since, &addresses.names)
        .map_err(RunError::Certificates)
}

/// Interval of the workers' queries for their result: at most fifty queries a second from up to a thousand workers, and 20 s for
/// more workers or an unknown number.
fn retention_poll_interval(run: &Run) -> Duration {
    let (expected, unknown) = (run.expected().count() as u64, run.discovers_any());
    let most = 20;
    Duration::from_secs(if unknown { most } else { (expected / 50).clamp(2, most) })
}

/// The end of this process after it lost the ownership. If another aggregator owns the run, this one stops permanently; otherwise
/// the next process in this pod resumes the run, or reports why it cannot.
fn ended_by(lost: &OwnershipLost) -> RunError {
    match lost {
        OwnershipLost::Superseded { .. } => RunError::Superseded(lost.to_string()),
        OwnershipLost::Ended => RunError::Task {
            task: "the checkpoint writer",
            reason: lost.to_string(),
        },
        OwnershipLost::Removed | OwnershipLost::Unreadable(_) | OwnershipLost::Refused(_) => {
            tracing::error!(
                reason = error_chain(lost),
                "stopping, so that the next process can resume the run"
            );
            RunError::Stopped
        }
    }
}

fn journal_ended() -> RunError {
    RunError::Task {
        task: "the journal's writer",
        reason: "no more records can be written".to_owned(),
    }
}

fn finished_run(root: &Path, status: RunStatus, problems: usize) -> FinishedRun {
    let failed = status
        .rows()
        .iter()
        .filter(|row| row.status == plugin_status::FAILED)
        .count();
    FinishedRun {
        archive: root.join(&status.tarball.name),
        status,
        errors: failed + problems,
    }
}
