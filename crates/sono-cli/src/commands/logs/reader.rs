//! Reads the log of one container to its end, with retries after interruptions.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};
use sono_kube::{Kind, KubeError, LogOptions, Pod};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    time::Instant,
};

use super::{
    follow::Following,
    line::{self, Line},
    line_filter::LineFilter,
    sources::{self, Source},
};

/// Maximum number of logs that are followed concurrently. Each uses a connection.
pub(super) const MAX_FOLLOWED: usize = 224;
/// Maximum number of connections for polling the other logs.
const MAX_POLLED: usize = 32;
/// Delay before a log is read again, and its maximum after repeated errors.
const RETRY_DELAY: Duration = Duration::from_secs(1);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(10);
/// Maximum number of attempts for a log that the server refuses, such as that of a container that is starting.
const MAX_TRIES: u32 = 10;
/// Time limit without data from a log that is not followed.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum size of a line; longer lines are split.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// State shared by all readers.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) following: Arc<Following>,
    pub(super) sender: mpsc::Sender<Vec<u8>>,
    /// Whether the run has ended, so that readers read only the current content.
    pub(super) finish: watch::Receiver<bool>,
    followed: Arc<Semaphore>,
    polled: Arc<Semaphore>,
    /// Whether some logs are polled.
    pub(super) is_polling: Arc<AtomicBool>,
}

impl Shared {
    pub(super) fn new(following: Following, sender: mpsc::Sender<Vec<u8>>, finish: watch::Receiver<bool>) -> Self {
        Self {
            following: Arc::new(following),
            sender,
            finish,
            followed: Arc::new(Semaphore::new(MAX_FOLLOWED)),
            polled: Arc::new(Semaphore::new(MAX_POLLED)),
            is_polling: Arc::default(),
        }
    }
}

/// Reader of one log.
pub(super) struct Reader {
    shared: Shared,
    source: Source,
    /// Options of the first request.
    options: LogOptions,
    begun: Instant,
    filter: LineFilter,
    /// Whether the log was opened before, so that `tail_lines` no longer applies.
    opened: bool,
    /// Whether the log is complete.
    over: bool,
    /// Number of consecutive failures.
    tries: u32,
}

/// Reason why reading stopped.
enum ReadEnd {
    /// The log, or its connection, ended.
    Ended,
    /// The output is closed.
    Closed,
}

impl Reader {
    /// Reader of `source`; `options` select the first part of the log.
    pub(super) fn new(shared: Shared, source: Source, options: LogOptions) -> Self {
        Self {
            shared,
            source,
            filter: LineFilter::new(options.tail_lines.is_some() || options.since_seconds.is_some()),
            options,
            begun: Instant::now(),
            opened: false,
            over: false,
            tries: 0,
        }
    }

    /// Reads until the container or the run has ended.
    ///
    /// # Errors
    ///
    /// If the server refuses the log.
    pub(super) async fn run(mut self) -> Result<(), (Source, KubeError)> {
        match self.read().await {
            Ok(()) => Ok(()),
            Err(error) => Err((self.source, error)),
        }
    }

    async fn read(&mut self) -> Result<(), KubeError> {
        loop {
            if !self.over && *self.shared.finish.borrow() {
                self.check_container().await?;
                self.over = true;
            }
            // Reading is complete only if the log was complete before it was opened.
            let was_over = self.over;
            match self.read_once().await {
                Ok(ReadEnd::Closed) => return Ok(()),
                Ok(ReadEnd::Ended) if was_over => return Ok(()),
                Ok(ReadEnd::Ended) => {}
                Err(error) if error.is_not_found() => return Ok(()),
                Err(error) if !self.may_retry(&error) => return Err(error),
                Err(error) => tracing::debug!(source = %self.source, %error, "retrying a log"),
            }
            self.pause().await;
            if !self.over {
                self.check_container().await?;
            }
        }
    }

    fn may_retry(&mut self, error: &KubeError) -> bool {
        self.tries += 1;
        // After the end of the run, stop after two failures.
        let finishes = *self.shared.finish.borrow() && self.tries > 2;
        let is_early = matches!(error, KubeError::Refused { code: 400, .. }) && self.tries < MAX_TRIES;
        !finishes && (error.is_transient() || is_early)
    }

    async fn pause(&mut self) {
        if *self.shared.finish.borrow() {
            return;
        }
        let pause = RETRY_DELAY.saturating_mul(self.tries.max(1)).min(MAX_RETRY_DELAY);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = self.shared.finish.wait_for(|finish| *finish) => {}
        }
    }

    /// Checks whether the container still runs.
    async fn check_container(&mut self) -> Result<(), KubeError> {
        let _permit = self.poll_permit().await;
        let Following { cluster, namespace, .. } = &*self.shared.following;
        let pod = match cluster.get(Kind::Pod, Some(namespace), &self.source.pod).await {
            Ok(pod) => pod.and_then(|pod| serde_json::from_value::<Pod>(pod).ok()),
            Err(error) if error.is_transient() => return Ok(()),
            Err(error) => return Err(error),
        };
        let Some(pod) = pod else {
            // The pod and its log were deleted.
            self.over = true;
            return Ok(());
        };
        if !sources::is_still_running(&pod, &self.source) {
            self.over = true;
            // After a restart, the log is that of the previous container.
            self.source.previous |= sources::restarts(&pod, &self.source) == self.source.restarts + 1;
        }
        Ok(())
    }

    /// Opens the log at the next position and reads it.
    async fn read_once(&mut self) -> Result<ReadEnd, KubeError> {
        // A complete log is read quickly, and does not count as followed.
        let followed = if self.over {
            None
        } else {
            Arc::clone(&self.shared.followed).try_acquire_owned().ok()
        };
        let follows = followed.is_some();
        if !follows && !self.over {
            self.shared.is_polling.store(true, Ordering::Relaxed);
        }
        let _permit = match followed {
            Some(permit) => permit,
            None => self.poll_permit().await,
        };
        let options = self.next_options(follows);
        self.filter.restart();
        let Following { cluster, namespace, .. } = &*self.shared.following;
        let log = cluster
            .pod_logs(namespace, &self.source.pod, &self.source.container, &options)
            .await;
        let log = match log {
            // The node has removed the log of the previous container.
            Err(KubeError::Refused { code: 400, .. }) if self.source.previous => return Ok(ReadEnd::Ended),
            log => log?,
        };
        (self.opened, self.tries) = (true, 0);
        Ok(self.lines(log, follows).await)
    }

    async fn poll_permit(&self) -> OwnedSemaphorePermit {
        let permits = Arc::clone(&self.shared.polled);
        match permits.acquire_owned().await {
            Ok(permit) => permit,
            // The semaphore is never closed.
            Err(_) => std::future::pending().await,
        }
    }

    fn next_options(&self, follow: bool) -> LogOptions {
        let mut options = LogOptions {
            follow,
            timestamps: true,
            previous: self.source.previous,
            ..self.options.clone()
        };
        if self.opened {
            options.tail_lines = None;
        }
        options.since_time = self.filter.since();
        options.since_seconds = match options.since_time {
            Some(_) => None,
            // `since_seconds` is relative to the current time.
            None => self.options.since_seconds.map(|seconds| {
                let since = i64::try_from(self.begun.elapsed().as_secs()).unwrap_or(i64::MAX);
                seconds.saturating_add(since)
            }),
        };
        if options.since_time.is_some() {
            options.tail_lines = None;
        }
        options
    }

    /// Forwards new lines until the log or its connection ends.
    async fn lines(&mut self, mut log: impl AsyncBufRead + Unpin, follows: bool) -> ReadEnd {
        let mut finish = self.shared.finish.clone();
        let with_times = self.shared.following.options.timestamps;
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let read = tokio::select! {
                read = next_line(&mut log, &mut bytes, follows) => read,
                // The rest is read again without following.
                _ = finish.wait_for(|finish| *finish), if follows => return ReadEnd::Ended,
            };
            let is_broken = read.is_err();
            let is_whole = bytes.ends_with(b"\n") || bytes.len() as u64 == MAX_LINE_BYTES;
            // An incomplete line is read again from its start.
            if bytes.is_empty() || (!is_whole && (is_broken || !self.over)) {
                return ReadEnd::Ended;
            }
            let Line { time, text } = line::split(&bytes);
            if self.filter.is_new(time, text) {
                let line = line::with_prefix(&self.source, if with_times { &bytes } else { text });
                if self.shared.sender.send(line).await.is_err() {
                    return ReadEnd::Closed;
                }
            }
            if is_broken {
                return ReadEnd::Ended;
            }
        }
    }
}

/// Reads the next line, or its first [`MAX_LINE_BYTES`] bytes.
///
/// # Cancel safety
///
/// The bytes up to the drop are in `bytes`, and are no longer in `log`: the caller then reads the log again from its last whole line.
async fn next_line(log: &mut (impl AsyncBufRead + Unpin), bytes: &mut Vec<u8>, follows: bool) -> io::Result<usize> {
    let mut part = log.take(MAX_LINE_BYTES);
    let reading = part.read_until(b'\n', bytes);
    if follows {
        return reading.await;
    }
    match tokio::time::timeout(STALL_TIMEOUT, reading).await {
        Ok(read) => read,
        Err(stalled) => Err(io::Error::new(io::ErrorKind::TimedOut, stalled)),
    }
}
