//! Reading one container's log to its end, however often it breaks off.

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
    shown::Shown,
    sources::{self, Source},
};

/// Logs that are followed at the same time, each with a connection of its own.
pub(super) const FOLLOWED: usize = 224;
/// Connections by which the others are read in turns.
const IN_TURNS: usize = 32;
/// Before a log that broke off or ended is read again, and at most where it cannot be read.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How often a log is asked for that the server refuses to give, such as one of a container that is about to start.
const TRIES: u32 = 10;
/// How long nothing may arrive of a log that is not followed.
const STALLED: Duration = Duration::from_secs(30);
/// Bytes of a line that is read at once.
const MAX_LINE: u64 = 1 << 20;

/// What all readers share.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) following: Arc<Following>,
    pub(super) sender: mpsc::Sender<Vec<u8>>,
    /// The run is over: what is there now is all.
    pub(super) finish: watch::Receiver<bool>,
    followed: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    /// Some logs are read in turns.
    pub(super) takes_turns: Arc<AtomicBool>,
}

impl Shared {
    pub(super) fn new(following: Following, sender: mpsc::Sender<Vec<u8>>, finish: watch::Receiver<bool>) -> Self {
        Self {
            following: Arc::new(following),
            sender,
            finish,
            followed: Arc::new(Semaphore::new(FOLLOWED)),
            turns: Arc::new(Semaphore::new(IN_TURNS)),
            takes_turns: Arc::default(),
        }
    }
}

/// Reads one log.
pub(super) struct Reader {
    shared: Shared,
    source: Source,
    /// What is asked for the first time.
    options: LogOptions,
    begun: Instant,
    shown: Shown,
    /// The log has been opened: its first part is no longer cut off.
    opened: bool,
    /// Nothing is added to the log any more.
    over: bool,
    /// How often in a row it could not be read.
    tries: u32,
}

/// Why reading paused.
enum Part {
    /// The log, or its connection, ended.
    Ended,
    /// The output is closed.
    Closed,
}

impl Reader {
    /// `options` choose the part of the log that is read first.
    pub(super) fn new(shared: Shared, source: Source, options: LogOptions) -> Self {
        Self {
            shared,
            source,
            shown: Shown::new(options.tail_lines.is_some() || options.since_seconds.is_some()),
            options,
            begun: Instant::now(),
            opened: false,
            over: false,
            tries: 0,
        }
    }

    /// Reads until the container has ended, or the run.
    ///
    /// # Errors
    ///
    /// The server refuses to give the log.
    pub(super) async fn run(mut self) -> Result<(), (Source, KubeError)> {
        match self.read().await {
            Ok(()) => Ok(()),
            Err(error) => Err((self.source, error)),
        }
    }

    async fn read(&mut self) -> Result<(), KubeError> {
        loop {
            if !self.over && *self.shared.finish.borrow() {
                self.look().await?;
                self.over = true;
            }
            // A log ends for good only if it was over before it was opened.
            let was_over = self.over;
            match self.read_once().await {
                Ok(Part::Closed) => return Ok(()),
                Ok(Part::Ended) if was_over => return Ok(()),
                Ok(Part::Ended) => {}
                Err(error) if error.is_not_found() => return Ok(()),
                Err(error) if !self.may_try_again(&error) => return Err(error),
                Err(error) => tracing::debug!(source = %self.source, %error, "reading a log"),
            }
            self.pause().await;
            if !self.over {
                self.look().await?;
            }
        }
    }

    fn may_try_again(&mut self, error: &KubeError) -> bool {
        self.tries += 1;
        // Once the run has ended, a server that does not answer is given up after two tries.
        let finishes = *self.shared.finish.borrow() && self.tries > 2;
        let is_early = matches!(error, KubeError::Refused { code: 400, .. }) && self.tries < TRIES;
        !finishes && (error.is_transient() || is_early)
    }

    async fn pause(&mut self) {
        if *self.shared.finish.borrow() {
            return;
        }
        let pause = PAUSE.saturating_mul(self.tries.max(1)).min(LONGEST_PAUSE);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = self.shared.finish.wait_for(|finish| *finish) => {}
        }
    }

    /// Finds out whether the container still writes.
    async fn look(&mut self) -> Result<(), KubeError> {
        let _turn = self.turn().await;
        let Following { cluster, namespace, .. } = &*self.shared.following;
        let pod = match cluster.get(Kind::Pod, Some(namespace), &self.source.pod).await {
            Ok(pod) => pod.and_then(|pod| serde_json::from_value::<Pod>(pod).ok()),
            Err(error) if error.is_transient() => return Ok(()),
            Err(error) => return Err(error),
        };
        let Some(pod) = pod else {
            // What could not be read is gone.
            self.over = true;
            return Ok(());
        };
        if !sources::is_still_running(&pod, &self.source) {
            self.over = true;
            // The log of one that was started again since has another name.
            self.source.previous |= sources::restarts(&pod, &self.source) == self.source.restarts + 1;
        }
        Ok(())
    }

    /// Opens the log where it is to be read next, and reads it.
    async fn read_once(&mut self) -> Result<Part, KubeError> {
        // One that is over is read in a moment, and needs no place among those that are followed.
        let followed = if self.over {
            None
        } else {
            Arc::clone(&self.shared.followed).try_acquire_owned().ok()
        };
        let follows = followed.is_some();
        if !follows && !self.over {
            self.shared.takes_turns.store(true, Ordering::Relaxed);
        }
        let _permit = match followed {
            Some(permit) => permit,
            None => self.turn().await,
        };
        let options = self.next_options(follows);
        self.shown.again();
        let Following { cluster, namespace, .. } = &*self.shared.following;
        let log = cluster
            .pod_logs(namespace, &self.source.pod, &self.source.container, &options)
            .await;
        let log = match log {
            // There is no log of the container before where the node has removed it.
            Err(KubeError::Refused { code: 400, .. }) if self.source.previous => return Ok(Part::Ended),
            log => log?,
        };
        (self.opened, self.tries) = (true, 0);
        Ok(self.lines(log, follows).await)
    }

    async fn turn(&self) -> OwnedSemaphorePermit {
        let turns = Arc::clone(&self.shared.turns);
        match turns.acquire_owned().await {
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
        options.since_time = self.shown.since();
        options.since_seconds = match options.since_time {
            Some(_) => None,
            // It counts back from now.
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

    /// Hands on what is new. A connection that breaks ends the log; what came is printed.
    async fn lines(&mut self, mut log: impl AsyncBufRead + Unpin, follows: bool) -> Part {
        let mut finish = self.shared.finish.clone();
        let with_times = self.shared.following.options.timestamps;
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let read = tokio::select! {
                read = next_line(&mut log, &mut bytes, follows) => read,
                // The rest is read once more without waiting for what may follow.
                _ = finish.wait_for(|finish| *finish), if follows => return Part::Ended,
            };
            let is_broken = read.is_err();
            let is_whole = bytes.ends_with(b"\n") || bytes.len() as u64 == MAX_LINE;
            // The rest of a line comes when the log is read again, which is from the line's beginning.
            if bytes.is_empty() || (!is_whole && (is_broken || !self.over)) {
                return Part::Ended;
            }
            let Line { time, text } = line::split(&bytes);
            if self.shown.is_new(time, text) {
                let line = line::with_prefix(&self.source, if with_times { &bytes } else { text });
                if self.shared.sender.send(line).await.is_err() {
                    return Part::Closed;
                }
            }
            if is_broken {
                return Part::Ended;
            }
        }
    }
}

/// The next line, or as much of it as is read at once.
async fn next_line(log: &mut (impl AsyncBufRead + Unpin), bytes: &mut Vec<u8>, follows: bool) -> io::Result<usize> {
    let mut part = log.take(MAX_LINE);
    let reading = part.read_until(b'\n', bytes);
    if follows {
        return reading.await;
    }
    match tokio::time::timeout(STALLED, reading).await {
        Ok(read) => read,
        Err(stalled) => Err(io::Error::new(io::ErrorKind::TimedOut, stalled)),
    }
}
