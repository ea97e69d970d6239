//! The life of one worker.

use std::{
    future::Future,
    path::{Path, PathBuf},
    pin::Pin,
    time::Duration,
};

use fs_err as fs;
use jiff::Timestamp;
use reqwest::Client;
use sono_types::{WorkerConfig, constants, error_chain};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{
    ContainersState, ProgressPost, RelayListener, WorkerError,
    done::{self, Decision, DoneFile, ResultSource},
    events::DoneEvents,
    gather,
    relay::relay,
    retention::{self, StoredState},
    submit::{self, Accepted, SubmitError, SubmitOutcome, Upload},
};

/// Interval between observations of the done file without an event.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Timeout of the last observation of the done file after the worker should end.
const LAST_OBSERVATION: Duration = Duration::from_secs(1);
/// Longest delay of a result until the last progress is reported.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// What a worker does after its result was uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sleep {
    /// It sleeps until it is terminated: in a DaemonSet it would be restarted.
    Forever,
    /// It sleeps for this long.
    For(Duration),
}

impl Sleep {
    /// Parses `--sleep`: seconds, where a negative number means forever.
    pub fn from_seconds(seconds: i64) -> Self {
        u64::try_from(seconds).map_or(Self::Forever, |seconds| Self::For(Duration::from_secs(seconds)))
    }
}

/// The inputs of a worker other than its configuration.
#[derive(Debug)]
pub struct Options {
    /// What the worker does at the end.
    pub sleep: Sleep,
    /// The state of the plugin's other containers. After the sender is dropped, the last state remains valid.
    pub others: watch::Receiver<ContainersState>,
    /// The sockets for progress updates.
    pub relay: RelayListener,
    /// Receives every progress update with its response.
    pub posts: Option<mpsc::UnboundedSender<ProgressPost>>,
    /// The clock for [`WorkerConfig::deadline`].
    pub clock: fn() -> Timestamp,
    /// How long a terminated worker still waits for a result.
    pub grace: Duration,
}

impl Options {
    /// Options for a worker that knows nothing about other containers and ends after the upload.
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

/// The outcome of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerOutcome {
    /// The aggregator has the result, from this upload or an earlier one.
    Transmitted,
    /// The result was invalid, and the aggregator has the reason.
    Reported(String),
    /// The result arrived too late: the run's archive does not include it.
    TooLate,
    /// No result appeared within the grace period, or none can appear from now on.
    NoResults,
}

/// Waits for the plugin's result, uploads it, then sleeps as configured. `shutdown` ends the worker early: within the
/// grace period before or during the upload, at once after it.
pub async fn run(
    config: &WorkerConfig,
    options: Options,
    shutdown: impl Future<Output = ()>,
) -> Result<WorkerOutcome, WorkerError> {
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
    let (flush, flush_requests) = mpsc::channel(1);
    tokio::select! {
        outcome = worker.work(others, sleep, &flush, &mut shutdown) => outcome,
        () = relay(config, client, listener, posts, &worker.results, flush_requests) => Err(WorkerError::Interrupted),
    }
}

/// The result of an upload.
struct Delivered {
    outcome: WorkerOutcome,
    /// The uploaded result.
    upload: Upload,
    /// The first query interval, if the result is to be retained.
    retain: Option<Duration>,
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
        flush: &mpsc::Sender<oneshot::Sender<()>>,
        shutdown: &mut Shutdown<impl Future<Output = ()>>,
    ) -> Result<WorkerOutcome, WorkerError> {
        let Some(found) = self.wait(others, shutdown).await? else {
            tracing::info!("Did not receive plugin results. Shutting down worker.");
            return Ok(WorkerOutcome::NoResults);
        };
        let delivered = tokio::select! {
            delivered = async { flush_progress(flush).await; self.deliver(found).await } => delivered?,
            () = shutdown.grace_over() => return Err(WorkerError::Interrupted),
        };
        let Delivered {
            outcome,
            upload,
            retain,
        } = delivered;
        if let Some(first) = retain {
            tokio::select! {
                ended = Box::pin(self.retain(&upload, first)) => ended?,
                _ = shutdown.requested() => return Ok(outcome),
            }
        }
        self.sleep_after_upload(sleep, &outcome, shutdown).await;
        Ok(outcome)
    }

    /// Retains the result until the run no longer needs it. Sends it again to an aggregator that lost it.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any point: a body that breaks off is not a result, and the aggregator still expects one.
    async fn retain(&self, upload: &Upload, first: Duration) -> Result<(), WorkerError> {
        tracing::info!(
            seconds = first.as_secs(),
            "retaining the result until the run's archive is complete"
        );
        let urls = self.urls();
        let mut first = first;
        let mut intervals = retention::intervals(first);
        let mut unknown = false;
        let mut responded = Instant::now();
        loop {
            retention::sleep_until_next(&mut intervals).await;
            let state = retention::query(&self.client, &urls).await;
            if state != StoredState::Unknown {
                responded = Instant::now();
            } else if responded.elapsed() >= constants::PLUGIN_TIMEOUT {
                tracing::warn!(
                    "no aggregator has responded within the plugin timeout; the worker stops retaining the result"
                );
                return Ok(());
            }
            if unknown != (state == StoredState::Unknown) {
                unknown = !unknown;
                // A new aggregator should get the results soon.
                intervals = retention::intervals(first);
            }
            match (state, upload) {
                (StoredState::Over, _) => return Ok(()),
                (StoredState::Result | StoredState::Unknown, _) | (StoredState::Error, Upload::Error(_)) => {}
                (StoredState::Missing | StoredState::Error, _) => {
                    tracing::info!("the aggregator lost the result; sending it again");
                    match self.submit_within(upload, constants::PLUGIN_TIMEOUT).await {
                        Ok(accepted) => {
                            log_outcome(accepted);
                            // Without a new request the aggregator does not lose results.
                            let Some(interval) = accepted.retain else { return Ok(()) };
                            first = interval;
                            intervals = retention::intervals(first);
                        }
                        Err(SubmitError::Worker(error)) => return Err(error),
                        Err(SubmitError::Unreadable(last)) => return Err(WorkerError::GaveUp { tries: 1, last }),
                    }
                }
            }
        }
    }

    /// Waits for a result; `None` if the worker must end without one. An observation that is dropped ends on its own thread; the
    /// worker then ends.
    async fn wait(
        &self,
        mut others: watch::Receiver<ContainersState>,
        shutdown: &mut Shutdown<impl Future<Output = ()>>,
    ) -> Result<Option<ResultSource>, WorkerError> {
        // In a pod the volume exists; without a cluster the directory may not exist yet.
        fs::create_dir_all(&self.results).map_err(|source| WorkerError::ResultsDirectory {
            path: self.results.clone(),
            source,
        })?;
        let mut events = DoneEvents::new(&self.results);
        let mut file = DoneFile::new(self.config.done_delay);
        let start = Instant::now();
        let mut last_reason = None;
        tracing::info!(waitfile = %self.results.join(constants::DONE_FILE).display(), "Waiting for waitfile");
        loop {
            // In this order, changes after the observation cause another event.
            let state = *others.borrow_and_update();
            let closed = events.closed();
            let over = matches!(state, ContainersState::Failed | ContainersState::PermanentlyFailed);
            // A hanging volume must not prevent the worker from ending.
            let seen = tokio::select! {
                seen = observe(&self.results) => seen,
                () = async { shutdown.end(over).await; sleep(LAST_OBSERVATION).await } => return Ok(None),
            };
            if let done::Observation::Unreadable(reason) = &seen
                && last_reason.as_ref() != Some(reason)
            {
                tracing::warn!(reason, "cannot read the done file");
                last_reason = Some(reason.clone());
            }
            // Observed after the last container had ended, so a done file written just before is visible.
            if state == ContainersState::PermanentlyFailed && seen == done::Observation::Absent {
                tracing::info!("all other containers ended, at least one with an error, and no done file exists");
                return Ok(None);
            }
            let until = match file.decide(start.elapsed(), seen, closed, state) {
                Decision::Wait => start.elapsed() + POLL_INTERVAL,
                Decision::WaitUntil(until) => until.min(start.elapsed() + POLL_INTERVAL),
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

    /// Uploads a result, or reports why there is none.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the upload: the aggregator stores a body only when it is complete, and then also after its client has
    /// disconnected.
    async fn deliver(&self, source: ResultSource) -> Result<Delivered, WorkerError> {
        let collected = match source {
            ResultSource::File(path) => Ok(path),
            ResultSource::Directory(path) => pack(path, gather::directory).await,
            ResultSource::Everything => {
                tracing::info!("all other containers have completed, packing the results directory");
                pack(self.results.clone(), gather::everything).await
            }
            ResultSource::Nothing(reason) => Err(reason),
        };
        let reason = match collected {
            Ok(path) => {
                tracing::info!(resultFile = %path.display(), "Detected done file, transmitting result file");
                let upload = Upload::File(path);
                match self.submit(&upload).await {
                    Ok(accepted) => {
                        log_outcome(accepted);
                        return Ok(Delivered {
                            outcome: accepted.worker_outcome(WorkerOutcome::Transmitted),
                            upload,
                            retain: accepted.retain,
                        });
                    }
                    Err(SubmitError::Worker(error)) => return Err(error),
                    Err(SubmitError::Unreadable(reason)) => reason,
                }
            }
            Err(reason) => reason,
        };
        tracing::error!(reason, "no result to transmit; reporting the reason instead");
        let upload = Upload::Error(reason.clone());
        match self.submit(&upload).await {
            Ok(accepted) => {
                log_outcome(accepted);
                Ok(Delivered {
                    outcome: accepted.worker_outcome(WorkerOutcome::Reported(reason)),
                    upload,
                    retain: accepted.retain,
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
        // The default timeout of plugins, without a deadline.
        let within = self.config.deadline.map_or(constants::PLUGIN_TIMEOUT, |deadline| {
            Duration::try_from(deadline.duration_since((self.clock)())).unwrap_or_default()
        });
        self.submit_within(upload, within).await
    }

    async fn submit_within(&self, upload: &Upload, within: Duration) -> Result<Accepted, SubmitError> {
        submit::submit(&self.client, &self.urls(), upload, within).await
    }

    /// Sleeps even after a result that came too late: a worker of a DaemonSet would be restarted and be too late again.
    async fn sleep_after_upload(
        &self,
        sleep: Sleep,
        outcome: &WorkerOutcome,
        shutdown: &mut Shutdown<impl Future<Output = ()>>,
    ) {
        let result = match outcome {
            WorkerOutcome::TooLate => "The result was not accepted.",
            _ => "Results transmitted to aggregator.",
        };
        let time = match sleep {
            Sleep::Forever => {
                tracing::info!("{result}  Sleeping forever.");
                None
            }
            Sleep::For(Duration::ZERO) => return,
            Sleep::For(time) => {
                tracing::info!(?time, "{result}  Sleeping.");
                Some(time)
            }
        };
        tokio::select! {
            () = sleep_for(time) => {}
            _ = shutdown.requested() => {}
        }
    }
}

/// Reports the last verdicts of a suite before its result: afterwards the aggregator accepts no progress.
async fn flush_progress(flush: &mpsc::Sender<oneshot::Sender<()>>) {
    let (flushed, done) = oneshot::channel();
    if flush.send(flushed).await.is_ok() {
        // Progress is optional and must not delay a result for long.
        timeout(FLUSH_TIMEOUT, done).await.ok();
    }
}

fn log_outcome(accepted: Accepted) {
    match accepted.outcome {
        SubmitOutcome::Stored => tracing::info!("Results transmitted to aggregator."),
        SubmitOutcome::AlreadyStored => tracing::info!("the aggregator already has these results"),
        SubmitOutcome::TooLate => tracing::error!(
            "this result arrived too late: the run accepts no more results, and its archive does not include this one"
        ),
    }
}

impl Accepted {
    /// The worker's outcome, which is `taken` for a result that the aggregator accepted.
    fn worker_outcome(self, taken: WorkerOutcome) -> WorkerOutcome {
        match self.outcome {
            SubmitOutcome::Stored | SubmitOutcome::AlreadyStored => taken,
            SubmitOutcome::TooLate => WorkerOutcome::TooLate,
        }
    }
}

async fn observe(results: &Path) -> done::Observation {
    let results = results.to_path_buf();
    tokio::task::spawn_blocking(move || done::observe(&results))
        .await
        .unwrap_or_else(|error| done::Observation::Unreadable(error.to_string()))
}

async fn pack(path: PathBuf, gather: fn(&Path) -> Result<PathBuf, gather::GatherError>) -> Result<PathBuf, String> {
    match tokio::task::spawn_blocking(move || gather(&path)).await {
        Ok(packed) => packed.map_err(|error| error_chain(&error)),
        Err(error) => Err(error.to_string()),
    }
}

/// Resolves at the next change; never if the sender was dropped.
async fn changed(others: &mut watch::Receiver<ContainersState>) {
    if others.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn sleep_for(time: Option<Duration>) {
    match time {
        Some(time) => sleep(time).await,
        None => std::future::pending().await,
    }
}

/// The request to terminate, and the end of its grace period.
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

    /// Resolves when termination is requested.
    ///
    /// # Cancel safety
    /// A request is stored, and not lost when the future is dropped.
    async fn requested(&mut self) -> Instant {
        if let Some(over) = self.over {
            return over;
        }
        self.request.as_mut().await;
        tracing::info!("termination requested");
        *self.over.insert(Instant::now() + self.grace)
    }

    /// Resolves when the worker must stop waiting for a result: after the grace period, or at once if no container is
    /// left that could write one.
    async fn end(&mut self, all_failed: bool) {
        if all_failed {
            self.requested().await;
        } else {
            self.grace_over().await;
        }
    }

    /// Resolves at the end of the grace period.
    async fn grace_over(&mut self) {
        let over = self.requested().await;
        sleep_until(over).await;
    }
}
