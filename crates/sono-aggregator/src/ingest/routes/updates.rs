//! Bodies of progress updates, within a memory budget that does not depend on the number of connections.
//!
//! A body acquires its part of the budget before it is read and releases it once the update is part of the run's state; further bodies
//! wait unread. A suite of thousands of tests may name each failed test, so updates may be large: beyond [`MAX_SMALL_BYTES`] bytes a
//! body also requires a turn. Each plugin has one turn, all plugins together have [`MAX_LARGE_UPDATES`]: with the small ones that is about 20 MiB of
//! bodies, and as much of parsed updates. The budget of a plugin is less than the total, so one plugin cannot block the others.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    body::{Body, HttpBody as _},
    http::StatusCode,
};
use futures::StreamExt as _;
use sono_types::PluginName;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Size up to which an update requires no turn, in bytes.
const MAX_SMALL_BYTES: usize = 64 << 10;
/// Minimum budget of an update, in bytes.
const MIN_BUDGET_BYTES: usize = 1 << 10;
/// Budget of small updates of one plugin, in bytes.
const PLUGIN_BYTES: usize = 1 << 20;
/// Budget of small updates of all plugins, in bytes.
const ALL_BYTES: usize = 8 * PLUGIN_BYTES;
/// Number of large updates of all plugins in memory at a time.
const MAX_LARGE_UPDATES: usize = 3;
/// Limit on the transfer of a large update after it has its turns.
const LARGE_UPDATE_LIMIT: Duration = Duration::from_secs(5);

/// The budgets of all plugins. A slow plugin delays only its own updates.
#[derive(Clone)]
pub(crate) struct Updates {
    all: Share,
    plugins: Arc<Mutex<BTreeMap<PluginName, Share>>>,
}

impl Default for Updates {
    fn default() -> Self {
        Self {
            all: Share::new(ALL_BYTES, MAX_LARGE_UPDATES),
            plugins: Arc::default(),
        }
    }
}

/// A budget: bytes of small updates, and turns of large ones.
#[derive(Clone)]
struct Share {
    bytes: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

impl Share {
    fn new(bytes: usize, turns: usize) -> Self {
        Self {
            bytes: Arc::new(Semaphore::new(bytes)),
            turns: Arc::new(Semaphore::new(turns)),
        }
    }

    async fn bytes(&self, count: u32) -> Result<OwnedSemaphorePermit, BodyError> {
        let permit = Arc::clone(&self.bytes).acquire_many_owned(count).await;
        permit.map_err(|_| BodyError::TooSlow)
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, BodyError> {
        let permit = Arc::clone(&self.turns).acquire_owned().await;
        permit.map_err(|_| BodyError::TooSlow)
    }
}

/// A complete body.
pub(super) struct Update {
    pub(super) bytes: Vec<u8>,
    /// Its part of the budget, which also covers the parsed update.
    pub(super) held: Vec<OwnedSemaphorePermit>,
}

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyError {
    /// It is too long or ends early.
    Content,
    /// A large body did not arrive within its turn.
    TooSlow,
}

impl BodyError {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Content => StatusCode::BAD_REQUEST,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
        }
    }
}

impl Updates {
    /// Reads a body of at most `most` bytes. The request as a whole has a time limit.
    ///
    /// The plugin is that of the client's certificate, so the number of budgets is at most that of the run's plugins.
    pub(super) async fn read(&self, plugin: &PluginName, body: Body, most: usize) -> Result<Update, BodyError> {
        let hint = body.size_hint();
        let announced = hint.exact().map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        if announced.is_some_and(|bytes| bytes > most) {
            return Err(BodyError::Content);
        }
        let own = self.share(plugin);
        // In this order, and each at once: no holder of a part of a budget waits for more of the same budget.
        let count = u32::try_from(
            announced
                .unwrap_or(MAX_SMALL_BYTES)
                .clamp(MIN_BUDGET_BYTES, MAX_SMALL_BYTES),
        )
        .map_err(|_| BodyError::Content)?;
        let mut held = vec![own.bytes(count).await?, self.all.bytes(count).await?];
        let mut stream = body.into_data_stream();
        let mut bytes = Vec::with_capacity(announced.unwrap_or_default().min(MAX_SMALL_BYTES));
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|_| BodyError::Content)?;
            if bytes.len() + piece.len() > MAX_SMALL_BYTES {
                held.extend([own.turn().await?, self.all.turn().await?]);
                bytes.reserve_exact(announced.unwrap_or_default().saturating_sub(bytes.len()));
                let read = async {
                    let mut next = Some(Ok(piece));
                    while let Some(piece) = next {
                        let piece = piece.map_err(|_| BodyError::Content)?;
                        if bytes.len() + piece.len() > most {
                            return Err(BodyError::Content);
                        }
                        bytes.extend_from_slice(&piece);
                        next = stream.next().await;
                    }
                    Ok(bytes)
                };
                let bytes = timeout(LARGE_UPDATE_LIMIT, read)
                    .await
                    .map_err(|_| BodyError::TooSlow)??;
                return Ok(Update { bytes, held });
            }
            bytes.extend_from_slice(&piece);
        }
        if bytes.len() > most {
            return Err(BodyError::Content);
        }
        Ok(Update { bytes, held })
    }

    fn share(&self, plugin: &PluginName) -> Share {
        let mut plugins = self.plugins.lock().unwrap_or_else(PoisonError::into_inner);
        let share = plugins.entry(plugin.clone());
        share.or_insert_with(|| Share::new(PLUGIN_BYTES, 1)).clone()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::body::Bytes;
    use futures::FutureExt as _;

    use super::*;

    const MOST: usize = 4 << 20;

    fn plugin(name: &str) -> PluginName {
        PluginName::parse(name).unwrap()
    }

    fn body(bytes: usize) -> Body {
        Body::from(vec![b'x'; bytes])
    }

    /// A body of unknown length, in chunks.
    fn pieces(count: usize, bytes: usize) -> Body {
        let pieces = std::iter::repeat_n(Ok::<_, Infallible>(Bytes::from(vec![b'x'; bytes])), count);
        Body::from_stream(futures::stream::iter(pieces))
    }

    /// A body that stalls after `bytes`.
    fn dripping(bytes: usize) -> Body {
        let first = futures::stream::once(async move { Ok::<_, Infallible>(Bytes::from(vec![b'x'; bytes])) });
        Body::from_stream(first.chain(futures::stream::pending()))
    }

    /// Eighty concurrent updates of 4 MB, each of them in memory with its parsed form, exceeded the container's limit.
    #[tokio::test]
    async fn large_update_waits_until_its_plugins_last_one_is_taken() {
        let updates = Updates::default();
        let (noisy, other) = (plugin("noisy"), plugin("other"));
        let first = updates.read(&noisy, body(MAX_SMALL_BYTES + 1), MOST).await.unwrap();
        assert_eq!(first.bytes.len(), MAX_SMALL_BYTES + 1);
        let second = updates.read(&noisy, pieces(2, MAX_SMALL_BYTES), MOST);
        tokio::pin!(second);
        assert!(second.as_mut().now_or_never().is_none());
        let small = updates.read(&noisy, body(MAX_SMALL_BYTES), MOST);
        assert_eq!(small.now_or_never().unwrap().unwrap().bytes.len(), MAX_SMALL_BYTES);
        let others = updates.read(&other, body(MAX_SMALL_BYTES + 1), MOST).now_or_never();
        assert_eq!(others.unwrap().unwrap().bytes.len(), MAX_SMALL_BYTES + 1);
        drop(first);
        assert_eq!(second.now_or_never().unwrap().unwrap().bytes.len(), 2 * MAX_SMALL_BYTES);
        for long in [
            body(MAX_SMALL_BYTES + 1),
            pieces(MAX_SMALL_BYTES + 1, 1),
            pieces(2, MAX_SMALL_BYTES),
        ] {
            assert_eq!(
                updates.read(&noisy, long, MAX_SMALL_BYTES).await.err(),
                Some(BodyError::Content),
                "too long"
            );
        }
        for long in [body(2), pieces(2, 1)] {
            assert_eq!(
                updates.read(&noisy, long, 1).await.err(),
                Some(BodyError::Content),
                "too long"
            );
        }
    }

    #[tokio::test]
    async fn small_updates_of_one_plugin_use_its_own_budget_only() {
        let updates = Updates::default();
        let (noisy, other) = (plugin("noisy"), plugin("other"));
        let mut slow: Vec<_> = (0..1000)
            .map(|_| Box::pin(updates.read(&noisy, dripping(1000), MOST)))
            .collect();
        for one in &mut slow {
            assert!(one.as_mut().now_or_never().is_none());
        }
        assert_eq!(updates.all.bytes.available_permits(), ALL_BYTES - PLUGIN_BYTES);
        assert_eq!(updates.share(&noisy).bytes.available_permits(), 0);
        let small = updates.read(&other, body(MAX_SMALL_BYTES), MOST).now_or_never();
        assert_eq!(small.unwrap().unwrap().bytes.len(), MAX_SMALL_BYTES);
        let waiting = updates.read(&noisy, body(1), MOST);
        tokio::pin!(waiting);
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(slow);
        assert_eq!(waiting.await.unwrap().bytes.len(), 1);
        assert_eq!(updates.all.bytes.available_permits(), ALL_BYTES);
    }

    #[tokio::test(start_paused = true)]
    async fn large_update_that_stalls_gives_its_turn_to_another_plugin() {
        let updates = Updates::default();
        let hostile: Vec<_> = (0..MAX_LARGE_UPDATES)
            .map(|number| plugin(&format!("hostile-{number}")))
            .collect();
        let slow = hostile
            .iter()
            .map(|name| updates.read(name, dripping(MAX_SMALL_BYTES + 1), MOST));
        let mut slow = Box::pin(futures::future::join_all(slow));
        assert!(slow.as_mut().now_or_never().is_none());
        let honest = plugin("honest");
        let large = updates.read(&honest, body(MOST), MOST);
        let (large, slow) = tokio::join!(timeout(2 * LARGE_UPDATE_LIMIT, large), slow);
        assert_eq!(large.unwrap().unwrap().bytes.len(), MOST);
        let ends: Vec<Option<BodyError>> = slow.into_iter().map(Result::err).collect();
        assert_eq!(ends, [Some(BodyError::TooSlow); MAX_LARGE_UPDATES]);
        assert_eq!(updates.all.turns.available_permits(), MAX_LARGE_UPDATES);
    }
}
