//! The quota of uploads: concurrent requests per result, and bytes on disk.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use sono_types::{ResultKey, UploadLimits};

use crate::ingest::error::UploadError;

/// The quota that all uploads of a run share.
#[derive(Debug)]
pub(crate) struct UploadQuota {
    per_result: usize,
    max_bytes: u64,
    results: Mutex<BTreeMap<ResultKey, usize>>,
    bytes: AtomicU64,
    /// Bytes of the run's log, which is on the same disk.
    log: OnceLock<Arc<AtomicU64>>,
}

impl UploadQuota {
    /// The quota of a run with `present` bytes of results.
    pub(crate) fn new(limits: &UploadLimits, present: u64) -> Self {
        Self {
            per_result: limits.max_uploads_per_result,
            max_bytes: limits.max_total_bytes,
            results: Mutex::default(),
            bytes: AtomicU64::new(present),
            log: OnceLock::new(),
        }
    }

    /// Counts these bytes of the run's log with those of results.
    pub(crate) fn count_log(&self, log: Arc<AtomicU64>) {
        self.log.get_or_init(|| log);
    }

    /// Maximum size of all results in bytes.
    fn max_bytes(&self) -> u64 {
        let log = self.log.get().map_or(0, |log| log.load(Ordering::Relaxed));
        self.max_bytes.saturating_sub(log)
    }

    /// Counts another request for this result until the guard is dropped, or returns the reason for the refusal.
    pub(crate) fn enter(self: &Arc<Self>, key: &ResultKey) -> Result<RequestGuard, UploadError> {
        let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        let count = results.entry(key.clone()).or_default();
        if *count >= self.per_result {
            return Err(UploadError::TooManyRequests(format!(
                "result {key} already has {count} concurrent uploads, the limit"
            )));
        }
        *count += 1;
        Ok(RequestGuard {
            quota: Arc::clone(self),
            key: key.clone(),
        })
    }
}

/// One request for one result.
#[derive(Debug)]
pub(crate) struct RequestGuard {
    quota: Arc<UploadQuota>,
    key: ResultKey,
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        let mut results = self.quota.results.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = results.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                results.remove(&self.key);
            }
        }
    }
}

/// Bytes on disk that one upload reserves; released on drop, unless they are retained.
#[derive(Debug)]
pub(crate) struct Reservation {
    quota: Arc<UploadQuota>,
    bytes: u64,
}

impl Reservation {
    pub(crate) fn new(quota: Arc<UploadQuota>) -> Self {
        Self { quota, bytes: 0 }
    }

    /// Reserves more bytes, or returns the reason for the refusal.
    pub(crate) fn grow(&mut self, bytes: u64) -> Result<(), UploadError> {
        let limit = self.quota.max_bytes();
        let take = |taken: u64| taken.checked_add(bytes).filter(|sum| *sum <= limit);
        let taken = self
            .quota
            .bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        if taken.is_err() {
            return Err(UploadError::Full(self.limit()));
        }
        self.bytes += bytes;
        Ok(())
    }

    /// The text of a refusal.
    pub(crate) fn limit(&self) -> String {
        format!(
            "the results of this run would exceed the limit of {} bytes (UploadLimits.MaxTotalBytes)",
            self.quota.max_bytes
        )
    }

    /// Bytes that are not reserved.
    pub(crate) fn left(&self) -> u64 {
        self.quota
            .max_bytes()
            .saturating_sub(self.quota.bytes.load(Ordering::Relaxed))
    }

    /// Counts the `bytes` that the upload takes on disk from now on. They were checked before, so the sum exceeds the limit by at
    /// most the bytes that concurrent uploads reserved meanwhile.
    pub(crate) fn retain(&mut self, bytes: u64) {
        self.quota.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts the reserved bytes also after the drop.
    pub(crate) fn retain_all(&mut self) {
        self.bytes = 0;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.quota.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use sono_types::{PluginName, Target};

    use super::*;

    #[test]
    fn each_quota_is_enforced_and_named() {
        let limits = UploadLimits {
            max_uploads_per_result: 1,
            max_total_bytes: 10,
            ..UploadLimits::DEFAULT
        };
        let quota = Arc::new(UploadQuota::new(&limits, 3));
        let key = ResultKey::new(PluginName::parse("p").unwrap(), Target::Global);
        let turn = quota.enter(&key).unwrap();
        assert_eq!(
            quota.enter(&key).unwrap_err().to_string(),
            "result p/global already has 1 concurrent uploads, the limit"
        );
        drop(turn);
        assert!(quota.enter(&key).is_ok());
        let mut reservation = Reservation::new(Arc::clone(&quota));
        reservation.grow(7).unwrap();
        assert_eq!(
            reservation.grow(1).unwrap_err().to_string(),
            "the results of this run would exceed the limit of 10 bytes (UploadLimits.MaxTotalBytes)"
        );
        drop(reservation);
        let mut retained = Reservation::new(Arc::clone(&quota));
        retained.grow(4).unwrap();
        retained.retain(2);
        drop(retained);
        assert_eq!(Reservation::new(Arc::clone(&quota)).left(), 5);
    }

    /// The run's log is on the same disk and grows with each request, so it counts.
    #[test]
    fn log_is_counted_with_the_results() {
        let limits = UploadLimits {
            max_total_bytes: 10,
            ..UploadLimits::DEFAULT
        };
        let log = Arc::new(AtomicU64::new(4));
        let quota = UploadQuota::new(&limits, 3);
        quota.count_log(Arc::clone(&log));
        let mut reservation = Reservation::new(Arc::new(quota));
        assert_eq!(reservation.left(), 3);
        assert!(reservation.grow(4).is_err());
        reservation.grow(2).unwrap();
        log.store(20, Ordering::Relaxed);
        assert_eq!(reservation.left(), 0);
        assert!(reservation.grow(1).is_err());
    }
}
