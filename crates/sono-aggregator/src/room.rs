//! How much is received at the same time, and how much may lie on disk.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use sono_types::{PluginName, ResultKey, UploadLimits};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limit::Connections;

/// How long a body may bring next to nothing while others wait for its seat.
pub(crate) const PATIENCE_WHILE_OTHERS_WAIT: Duration = Duration::from_secs(5);
/// What is next to nothing in that time.
const LEAST_WHILE_OTHERS_WAIT: usize = 4 << 10;

/// What all uploads of a run share.
#[derive(Debug)]
pub(crate) struct Room {
    connections: Connections,
    per_result: usize,
    per_plugin: usize,
    max_bytes: u64,
    results: Mutex<BTreeMap<ResultKey, usize>>,
    plugins: Mutex<BTreeMap<PluginName, Arc<Seats>>>,
    bytes: AtomicU64,
}

impl Room {
    /// Room for results of which `present` bytes are there already.
    pub(crate) fn new(limits: &UploadLimits, present: u64, connections: &Connections) -> Self {
        Self {
            connections: connections.clone(),
            per_result: limits.max_uploads_per_result,
            per_plugin: limits.max_uploads_per_plugin.min(Semaphore::MAX_PERMITS),
            max_bytes: limits.max_total_bytes,
            results: Mutex::default(),
            plugins: Mutex::default(),
            bytes: AtomicU64::new(present),
        }
    }

    /// One more request for this result, until the value is dropped; or why not.
    pub(crate) fn enter(self: &Arc<Self>, key: &ResultKey) -> Result<Turn, String> {
        let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        let count = results.entry(key.clone()).or_default();
        if *count >= self.per_result {
            return Err(format!(
                "result {key} is being sent {count} times already, which is the limit"
            ));
        }
        *count += 1;
        Ok(Turn {
            room: Arc::clone(self),
            key: key.clone(),
        })
    }

    /// One of the plugin's seats, when there is one within `patience`. First come, first served.
    pub(crate) async fn seat(&self, plugin: &PluginName, patience: Duration) -> Result<Seat, String> {
        let seats = {
            let mut plugins = self.plugins.lock().unwrap_or_else(PoisonError::into_inner);
            let new = || {
                Arc::new(Seats {
                    free: Arc::new(Semaphore::new(self.per_plugin)),
                    waiting: AtomicUsize::new(0),
                })
            };
            Arc::clone(plugins.entry(plugin.clone()).or_insert_with(new))
        };
        let waits = Waits::new(&seats);
        let permit = tokio::time::timeout(patience, Arc::clone(&seats.free).acquire_owned()).await;
        drop(waits);
        match permit {
            Ok(Ok(permit)) => Ok(Seat {
                connections: self.connections.clone(),
                seats,
                _permit: permit,
                waited: Duration::ZERO,
                brought: 0,
            }),
            Ok(Err(_)) | Err(_) => Err(format!(
                "plugin {plugin} sends {} results at the same time, which is the limit",
                self.per_plugin
            )),
        }
    }
}

/// The seats of one plugin.
#[derive(Debug)]
struct Seats {
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// Counts as waiting until it is dropped.
struct Waits<'a>(&'a Seats);

impl<'a> Waits<'a> {
    fn new(seats: &'a Seats) -> Self {
        seats.waiting.fetch_add(1, Ordering::Relaxed);
        Self(seats)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The right to have a body received. Whoever stalls keeps it while nobody else wants it.
#[derive(Debug)]
pub(crate) struct Seat {
    connections: Connections,
    seats: Arc<Seats>,
    _permit: OwnedSemaphorePermit,
    /// How long the body has been waited for since it was looked at last.
    waited: Duration,
    /// What it has brought meanwhile.
    brought: usize,
}

impl Seat {
    /// Takes note that the body was waited for so long, by whoever receives it and not because of our own disk, and brought
    /// so much. False when it has to give way: others wait, and it brings next to nothing.
    pub(crate) fn may_stay(&mut self, waited: Duration, brought: usize) -> bool {
        self.waited += waited;
        self.brought += brought;
        if self.waited < PATIENCE_WHILE_OTHERS_WAIT {
            return true;
        }
        let others_wait = self.seats.waiting.load(Ordering::Relaxed) > 0 || self.connections.are_taken();
        let stays = self.brought >= LEAST_WHILE_OTHERS_WAIT || !others_wait;
        self.waited = Duration::ZERO;
        self.brought = 0;
        stays
    }
}

/// One request for one result.
#[derive(Debug)]
pub(crate) struct Turn {
    room: Arc<Room>,
    key: ResultKey,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut results = self.room.results.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = results.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                results.remove(&self.key);
            }
        }
    }
}

/// Bytes on disk for one upload; they are free again when it is dropped, unless they are kept.
#[derive(Debug)]
pub(crate) struct Reserved {
    room: Arc<Room>,
    bytes: u64,
}

impl Reserved {
    pub(crate) fn new(room: Arc<Room>) -> Self {
        Self { room, bytes: 0 }
    }

    /// Takes more, or says why not.
    pub(crate) fn grow(&mut self, bytes: u64) -> Result<(), String> {
        let take = |taken: u64| taken.checked_add(bytes).filter(|sum| *sum <= self.room.max_bytes);
        let taken = self.room.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        if taken.is_err() {
            return Err(self.limit());
        }
        self.bytes += bytes;
        Ok(())
    }

    /// What a refusal says.
    pub(crate) fn limit(&self) -> String {
        format!(
            "the results of this run would take more than the limit of {} bytes",
            self.room.max_bytes
        )
    }

    /// Bytes that nobody has taken.
    pub(crate) fn left(&self) -> u64 {
        self.room
            .max_bytes
            .saturating_sub(self.room.bytes.load(Ordering::Relaxed))
    }

    /// The upload became `bytes` on disk, which stay. They were looked at before, so the sum may go beyond the limit only
    /// by what others took meanwhile.
    pub(crate) fn keep(&mut self, bytes: u64) {
        self.room.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What was taken stays.
    pub(crate) fn keep_all(&mut self) {
        self.bytes = 0;
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.room.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use sono_types::Target;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_bound_holds_and_says_which_it_is() {
        let limits = UploadLimits {
            max_uploads_per_result: 1,
            max_uploads_per_plugin: 1,
            max_total_bytes: 10,
            ..UploadLimits::DEFAULT
        };
        let room = Arc::new(Room::new(&limits, 3, &Connections::new(&limits)));
        let key = ResultKey::new(PluginName::parse("p").unwrap(), Target::Global);
        let turn = room.enter(&key).unwrap();
        assert_eq!(
            room.enter(&key).unwrap_err(),
            "result p/global is being sent 1 times already, which is the limit"
        );
        drop(turn);
        assert!(room.enter(&key).is_ok());
        let patience = Duration::from_secs(5);
        let seat = room.seat(&key.plugin, patience).await.unwrap();
        assert_eq!(
            room.seat(&key.plugin, patience).await.unwrap_err(),
            "plugin p sends 1 results at the same time, which is the limit"
        );
        drop(seat);
        assert!(room.seat(&key.plugin, patience).await.is_ok());
        let mut reserved = Reserved::new(Arc::clone(&room));
        reserved.grow(7).unwrap();
        assert_eq!(
            reserved.grow(1).unwrap_err(),
            "the results of this run would take more than the limit of 10 bytes"
        );
        drop(reserved);
        let mut kept = Reserved::new(Arc::clone(&room));
        kept.grow(4).unwrap();
        kept.keep(2);
        drop(kept);
        assert_eq!(Reserved::new(Arc::clone(&room)).left(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn who_brings_nothing_gives_way_only_to_others() {
        let limits = UploadLimits {
            max_uploads_per_plugin: 1,
            ..UploadLimits::DEFAULT
        };
        let room = Arc::new(Room::new(&limits, 0, &Connections::new(&limits)));
        let plugin = PluginName::parse("p").unwrap();
        let (patience, moment) = (Duration::from_mins(1), Duration::from_secs(1));
        let mut seat = room.seat(&plugin, patience).await.unwrap();
        assert!(seat.may_stay(PATIENCE_WHILE_OTHERS_WAIT, 0), "nobody waits");
        let mut next = std::pin::pin!(room.seat(&plugin, patience));
        assert!(futures::poll!(next.as_mut()).is_pending());
        assert!(
            seat.may_stay(PATIENCE_WHILE_OTHERS_WAIT, LEAST_WHILE_OTHERS_WAIT),
            "it moves"
        );
        assert!(
            seat.may_stay(PATIENCE_WHILE_OTHERS_WAIT.saturating_sub(moment), 0),
            "it has just begun"
        );
        assert!(!seat.may_stay(moment, LEAST_WHILE_OTHERS_WAIT - 1));
        drop(seat);
        let mut seat = next.await.unwrap();
        assert!(seat.may_stay(PATIENCE_WHILE_OTHERS_WAIT, 0), "nobody waits any more");
        let none = Connections::new(&UploadLimits {
            max_connections: 0,
            ..limits.clone()
        });
        let room = Arc::new(Room::new(&limits, 0, &none));
        let mut seat = room.seat(&plugin, patience).await.unwrap();
        assert!(
            !seat.may_stay(PATIENCE_WHILE_OTHERS_WAIT, 0),
            "others cannot even connect"
        );
    }
}
