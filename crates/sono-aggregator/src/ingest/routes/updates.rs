//! Bodies of progress updates. A suite of thousands of tests may name each that failed, so updates may be large: of these
//! one a plugin is in memory at a time, from its first bytes until the run's state has it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::body::Body;
use futures::StreamExt as _;
use sono_types::PluginName;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of an update that is read at any time.
const SMALL: usize = 64 << 10;

/// The plugins' turns to send a large update. A plugin that sends slowly delays its own updates only.
#[derive(Clone, Default)]
pub(crate) struct Updates(Arc<Mutex<BTreeMap<PluginName, Arc<Semaphore>>>>);

/// A body that was read.
pub(super) struct Update {
    pub(super) bytes: Vec<u8>,
    /// The plugin's turn: given up with the body.
    _turn: Option<OwnedSemaphorePermit>,
}

impl Updates {
    /// A body of at most `most` bytes; nothing where it is longer, or breaks off. The request as a whole has a time limit.
    ///
    /// The plugin is the one of the client's certificate: the run's plugins bound the number of turns.
    pub(super) async fn read(&self, plugin: &PluginName, body: Body, most: usize) -> Option<Update> {
        let mut stream = body.into_data_stream();
        let mut bytes = Vec::new();
        let mut turn = None;
        while let Some(piece) = stream.next().await {
            bytes.extend_from_slice(&piece.ok()?);
            if bytes.len() > most {
                return None;
            }
            if bytes.len() > SMALL && turn.is_none() {
                turn = self.turns(plugin).acquire_owned().await.ok();
            }
        }
        Some(Update { bytes, _turn: turn })
    }

    fn turns(&self, plugin: &PluginName) -> Arc<Semaphore> {
        let mut plugins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let turns = plugins.entry(plugin.clone());
        Arc::clone(turns.or_insert_with(|| Arc::new(Semaphore::new(1))))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    /// S4: eighty updates of 4 MB at once, each of which was in memory with everything that was made of it.
    #[tokio::test]
    async fn large_update_waits_until_its_plugins_last_one_is_taken() {
        let (updates, most) = (Updates::default(), 4 << 20);
        let plugin = |name| PluginName::parse(name).unwrap();
        let (noisy, other) = (plugin("noisy"), plugin("other"));
        let large = || Body::from(vec![b'x'; SMALL + 1]);
        let first = updates.read(&noisy, large(), most).await.unwrap();
        assert_eq!(first.bytes.len(), SMALL + 1);
        let second = updates.read(&noisy, large(), most);
        tokio::pin!(second);
        assert!(second.as_mut().now_or_never().is_none());
        let small = updates.read(&noisy, Body::from(vec![b'x'; SMALL]), most);
        assert_eq!(small.now_or_never().unwrap().unwrap().bytes.len(), SMALL);
        let others = updates.read(&other, large(), most).now_or_never();
        assert_eq!(others.unwrap().unwrap().bytes.len(), SMALL + 1);
        drop(first);
        assert_eq!(second.now_or_never().unwrap().unwrap().bytes.len(), SMALL + 1);
        assert!(updates.read(&noisy, large(), SMALL).await.is_none(), "too long");
    }
}
