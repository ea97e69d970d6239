//! The shell around [`Run`]: the one task that owns it, carries out its effects and answers the desk.

mod launcher;
mod server;

use std::{
    collections::BTreeMap,
    future::Future,
    net::TcpListener,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{
    FutureExt as _,
    future::{self, FusedFuture as _},
};
use jiff::Timestamp;
use launcher::{Launcher, Start};
use serde_json::{Map, Value};
use server::Server;
use sono_manifest::Definition;
use sono_run::{Claim, Effect, Event, Failure, Record, Refusal, Run, SmallBody};
use sono_types::{
    Config, PluginName, ResultKey, RunStatus, SessionId, TarInfo, UploadLimits, constants, error_chain, layout,
    status::plugin_status,
};
use tokio::{
    sync::oneshot,
    task::{JoinHandle, JoinSet},
};

use crate::{
    backend::{Addresses, Site},
    clock::{Clock, until},
    coordinator::{
        finalize,
        finalize::Finish,
        startup,
        startup::{Beginning, Drivers, Found},
    },
    durability::{
        checkpoint::{Gate, Keeper, Lost},
        disk_full::Shortage,
        journal::Journal,
        progress_file::ProgressFile,
    },
    error::RunError,
    handle::{Desk, Finished as Returned, Kept, Message},
    ingest::{
        routes::{Interface, Updates},
        upload::Uploads,
    },
    observe::{
        event_recorder,
        loopback::View,
        run_events::Story,
        run_log::RunLog,
        status_publisher,
        status_snapshots::{Board, Snapshots, tell},
    },
};

/// How long a run that was told to stop still takes for its last status, and for the removal of its plugins.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Everything a run needs, resolved.
#[allow(
    missing_debug_implementations,
    clippy::allow_attributes,
    reason = "holds trait objects and a closure"
)]
pub struct Setup {
    /// The effective configuration. Without a UUID the run gets one.
    pub config: Config,
    /// The plugins to run, checked to have different names.
    pub definitions: Vec<Definition>,
    /// Where the run happens.
    pub site: Arc<dyn Site>,
    /// Directory for the run's files and its archive.
    pub root: PathBuf,
    /// Where workers connect to.
    pub listener: TcpListener,
    /// How workers name it.
    pub addresses: Addresses,
    /// Limits on what they send.
    pub limits: UploadLimits,
    /// The time.
    pub clock: Clock,
    /// Makes session ids.
    pub new_session: fn() -> SessionId,
    /// Takes the log into the archive.
    pub log: RunLog,
    /// Whether results mounts of plugins are pointed at the configured directory.
    pub reconcile: bool,
    /// What shows the run to whoever looks at it from outside; see [`serve_locally`](crate::observe::loopback::serve_locally).
    pub view: View,
}

/// A finished run.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// The archive on disk.
    pub archive: PathBuf,
    /// The last status.
    pub status: RunStatus,
    /// Errors that were logged on the way; the run went on.
    pub errors: usize,
}

/// Runs everything: plugins, queries, post-processing, archive. Returns when the archive is sealed and the last status
/// published. When `shutdown` resolves first, the run ends with [`RunError::Stopped`] and its directory stays. A run that
/// an earlier process began in the same directory is taken up where that one ended, however it ended.
pub async fn run(setup: Setup, shutdown: impl Future<Output = ()>) -> Result<Finished, RunError> {
    let site = Arc::clone(&setup.site);
    let (statuses, publisher) = status_publisher::start(Arc::clone(&site), setup.view.metrics());
    let (notes, teller) = event_recorder::start(Arc::clone(&site));
    let stop_publisher = publisher.abort_handle();
    let (mut publisher, mut teller) = (publisher.fuse(), teller.fuse());
    let view = setup.view.clone();
    let board = Board {
        statuses,
        notes,
        view: setup.view.clone(),
    };
    let mut shutdown = std::pin::pin!(shutdown);
    let journal = OnceLock::new();
    // Boxed, and so small for its caller: all of a run is in it.
    let outcome = tokio::select! {
        outcome = Box::pin(collect(setup, &board, &journal, shutdown.as_mut())) => outcome,
        reason = broken(&mut publisher) => Err(RunError::Task { task: "the status publisher", reason }),
        reason = broken(&mut teller) => Err(RunError::Task { task: "the event recorder", reason }),
        task = view.broken() => Err(RunError::Task { task, reason: "its task broke".to_owned() }),
    };
    if let Some(journal) = journal.into_inner() {
        journal.close(LAST_WORDS).await;
    }
    if matches!(outcome, Err(RunError::Superseded(_))) {
        // What is shown now is another's.
        stop_publisher.abort();
        return outcome;
    }
    if matches!(outcome, Err(RunError::Stopped)) {
        stop_publisher.abort();
        if site.outlives_the_process() {
            return outcome;
        }
        show_once(&site, board.fail()).await;
        return outcome;
    }
    if let Err(error) = &outcome {
        // Whoever waits must learn that there is nothing to wait for.
        let status = board.fail();
        board.tell([Story::broken(&error_chain(error))]);
        if publisher.is_terminated() {
            show_once(&site, status).await;
        }
    }
    drop(board);
    if publisher.is_terminated() {
        return outcome;
    }
    tokio::select! {
        published = &mut publisher => {
            if let Err(error) = published {
                tracing::error!(%error, "publishing the status");
            }
        }
        () = shutdown => stop_publisher.abort(),
    }
    if !teller.is_terminated() {
        // What is told is told within moments, or not at all.
        tokio::time::timeout(LAST_WORDS, teller).await.ok();
    }
    outcome
}

/// Resolves when the task ended by a defect, and says how; one that ended as it should is not waited for any more.
async fn broken(task: &mut future::Fuse<JoinHandle<()>>) -> String {
    match task.await {
        Err(error) => error.to_string(),
        Ok(()) => std::future::pending().await,
    }
}

/// Shows the status itself, in one try: what lets us write may be going, or may be what ended.
async fn show_once(site: &Arc<dyn Site>, status: RunStatus) {
    let site = Arc::clone(site);
    let shown = tokio::spawn(async move { site.publish(&status).await });
    if !matches!(tokio::time::timeout(LAST_WORDS, shown).await, Ok(Ok(Ok(())))) {
        tracing::warn!("the status could not be set to failed");
    }
}

async fn collect(
    setup: Setup,
    board: &Board,
    journals: &OnceLock<Journal>,
    mut shutdown: Pin<&mut impl Future<Output = ()>>,
) -> Result<Finished, RunError> {
    let Setup {
        config,
        definitions,
        site,
        root,
        listener,
        addresses,
        limits,
        clock,
        new_session,
        log,
        reconcile,
        view,
    } = setup;
    let shortage = {
        // What waits for room must not keep the teller from its end.
        let (notes, clock) = (board.notes.downgrade(), Arc::clone(&clock));
        Shortage::new(move |why| {
            if let Some(notes) = notes.upgrade() {
                notes.send(Story::no_room(&clock().to_string(), why)).ok();
            }
        })
    };
    let begin = startup::begin(startup::Start {
        config,
        definitions,
        site: Arc::clone(&site),
        root: root.clone(),
        clock: Arc::clone(&clock),
        new_session,
        log: log.clone(),
        reconcile,
        view: view.clone(),
        limits: limits.clone(),
        shortage: shortage.clone(),
    });
    let found = tokio::select! {
        found = begin => found?,
        () = &mut shutdown => return Err(RunError::Stopped),
    };
    let Beginning {
        config,
        start,
        directory,
        incoming,
        journal,
        progress: progress_path,
        authority,
        drivers,
        mut run,
        mut effects,
        present,
        taken_up,
        keeper,
    } = match found {
        Found::Beginning(beginning) => *beginning,
        Found::Over { status, left, broken } => {
            if let Some(drivers) = left {
                clean_up_after(&drivers).await;
            }
            if let Some(reason) = broken {
                tracing::error!(reason, "there is no archive");
                board.tell([Story::broken(&reason)]);
            }
            board.show(status.clone());
            return Ok(finished(&root, status, 0));
        }
    };
    let journal = journals.get_or_init(|| journal);
    let over = Arc::<AtomicBool>::default();
    let limits = Arc::new(limits);
    let landing = Arc::<tokio::sync::RwLock<()>>::default();
    let (desk, mut messages) = Desk::new();
    view.ask(&desk);
    let interface = Interface {
        desk: desk.clone(),
        uploads: Uploads::new(
            desk.clone(),
            directory.clone(),
            incoming.clone(),
            Arc::clone(&limits),
            present,
            Arc::clone(&landing),
        )
        .waiting_in(&shortage)
        .counting_log(log.bytes())
        .counted_in(view.metrics()),
        limits: Arc::clone(&limits),
        updates: Updates::default(),
        clock: Arc::clone(&clock),
        keep: keeper.is_some().then(|| ask_again(&run)),
        over: Arc::clone(&over),
        site: Arc::clone(&site),
    };
    // The earlier of the two: workers have clocks of their own, and one of these starts may have been told a wrong time.
    let since = start.min(clock());
    let identity = authority
        .server(since, &addresses.names)
        .map_err(RunError::Certificates)?;
    let mut server = Server::start(listener, &identity, &authority, &limits, interface, &view.metrics())?;

    let launcher = Launcher {
        drivers,
        addresses,
        authority,
        desk: desk.clone(),
        clock: Arc::clone(&clock),
        start,
    };
    let mut tasks = Tasks::new(&shortage);
    let mut snapshots = Snapshots::new(board);
    let mut progress = ProgressFile::new(progress_path.clone());
    let mut reply = None;
    let mut story = Story::default();
    let resumed = taken_up.then(|| clock().to_string());
    board.tell([Story::begun(&config.uuid, run.expected().count(), resumed.as_deref())]);
    let ended = loop {
        let mut records = Vec::new();
        if let Some(keeper) = &keeper {
            remember(keeper, &effects);
        }
        let gate = || keeper.as_ref().map(Keeper::gate);
        for effect in effects.drain(..) {
            match effect {
                Effect::Launch { plugin, deadline } => {
                    launcher.launch(&run, &plugin, deadline, Start::Create(gate()), &mut tasks);
                    let results = run.expected().filter(|key| key.plugin == plugin).count();
                    board.tell(story.started(&plugin, results));
                }
                Effect::Adopt { plugin, deadline } => {
                    launcher.launch(&run, &plugin, deadline, Start::Watch, &mut tasks);
                }
                Effect::StopMonitor(plugin) => tasks.stop(&plugin),
                Effect::RecordError { key, failure } => {
                    board.tell(story.failed(&key, &failure));
                    tasks.record(&directory.join(layout::errors_dir(&key)), &key, failure);
                }
                Effect::Record(record) => records.push(record),
                Effect::Progressed => progress.mark(),
                Effect::Publish => snapshots.mark(),
                Effect::Finish => {
                    board.tell(story.collected());
                    let finish = Finish {
                        directory: directory.clone(),
                        incoming: incoming.clone(),
                        archive: root.join(layout::archive_name(start, &config.uuid)),
                        stored: run.stored(),
                        expected: run.expected().cloned().collect(),
                        joined: run.joined().to_vec(),
                        left_out: run.left_out(),
                        drivers: Arc::clone(&launcher.drivers),
                        site: Arc::clone(&site),
                        config: config.clone(),
                        clock: Arc::clone(&clock),
                        log: log.clone(),
                        desk: desk.clone(),
                        landing: Arc::clone(&landing),
                        plugins_go_first: keeper.is_none(),
                        shortage: shortage.clone(),
                        unprocessed: run.unprocessed().clone(),
                        errors: std::mem::take(&mut tasks.writes),
                    };
                    let gate = gate();
                    tasks.finish = Some(tokio::spawn(async move {
                        pass(gate).await;
                        finalize::finish(finish).await
                    }));
                }
            }
        }
        write(journal, records, reply.take());
        snapshots.show_if_due(&run, journal);
        progress.write_if_due(&run);
        let finished = async {
            match tasks.finish.as_mut() {
                Some(task) => task.await,
                None => std::future::pending().await,
            }
        };
        effects = tokio::select! {
            Some(message) = messages.recv() => {
                let (effects, later) = answer(&mut run, journal, clock(), message);
                reply = later;
                effects
            }
            () = until(run.next_deadline(), &clock) => run.handle(clock(), Event::Tick),
            () = snapshots.due() => Vec::new(),
            () = progress.due() => Vec::new(),
            outcome = finished => break outcome.unwrap_or_else(|error| Err(error.to_string())),
            lost = lost(keeper.as_ref()) => return Err(ended_by(&lost)),
            () = journal.ended() => return Err(journal_ended()),
            ended = &mut server.task => {
                let error = ended.map_or_else(std::io::Error::other, |()| std::io::Error::other("the server ended"));
                return Err(RunError::Serve(error));
            }
            () = &mut shutdown => {
                log.detach();
                tokio::time::timeout(LAST_WORDS, progress.close(&run)).await.ok();
                if tasks.finish.is_some() {
                    let plugins = finalize::stopped_in_order(launcher.drivers.keys(), run.unprocessed());
                    let stopped = journal.commit_patiently(vec![Record::Processed { plugins }]);
                    tokio::time::timeout(LAST_WORDS, stopped).await.ok();
                }
                if !site.outlives_the_process() {
                    // Nothing could take these plugins up again.
                    tokio::time::timeout(LAST_WORDS, finalize::clean_up(&launcher.drivers)).await.ok();
                }
                return Err(RunError::Stopped);
            }
        };
    };
    // What was said before the end still counts.
    while let Ok(message) = messages.try_recv() {
        let (_, reply) = answer(&mut run, journal, clock(), message);
        write(journal, Vec::new(), reply);
    }
    // Whoever still uploads is told that it is over, rather than cut off.
    drop(messages);
    if keeper.is_none() {
        server.stop.cancel();
    }
    match &ended {
        Ok((tarball, _)) => run.handle(clock(), Event::Sealed(tarball.clone())),
        Err(_) => run.handle(clock(), Event::Broken),
    };
    let status = run.status();
    // Best effort: what is left there is no result any more, and all progress is in the status.
    fs_err::remove_dir_all(&incoming).ok();
    progress.close(&run).await;
    fs_err::remove_file(&progress_path).ok();
    let (tarball, mut problems): (TarInfo, usize) = match ended {
        Ok(sealed) => sealed,
        Err(reason) => {
            // After what was to be told before.
            tokio::select! {
                _ = journal.commit_patiently(Vec::new()) => {}
                () = &mut shutdown => return Err(RunError::Stopped),
            }
            board.show(status);
            return Err(RunError::Pack { directory, reason });
        }
    };
    // Before anybody is told: a process that does not know of it would pack again, and that archive is another one.
    let sealed = Record::Sealed { status: status.clone() };
    let committed = tokio::select! {
        committed = journal.commit_patiently(vec![sealed.clone()]) => committed,
        // Nobody has been told: the next process packs again.
        () = &mut shutdown => return Err(RunError::Stopped),
    };
    if let Some(keeper) = &keeper {
        keeper.note(&sealed);
        tokio::select! {
            () = keeper.gate().open() => {}
            lost = keeper.lost() => return Err(ended_by(&lost)),
            () = &mut shutdown => return Err(RunError::Stopped),
        }
        // Now nobody needs what workers have kept.
        over.store(true, Ordering::Relaxed);
        server.stays = true;
        problems += clean_up_after(&launcher.drivers).await;
    }
    view.seal(&root.join(&tarball.name), &tarball);
    board.show(status.clone());
    board.tell([Story::complete(&status)]);
    match committed {
        Ok(()) => {
            if let Err(error) = fs_err::remove_dir_all(&directory) {
                tracing::warn!(%error, "removing the packed directory");
            }
        }
        // Another process would pack it again.
        Err(error) => tracing::warn!(
            error,
            "the packed directory is kept, because the journal cannot say that it is packed"
        ),
    }
    if run.timed_out() {
        tracing::error!("Timeout occurred when running plugins. Inspect logs further for details.");
    }
    Ok(finished(&root, status, problems))
}

/// Removes the plugins' objects after the archive was made; says what went wrong, and how often.
async fn clean_up_after(drivers: &Drivers) -> usize {
    let (_, problems) = finalize::clean_up(drivers).await;
    for problem in &problems {
        tracing::error!(problem, "cleaning up");
    }
    problems.len()
}

/// How long workers wait before they ask for their result: so long that all of them together ask some fifty times a second
/// at most, until there are a thousand; then it is more often, but not more than 20 s apart. As rarely where it is not known yet how
/// many there will be.
fn ask_again(run: &Run) -> Duration {
    let (expected, unknown) = (run.expected().count() as u64, run.learns_any());
    let most = 20;
    Duration::from_secs(if unknown { most } else { (expected / 50).clamp(2, most) })
}

/// Passes on what must outlive this process' volume.
fn remember(keeper: &Keeper, effects: &[Effect]) {
    for effect in effects {
        match effect {
            Effect::Record(record) => keeper.note(record),
            Effect::StopMonitor(plugin) => keeper.end(plugin),
            _ => {}
        }
    }
}

/// Pending until this process owns the run; never resolves after ownership is lost.
async fn pass(gate: Option<Gate>) {
    if let Some(gate) = gate {
        gate.open().await;
    }
}

/// Where another aggregator has the run this one does nothing more. Otherwise the next process in this place takes it up, or says why
/// it cannot.
fn ended_by(lost: &Lost) -> RunError {
    match lost {
        Lost::Overtaken { .. } => RunError::Superseded(lost.to_string()),
        Lost::Ended => RunError::Task {
            task: "the checkpoint's writer",
            reason: lost.to_string(),
        },
        Lost::Removed | Lost::Unreadable(_) | Lost::Refused(_) => {
            tracing::error!(reason = %lost, "starting anew");
            RunError::Stopped
        }
    }
}

fn journal_ended() -> RunError {
    RunError::Task {
        task: "the journal's writer",
        reason: "nothing can be recorded any more".to_owned(),
    }
}

async fn lost(keeper: Option<&Keeper>) -> Lost {
    match keeper {
        Some(keeper) => keeper.lost().await,
        None => std::future::pending().await,
    }
}

fn finished(root: &Path, status: RunStatus, problems: usize) -> Finished {
    let failed = status
        .rows()
        .iter()
        .filter(|row| row.status == plugin_status::FAILED)
        .count();
    Finished {
        archive: root.join(&status.tarball.name),
        status,
        errors: failed + problems,
    }
}

/// An answer that is given once what it tells is on disk.
struct Reply {
    give: Box<dyn FnOnce(Result<(), String>) + Send>,
    /// A directory whose names have to be on disk before.
    names: Option<PathBuf>,
}

/// Journals what has to survive. A result that is acknowledged is in place and synced but for its name, or kept in its record;
/// should that not work, whoever sent it learns so. An answer without a record of its own waits for those before it: it may
/// tell of them.
fn write(journal: &Journal, records: Vec<Record>, reply: Option<Reply>) {
    match reply {
        Some(Reply {
            give,
            names: Some(names),
        }) => journal.append_after_names(names, records, give),
        Some(Reply { give, names: None }) => journal.append(records, Some(give)),
        None if records.is_empty() => {}
        None => journal.append(records, Some(Box::new(|_| {}))),
    }
}

fn answer(run: &mut Run, journal: &Journal, at: Timestamp, message: Message) -> (Vec<Effect>, Option<Reply>) {
    match message {
        // An asker that has gone needs no answer.
        Message::Begin { key, reply } => match run.begin(&key) {
            Err(known @ (Refusal::AlreadyReceived(_) | Refusal::TooLate(_))) => {
                (Vec::new(), Some(once_on_disk(reply, Err(known))))
            }
            begun => {
                reply.send(begun).ok();
                (Vec::new(), None)
            }
        },
        Message::Claim { ticket, reply } => match run.claim(&ticket) {
            claim @ (Claim::AlreadyReceived | Claim::TooLate) => {
                (Vec::new(), Some(once_on_disk(reply, (ticket, claim))))
            }
            claim => {
                reply.send((ticket, claim)).ok();
                (Vec::new(), None)
            }
        },
        Message::Finish {
            ticket,
            outcome,
            kept,
            reply,
        } => {
            let mut effects = run.finish(at, &ticket, outcome);
            let is_in = run.is_stored(ticket.key());
            let names = match kept {
                Kept::ButForItsName(directory) => is_in.then_some(directory),
                Kept::InJournal(body) => {
                    keep(&mut effects, ticket.key(), body);
                    None
                }
                Kept::Already => None,
            };
            let give = Box::new(move |recorded: Result<(), String>| {
                let unrecorded = recorded.err();
                reply.send(Returned { is_in, unrecorded }).ok();
            });
            (effects, Some(Reply { give, names }))
        }
        Message::Holding { key, reply } => {
            reply.send(run.holding(&key)).ok();
            (Vec::new(), None)
        }
        Message::Progress { key, update, reply } => {
            let expected = run.expects(&key);
            reply.send(expected).ok();
            let event = expected.then_some(Event::Progress { key, update });
            (event.map(|event| run.handle(at, event)).unwrap_or_default(), None)
        }
        Message::Status { reply } => {
            tell(journal, run, move |status| drop(reply.send(status)));
            (Vec::new(), None)
        }
        Message::Processing { plugin, reply } => {
            let give = Box::new(move |recorded: Result<(), String>| {
                if recorded.is_ok() {
                    reply.send(()).ok();
                }
            });
            let effects = vec![Effect::Record(Record::Processing { plugin })];
            (effects, Some(Reply { give, names: None }))
        }
        Message::Event(event) => (run.handle(at, event), None),
    }
}

/// A worker that hears that its result is known already, or too late, does not send it again: that must be on disk by then, just as
/// for a 200.
/// Where the journal cannot say so the asker is left without an answer, which it takes for a process that ends, and tries
/// again.
fn once_on_disk<T: Send + 'static>(reply: oneshot::Sender<T>, answer: T) -> Reply {
    Reply {
        give: Box::new(move |recorded| {
            if recorded.is_ok() {
                reply.send(answer).ok();
            }
        }),
        names: None,
    }
}

/// The result goes into the journal with the word that it is in.
fn keep(effects: &mut [Effect], key: &ResultKey, body: SmallBody) {
    let stored = effects.iter_mut().find_map(|effect| match effect {
        Effect::Record(record @ Record::Stored { .. }) => Some(record),
        _ => None,
    });
    if let Some(record) = stored {
        let key = key.clone();
        *record = Record::Kept { key, body };
    }
}

/// Tasks of the engine; all end with it.
struct Tasks {
    monitors: BTreeMap<PluginName, JoinHandle<()>>,
    /// Errors on their way to the disk.
    writes: JoinSet<()>,
    shortage: Shortage,
    finish: Option<JoinHandle<finalize::Ended>>,
}

impl Tasks {
    fn new(shortage: &Shortage) -> Self {
        Self {
            monitors: BTreeMap::new(),
            writes: JoinSet::new(),
            shortage: shortage.clone(),
            finish: None,
        }
    }

    fn stop(&mut self, plugin: &PluginName) {
        if let Some(monitor) = self.monitors.remove(plugin) {
            monitor.abort();
        }
    }

    fn record(&mut self, directory: &Path, key: &ResultKey, failure: Failure) {
        let path = directory.join(constants::ERROR_FILE);
        if failure.is_cut() && path.exists() {
            // An earlier process wrote the whole of it; the journal has only its beginning.
            return;
        }
        tracing::warn!(plugin_name = %key.plugin, node = %key.target, error = failure.message, "recording an error in place of a result");
        let mut fields: Map<String, Value> = failure.details.into_iter().collect();
        fields.insert("error".to_owned(), failure.message.into());
        let shortage = self.shortage.clone();
        self.writes
            .spawn(write_patiently(path, Value::Object(fields).to_string(), shortage));
    }
}

/// How long the first new try to write an error waits, and the last one; each waits twice as long as the one before.
const WRITE_PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(16));

/// Writes a file: as soon as there is room for it, and should anything else be in the way, within half a minute.
async fn write_patiently(path: PathBuf, text: String, shortage: Shortage) {
    let (mut pause, last) = WRITE_PAUSES;
    loop {
        let (to, bytes) = (path.clone(), text.clone());
        let write = move || sono_bundle::write_durably(&to, bytes.as_bytes());
        match shortage.outlast("the record of an error", write).await {
            Ok(()) => return,
            Err(error) if pause <= last => {
                tracing::warn!(error = error_chain(&error), ?pause, "recording an error, trying again");
            }
            Err(error) => return tracing::error!(error = error_chain(&error), "an error could not be recorded"),
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        for monitor in self.monitors.values() {
            monitor.abort();
        }
        if let Some(finish) = &self.finish {
            finish.abort();
        }
    }
}

#[cfg(test)]
mod tests;
