//! Bodies of progress updates, within a memory budget that does not depend on the number of connections.
//!
//! A body acquires its part of the budget before it is read and releases it when the update is part of the run's state; until then further
//! bodies wait, unread. A suite of thousands of tests may name each failed test, so updates may be large: beyond [`SMALL`] bytes a
//! body also requires a turn. Each plugin has one turn, all plugins together have [`LARGE_TURNS`]: with the small ones that is about 20 MiB of
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
const SMALL: usize = 64 << 10;
/// Least budget of an update, in bytes.
const LEAST: usize = 1 << 10;
/// Budget of small updates of one plugin, in bytes.
const PLUGIN_BYTES: usize = 1 << 20;
/// Budget of small updates of all plugins, in bytes.
const ALL_BYTES: usize = 8 * PLUGIN_BYTES;
/// Number of large updates of all plugins in memory at a time.
const LARGE_TURNS: usize = 3;
/// Limit on the transfer of a large update after it has its turns.
const LONGEST_TURN: Duration = Duration::from_secs(5);

/// The budgets of all plugins. A slow plugin delays only its own updates.
#[derive(Clone)]
pub(crate) struct Updates {
    all: Share,
    plugins: Arc<Mutex<BTreeMap<PluginName, Share>>>,
}

impl Default for Updates {
    fn default() -> Self {
        Self {
            all: Share::new(ALL_BYTES, LARGE_TURNS),
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

    async fn bytes(&self, count: u32) -> Result<OwnedSemaphorePermit, Unread> {
        let permit = Arc::clone(&self.bytes).acquire_many_owned(count).await;
        permit.map_err(|_| Unread::TooSlow)
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, Unread> {
        let permit = Arc::clone(&self.turns).acquire_owned().await;
        permit.map_err(|_| Unread::TooSlow)
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
pub(super) enum Unread {
    /// It is too long or ends early.
    Content,
    /// A large body did not arrive within its turn.
    TooSlow,
}

impl Unread {
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
    pub(super) async fn read(&self, plugin: &PluginName, body: Body, most: usize) -> Result<Update, Unread> {
        let hint = body.size_hint();
        let announced = hint.exact().map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        if announced.is_some_and(|bytes| bytes > most) {
            return Err(Unread::Content);
        }
        let own = self.share(plugin);
        // In this order, and each at once: no holder of a part of a budget waits for more of the same budget.
        let count = u32::try_from(announced.unwrap_or(SMALL).clamp(LEAST, SMALL)).map_err(|_| Unread::Content)?;
        let mut held = vec![own.bytes(count).await?, self.all.bytes(count).await?];
        let mut stream = body.into_data_stream();
        let mut bytes = Vec::with_capacity(announced.unwrap_or_default().min(SMALL));
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|_| Unread::Content)?;
            if bytes.len() + piece.len() > SMALL {
                held.extend([own.turn().await?, self.all.turn().await?]);
                bytes.reserve_exact(announced.unwrap_or_default().saturating_sub(bytes.len()));
                let read = async {
                    let mut next = Some(Ok(piece));
                    while let Some(piece) = next {
                        let piece = piece.map_err(|_| Unread::Content)?;
                        if bytes.len() + piece.len() > most {
                            return Err(Unread::Content);
                        }
                        bytes.extend_from_slice(&piece);
                        next = stream.next().await;
                    }
                    Ok(bytes)
                };
                let bytes = timeout(LONGEST_TURN, read).await.map_err(|_| Unread::TooSlow)??;
                return Ok(Update { bytes, held });
            }
            bytes.extend_from_slice(&piece);
        }
        if bytes.len() > most {
            return Err(Unread::Content);
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
        let first = updates.read(&noisy, body(SMALL + 1), MOST).await.unwrap();
        assert_eq!(first.bytes.len(), SMALL + 1);
        let second = updates.read(&noisy, pieces(2, SMALL), MOST);
        tokio::pin!(second);
        assert!(second.as_mut().now_or_never().is_none());
        let small = updates.read(&noisy, body(SMALL), MOST);
        assert_eq!(small.now_or_never().unwrap().unwrap().bytes.len(), SMALL);
        let others = updates.read(&other, body(SMALL + 1), MOST).now_or_never();
        assert_eq!(others.unwrap().unwrap().bytes.len(), SMALL + 1);
        drop(first);
        assert_eq!(second.now_or_never().unwrap().unwrap().bytes.len(), 2 * SMALL);
        for long in [body(SMALL + 1), pieces(SMALL + 1, 1), pieces(2, SMALL)] {
            assert_eq!(
                updates.read(&noisy, long, SMALL).await.err(),
                Some(Unread::Content),
                "too long"
            );
        }
        for long in [body(2), pieces(2, 1)] {
            assert_eq!(
                updates.read(&noisy, long, 1).await.err(),
                Some(Unread::Content),
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
        let small = updates.read(&other, body(SMALL), MOST).now_or_never();
        assert_eq!(small.unwrap().unwrap().bytes.len(), SMALL);
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
        let hostile: Vec<_> = (0..LARGE_TURNS)
            .map(|number| plugin(&format!("hostile-{number}")))
            .collect();
        let slow = hostile.iter().map(|name| updates.read(name, dripping(SMALL + 1), MOST));
        let mut slow = Box::pin(futures::future::join_all(slow));
        assert!(slow.as_mut().now_or_never().is_none());
        let honest = plugin("honest");
        let large = updates.read(&honest, body(MOST), MOST);
        let (large, slow) = tokio::join!(timeout(2 * LONGEST_TURN, large), slow);
        assert_eq!(large.unwrap().unwrap().bytes.len(), MOST);
        let ends: Vec<Option<Unread>> = slow.into_iter().map(Result::err).collect();
        assert_eq!(ends, [Some(Unread::TooSlow); LARGE_TURNS]);
        assert_eq!(updates.all.turns.available_permits(), LARGE_TURNS);
    }
}
