//! A full volume. Writes that the run depends on wait for free space; this is reported once, in the log and as an Event.
//! The run loses nothing.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sono_bundle::{PackError, SealError, StoreError};
use sono_types::error_chain;

use crate::{
    clock::backoff,
    error::{JournalError, RunError},
};

/// The pause before the second attempt; it doubles up to [`LAST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// Maximum number of reports outside of the log: a volume may be full repeatedly.
const MAX_REPORTS: usize = 20;

/// An error that a full disk may have caused.
pub(crate) trait IsDiskFull: std::error::Error {
    /// Whether the disk is full or a quota is used up.
    fn is_full(&self) -> bool;
}

impl IsDiskFull for io::Error {
    fn is_full(&self) -> bool {
        matches!(self.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

impl IsDiskFull for StoreError {
    fn is_full(&self) -> bool {
        Self::is_full(self)
    }
}

impl IsDiskFull for SealError {
    fn is_full(&self) -> bool {
        match self {
            Self::Pack(PackError::Write(source)) => source.is_full(),
            Self::Pack(_) => false,
            Self::Store(error) => error.is_full(),
        }
    }
}

impl IsDiskFull for JournalError {
    fn is_full(&self) -> bool {
        match self {
            Self::File { source, .. } => source.is_full(),
            Self::Held(_) | Self::Damaged { .. } => false,
        }
    }
}

impl IsDiskFull for RunError {
    fn is_full(&self) -> bool {
        match self {
            Self::Prepare { source, .. } => source.is_full(),
            Self::Write(error) => error.is_full(),
            Self::Journal(error) => error.is_full(),
            _ => false,
        }
    }
}

type Report = Box<dyn Fn(&str) + Send + Sync>;

/// The tasks that wait for free disk space, and the callback that reports the first of them.
#[derive(Clone, Default)]
pub(crate) struct DiskFull(Arc<Shared>);

#[derive(Default)]
struct Shared {
    count: Mutex<Count>,
    report: Option<Report>,
}

#[derive(Default)]
struct Count {
    waiting: usize,
    reported: usize,
}

impl std::fmt::Debug for DiskFull {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("DiskFull").finish_non_exhaustive()
    }
}

impl DiskFull {
    /// `report` is called with a sentence when the first task begins to wait.
    pub(crate) fn new(report: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Shared {
            count: Mutex::default(),
            report: Some(Box::new(report)),
        }))
    }

    /// Counts another task that waits.
    pub(crate) fn wait(&self, what: &str, error: &str) -> DiskFullGuard {
        let is_first = {
            let mut count = self.0.count.lock().unwrap_or_else(PoisonError::into_inner);
            count.waiting += 1;
            let first = count.waiting == 1;
            count.reported += usize::from(first);
            first && count.reported <= MAX_REPORTS
        };
        tracing::error!(
            error,
            "the volume is full: {what} is waiting for free space; use a larger volume, or remove files that do not belong to the run"
        );
        if let Some(say) = self.0.report.as_ref().filter(|_| is_first) {
            say(&format!(
                "the volume is full: {what} is waiting for free space ({error})"
            ));
        }
        DiskFullGuard(self.clone())
    }

    /// Runs `work` on the blocking pool, and retries while the disk is full. Any other error is returned. Failed work must leave
    /// nothing behind.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop an attempt that runs on the blocking pool; no further one is made.
    pub(crate) async fn retry<T, E>(
        &self,
        what: &str,
        work: impl Fn() -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: IsDiskFull + Send + 'static,
    {
        let work = Arc::new(work);
        let (mut waits, mut pauses) = (None, backoff(FIRST_PAUSE, LAST_PAUSE));
        loop {
            let now = Arc::clone(&work);
            match tokio::task::spawn_blocking(move || now()).await {
                Ok(Err(error)) if error.is_full() => {
                    waits.get_or_insert_with(|| self.wait(what, &error_chain(&error)));
                    tokio::time::sleep(pauses.next().unwrap_or(LAST_PAUSE)).await;
                }
                Ok(done) => {
                    if let Some(waits) = waits {
                        DiskFullGuard::end(waits, what);
                    }
                    return done;
                }
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // The runtime ends, and this task with it.
                    Err(_) => std::future::pending().await,
                },
            }
        }
    }
}

/// Counts a task that waits for free disk space, until it is dropped.
#[derive(Debug)]
pub(crate) struct DiskFullGuard(DiskFull);

impl DiskFullGuard {
    /// Ends the wait and logs that the disk has space.
    pub(crate) fn end(waits: Self, what: &str) {
        drop(waits);
        tracing::info!("the volume has free space again: {what} resumed");
    }
}

impl Drop for DiskFullGuard {
    fn drop(&mut self) {
        let mut count = self.0.0.count.lock().unwrap_or_else(PoisonError::into_inner);
        count.waiting -= 1;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    pub(crate) fn disk_full_error() -> io::Error {
        io::Error::from(io::ErrorKind::StorageFull)
    }

    /// A [`DiskFull`] and the reports that it makes.
    pub(crate) fn listening() -> (Arc<Mutex<Vec<String>>>, DiskFull) {
        let reported = Arc::<Mutex<Vec<String>>>::default();
        let heard = Arc::clone(&reported);
        let disk_full = DiskFull::new(move |what| heard.lock().unwrap().push(what.to_owned()));
        (reported, disk_full)
    }

    #[tokio::test(start_paused = true)]
    async fn write_on_full_disk_is_retried_and_reported_once() {
        let (reported, disk_full) = listening();
        let tries = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&tries);
        let done = disk_full.retry("a file", move || match seen.fetch_add(1, Relaxed) {
            0..100 => Err(disk_full_error()),
            number => Ok(number),
        });
        let other = disk_full.retry("another", move || Ok::<_, io::Error>(()));
        let (done, other) = tokio::join!(done, other);
        assert_eq!((done.unwrap(), other.unwrap()), (100, ()));
        assert_eq!(
            *reported.lock().unwrap(),
            ["the volume is full: a file is waiting for free space (no storage space)"]
        );
        assert_eq!(disk_full.0.count.lock().unwrap().waiting, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn error_other_than_disk_full_is_not_retried() {
        let (reported, disk_full) = listening();
        let failed = disk_full
            .retry("a file", || {
                Err::<(), _>(io::Error::from(io::ErrorKind::PermissionDenied))
            })
            .await;
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(*reported.lock().unwrap(), Vec::<String>::new());
    }

    /// The number of reports is limited, and tasks that wait at the same time are reported once.
    #[test]
    fn disk_full_reports_are_limited() {
        let (reported, disk_full) = listening();
        let first = disk_full.wait("one", "full");
        drop(disk_full.wait("two", "full"));
        assert_eq!(reported.lock().unwrap().len(), 1);
        drop(first);
        for _ in 0..100 {
            drop(disk_full.wait("three", "full"));
        }
        assert_eq!(reported.lock().unwrap().len(), MAX_REPORTS);
    }
}
