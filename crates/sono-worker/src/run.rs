//! One worker from start to end.

use std::{
    future::Future,
    path::{Path, PathBuf},
    pin::Pin,
    time::Duration,
};

use fs_err as fs;
use jiff::Timestamp;
use reqwest::Client;
use sono_types::{WorkerConfig, constants};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{
    ContainersState, ProgressPost, RelayListener, WorkerError,
    done::{self, Decision, DoneFile, Found},
    events::DoneEvents,
    gather,
    keep::{self, Held},
    relay::relay,
    submit::{self, Accepted, How, SubmitError, Upload},
};

/// How often the done file is looked at where no event comes.
const LOOK: Duration = Duration::from_secs(1);
/// How long the done file may take to be looked at when the waiting is over.
const LAST_LOOK: Duration = Duration::from_secs(1);
/// How long a result waits until the last progress is told.
const LAST_PROGRESS: Duration = Duration::from_secs(2);

/// What a worker does once its result is with the aggregator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sleep {
    /// It lives on until it is told to end: in a DaemonSet it would only be started again.
    Forever,
    /// It lives on for this long.
    For(Duration),
}

impl Sleep {
    /// `--sleep`: seconds, where a negative number means for ever.
    pub fn from_seconds(seconds: i64) -> Self {
        u64::try_from(seconds).map_or(Self::Forever, |seconds| Self::For(Duration::from_secs(seconds)))
    }
}

/// What a worker is given beside its configuration.
#[derive(Debug)]
pub struct Options {
    /// What it does at the end.
    pub sleep: Sleep,
    /// What the plugin's other containers are up to. A sender that is dropped leaves its last word standing.
    pub others: watch::Receiver<ContainersState>,
    /// Where it listens for progress updates.
    pub relay: RelayListener,
    /// Gets every progress update with its answer, where somebody wants to see them.
    pub posts: Option<mpsc::UnboundedSender<ProgressPost>>,
    /// The clock that [`WorkerConfig::deadline`] is read by.
    pub clock: fn() -> Timestamp,
    /// How long a worker that was told to end still waits for a result.
    pub grace: Duration,
}

impl Options {
    /// Nothing is known about other containers, and the worker ends when its result is uploaded.
    pub fn new() -> Self {
        Self {
            sleep: Sleep::For(Duration::ZERO),
            others: watch::channel(ContainersState::Unknown).1,
            relay: RelayListener::Configured,
            posts: None,
            clock: system_clock,
            grace: constants::GRACEFUL_SHUTDOWN,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

/// The system's clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place of this crate that reads the clock"
)]
pub fn system_clock() -> Timestamp {
    Timestamp::now()
}

/// How a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The aggregator has the result, from this try or an earlier one.
    Transmitted,
    /// There was something wrong with the result, and the aggregator has been told this.
    Reported(String),
    /// There was a result, and the run takes no more: the archive is made without it.
    TooLate,
    /// There was no result in the time that was left after it was told to end, or there can be none any more.
    NoResults,
}

/// Waits for the plugin's result, uploads it, and lives on as the options say. It ends early when `shutdown` does: while
/// it waits for a result or uploads one, after the grace period at the latest; once the result is uploaded, at once.
pub async fn run(
    config: &WorkerConfig,
    options: Options,
    shutdown: impl Future<Output = ()>,
) -> Result<Outcome, WorkerError> {
    let Options {
        sleep,
        others,
        relay: listener,
        posts,
        clock,
        grace,
    } = options;
    let client = submit::client(config)?;
    let worker = Worker {
        config,
        client: client.clone(),
        results: PathBuf::from(&config.results_dir),
        clock,
    };
    let mut shutdown = Shutdown::new(shutdown, grace);
    let (tell, last) = mpsc::channel(1);
    tokio::select! {
        outcome = worker.work(others, sleep, &tell, &mut shutdown) => outcome,
        () = relay(config, client, listener, posts, &worker.results, last) => Err(WorkerError::Interrupted),
    }
}

/// What the aggregator has.
struct Delivered {
    outcome: Outcome,
    /// What was sent.
    upload: Upload,
    /// It shall be kept, and asked for after so long.
    keep: Option<Duration>,
}

struct Worker<'a> {
    config: &'a WorkerConfig,
    client: Client,
    results: PathBuf,
    clock: fn() -> Timestamp,
}

impl Worker<'_> {
    async fn work(
        &self,
        others: watch::Receiver<ContainersState>,
        sleep: Sleep,
        tell: &mpsc::Sender<oneshot::Sender<()>>,
        shutdown: &mut Shutdown<impl Future<Output = ()>>,
    ) -> Result<Outcome, WorkerError> {
        let Some(found) = self.wait(others, shutdown).await? else {
            tracing::info!("Did not receive plugin results. Shutting down worker.");
            return Ok(Outcome::NoResults);
        };
        let delivered = tokio::select! {
            delivered = async { tell_the_last(tell).await; self.deliver(found).await } => delivered?,
            () = shutdown.grace_over() => return Err(WorkerError::Interrupted),
        };
        let Delivered { outcome, upload, keep } = delivered;
        if let Some(first) = keep {
            tokio::select! {
                kept = Box::pin(self.keep(&upload, first)) => kept?,
                _ = shutdown.requested() => return Ok(outcome),
            }
        }
        self.rest(sleep, &outcome, shutdown).await;
        Ok(outcome)
    }

    /// Stays with the result until nobody can need it any more, and sends it to whoever does not have it: an aggregator
    /// that took another's place.
    async fn keep(&self, upload: &Upload, first: Duration) -> Result<(), WorkerError> {
        tracing::info!(
            seconds = first.as_secs(),
            "keeping the result until the run's archive is made"
        );
        let urls = self.urls();
        let mut first = first;
        let mut pauses = keep::pauses(first);
        let mut unknown = false;
        let mut answered = Instant::now();
        loop {
            keep::rest(&mut pauses).await;
            let held = keep::ask(&self.client, &urls).await;
            if held != Held::Unknown {
                answered = Instant::now();
            } else if answered.elapsed() >= constants::PLUGIN_TIMEOUT {
                tracing::warn!(
                    "no aggregator has answered for longer than a plugin may take; the result is not kept any more"
                );
                return Ok(());
            }
            if unknown != (held == Held::Unknown) {
                unknown = !unknown;
                // Whoever takes its place wants results soon.
                pauses = keep::pauses(first);
            }
            match (held, upload) {
                (Held::Over, _) => return Ok(()),
                (Held::Result | Held::Unknown, _) | (Held::Error, Upload::Error(_)) => {}
                (Held::Missing | Held::Error, _) => {
                    tracing::info!("the aggregator does not have the result any more, sending it again");
                    match self.submit_within(upload, constants::PLUGIN_TIMEOUT).await {
                        Ok(accepted) => {
                            said(accepted);
                            // One that asks for nothing more will not lose it.
                            let Some(again) = accepted.keep else { return Ok(()) };
                            first = again;
                            pauses = keep::pauses(first);
                        }
                        Err(SubmitError::Worker(error)) => return Err(error),
                        Err(SubmitError::Unreadable(last)) => return Err(WorkerError::GaveUp { tries: 1, last }),
                    }
                }
            }
        }
    }

    /// Waits for something to upload; `None` when the worker has to end before.
    async fn wait(
        &self,
        mut others: watch::Receiver<ContainersState>,
        shutdown: &mut Shutdown<impl Future<Output = ()>>,
    ) -> Result<Option<Found>, WorkerError> {
        // In a pod the volume is there; in a run without a cluster nobody else may have made it.
        fs::create_dir_all(&self.results).map_err(|source| WorkerError::ResultsDirectory {
            path: self.results.clone(),
            source,
        })?;
        let mut events = DoneEvents::new(&self.results);
        let mut file = DoneFile::new(self.config.done_delay);
        let start = Instant::now();
        let mut complaint = None;
        tracing::info!(waitfile = %self.results.join(constants::DONE_FILE).display(), "Waiting for waitfile");
        loop {
            // In this order: what happens after the look is told by the next event.
            let state = *others.borrow_and_update();
            let closed = events.closed();
            let over = matches!(state, ContainersState::Failed | ContainersState::PermanentlyFailed);
            // A volume that does not answer does not hold up the end.
            let seen = tokio::select! {
                seen = look(&self.results) => seen,
                () = async { shutdown.end(over).await; sleep(LAST_LOOK).await } => return Ok(None),
            };
            if let done::Seen::Unreadable(reason) = &seen
                && complaint.as_ref() != Some(reason)
            {
                tracing::warn!(reason, "cannot read the done file");
                complaint = Some(reason.clone());
            }
            // Seen after the last of them had ended: a done file written just before it is there by now.
            if state == ContainersState::PermanentlyFailed && seen == done::Seen::Absent {
                tracing::info!("all other containers have ended, not all of them well, and there is no done file");
                return Ok(None);
            }
            let until = match file.decide(start.elapsed(), seen, closed, state) {
                Decision::Wait => start.elapsed() + LOOK,
                Decision::WaitUntil(until) => until.min(start.elapsed() + LOOK),
                Decision::Collect(found) => return Ok(Some(found)),
            };
            tokio::select! {
                () = sleep_until(start + until) => {}
                () = events.next() => {}
                () = changed(&mut others) => {}
                () = shutdown.end(over) => return Ok(None),
            }
        }
    }

    /// Uploads what was found; what cannot be uploaded is reported instead.
    async fn deliver(&self, found: Found) -> Result<Delivered, WorkerError> {
        let collected = match found {
            Found::File(path) => Ok(path),
            Found::Directory(path) => pack(path, gather::directory).await,
            Found::Everything => {
                tracing::info!("all other containers have completed, packing the results directory");
                pack(self.results.clone(), gather::everything).await
            }
            Found::Nothing(reason) => Err(reason),
        };
        let reason = match collected {
            Ok(path) => {
                tracing::info!(resultFile = %path.display(), "Detected done file, transmitting result file");
                let upload = Upload::File(path);
                match self.submit(&upload).await {
                    Ok(accepted) => {
                        said(accepted);
                        return Ok(Delivered {
                            outcome: accepted.outcome(Outcome::Transmitted),
                            upload,
                            keep: accepted.keep,
                        });
                    }
                    Err(SubmitError::Worker(error)) => return Err(error),
                    Err(SubmitError::Unreadable(reason)) => reason,
                }
            }
            Err(reason) => reason,
        };
        tracing::error!(reason, "no result to transmit, reporting that instead");
        let upload = Upload::Error(reason.clone());
        match self.submit(&upload).await {
            Ok(accepted) => {
                said(accepted);
                Ok(Delivered {
                    outcome: accepted.outcome(Outcome::Reported(reason)),
                    upload,
                    keep: accepted.keep,
                })
            }
            Err(SubmitError::Worker(error)) => Err(error),
            Err(SubmitError::Unreadable(last)) => Err(WorkerError::GaveUp { tries: 1, last }),
        }
    }

    fn urls(&self) -> Vec<String> {
        submit::urls(self.config)
    }

    async fn submit(&self, upload: &Upload) -> Result<Accepted, SubmitError> {
        // Without a deadline, as long as a plugin has by default.
        let within = self.config.deadline.map_or(constants::PLUGIN_TIMEOUT, |deadline| {
            Duration::try_from(deadline.duration_since((self.clock)())).unwrap_or_default()
        });
        self.submit_within(upload, within).await
    }

    async fn submit_within(&self, upload: &Upload, within: Duration) -> Result<Accepted, SubmitError> {
        submit::submit(&self.client, &self.urls(), upload, within).await
    }

    /// Also after a result that came too late: a worker of a DaemonSet that ended would be started again, and again be too late.
    async fn rest(&self, sleep: Sleep, outcome: &Outcome, shutdown: &mut Shutdown<impl Future<Output = ()>>) {
        let what = match outcome {
            Outcome::TooLate => "The result was not taken.",
            _ => "Results transmitted to aggregator.",
        };
        let time = match sleep {
            Sleep::Forever => {
                tracing::info!("{what}  Sleeping forever.");
                None
            }
            Sleep::For(Duration::ZERO) => return,
            Sleep::For(time) => {
                tracing::info!(?time, "{what}  Sleeping.");
                Some(time)
            }
        };
        tokio::select! {
            () = pause(time) => {}
            _ = shutdown.requested() => {}
        }
    }
}

/// Has the last verdicts of a suite told before its result: after that nobody takes progress any more.
async fn tell_the_last(tell: &mpsc::Sender<oneshot::Sender<()>>) {
    let (told, is_told) = oneshot::channel();
    if tell.send(told).await.is_ok() {
        // A convenience, which may not hold up a result.
        timeout(LAST_PROGRESS, is_told).await.ok();
    }
}

fn said(accepted: Accepted) {
    match accepted.how {
        How::Stored => tracing::info!("Results transmitted to aggregator."),
        How::Before => tracing::info!("the aggregator has these results already"),
        How::TooLate => tracing::error!(
            "this result came too late: the run takes no more results, and its archive is made without this one"
        ),
    }
}

impl Accepted {
    /// What the worker ends with, where `taken` is that of a result that was taken.
    fn outcome(self, taken: Outcome) -> Outcome {
        match self.how {
            How::Stored | How::Before => taken,
            How::TooLate => Outcome::TooLate,
        }
    }
}

async fn look(results: &Path) -> done::Seen {
    let results = results.to_path_buf();
    tokio::task::spawn_blocking(move || done::look(&results))
        .await
        .unwrap_or_else(|error| done::Seen::Unreadable(error.to_string()))
}

async fn pack(path: PathBuf, gather: fn(&Path) -> Result<PathBuf, gather::GatherError>) -> Result<PathBuf, String> {
    match tokio::task::spawn_blocking(move || gather(&path)).await {
        Ok(packed) => packed.map_err(|error| submit::chain(&error)),
        Err(error) => Err(error.to_string()),
    }
}

/// Ends with the next change; never when there can be none.
async fn changed(others: &mut watch::Receiver<ContainersState>) {
    if others.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn pause(time: Option<Duration>) {
    match time {
        Some(time) => sleep(time).await,
        None => std::future::pending().await,
    }
}

/// The wish that the worker ends, and since when there is one.
struct Shutdown<F> {
    request: Pin<Box<F>>,
    grace: Duration,
    over: Option<Instant>,
}

impl<F: Future<Output = ()>> Shutdown<F> {
    fn new(request: F, grace: Duration) -> Self {
        Self {
            request: Box::pin(request),
            grace,
            over: None,
        }
    }

    /// Ends as soon as the worker is wanted to end.
    ///
    /// # Cancel safety
    /// A wish is remembered.
    async fn requested(&mut self) -> Instant {
        if let Some(over) = self.over {
            return over;
        }
        self.request.as_mut().await;
        tracing::info!("told to end");
        *self.over.insert(Instant::now() + self.grace)
    }

    /// Ends when nothing is waited for any more. Where no container is left that could still write a result, the grace period
    /// is of no use.
    async fn end(&mut self, all_failed: bool) {
        if all_failed {
            self.requested().await;
        } else {
            self.grace_over().await;
        }
    }

    /// Ends when the grace period is over.
    async fn grace_over(&mut self) {
        let over = self.requested().await;
        sleep_until(over).await;
    }
}
