//! What a run keeps outside of its volume, and whose it is: every write is refused to a process that is not the last one to
//! have taken the run over, so that two never both act (Leases would not do: nothing stops who lost one).

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sono_types::PluginName;
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::{
    driver::{Vault, VaultError},
    run::{Change, Memory, Record},
};

/// How often a process looks whether the run is still its own, and writes what can wait.
const LOOK: Duration = Duration::from_secs(10);
/// Between two tries of a write; it doubles.
const MIN_PAUSE: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// How long a write may be refused.
const REFUSED_AT_MOST: Duration = Duration::from_mins(3);
/// What a Secret may hold, with room for what else is in it.
const MOST_BYTES: usize = 1_000_000;

/// What somebody else did to the run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Lost {
    #[error("another aggregator, {holder} (the run's number {epoch}), has taken the run over")]
    Overtaken { holder: String, epoch: u64 },
    #[error("what the run keeps was removed, as when the run is deleted")]
    Removed,
    #[error("what the run keeps cannot be read any more: {0}")]
    Unreadable(String),
    #[error("what the run keeps cannot be written any more: {0}")]
    Refused(String),
}

/// Writes it, however long the API server is away, unless it is somebody else's.
async fn write(vault: &dyn Vault, memory: &Memory) -> Result<(), Lost> {
    let content = memory.encode();
    let mut pause = MIN_PAUSE;
    let until = Instant::now() + REFUSED_AT_MOST;
    loop {
        match vault.write(&content).await {
            Ok(()) => return Ok(()),
            // Also what a write of our own makes of the next, when its answer was lost.
            Err(VaultError::Changed) => {}
            // Rights may be on their way; a run that waits for them for ever would stand still and say nothing.
            Err(VaultError::Refused(reason)) if Instant::now() >= until => return Err(Lost::Refused(reason)),
            Err(error) => tracing::warn!(%error, "keeping what must outlive this pod, trying again"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
        is_ours(vault, memory).await?;
    }
}

/// Nobody else has it, as far as can be seen now.
async fn is_ours(vault: &dyn Vault, memory: &Memory) -> Result<(), Lost> {
    match vault.read().await {
        Err(error) => {
            tracing::debug!(%error, "cannot see whose the run is");
            Ok(())
        }
        Ok(None) => Err(Lost::Removed),
        Ok(Some(bytes)) => match Memory::decode(&bytes) {
            Err(error) => Err(Lost::Unreadable(crate::upload::chain(&error))),
            Ok(there) if there.holder == memory.holder => Ok(()),
            Ok(there) => Err(Lost::Overtaken {
                holder: there.holder,
                epoch: there.epoch,
            }),
        },
    }
}

/// Makes the run this process' own: false when somebody else was quicker.
pub(crate) async fn claim(vault: &dyn Vault, memory: &Memory) -> Result<bool, String> {
    let bytes = memory.encode().len();
    if bytes > MOST_BYTES {
        return Err(format!(
            "what must outlive the aggregator's pod takes {bytes} bytes, more than a Secret holds; use a results volume or --aggregator-workload pod"
        ));
    }
    let content = memory.encode();
    let mut pause = MIN_PAUSE;
    loop {
        let answered = vault.write(&content).await;
        if let Err(error) = &answered {
            tracing::info!(%error, "taking the run over");
        } else {
            return Ok(true);
        }
        if let Err(VaultError::Refused(reason)) = answered {
            return Err(reason);
        }
        // An answer may have been lost.
        match vault.read().await {
            Ok(there) => {
                let there = there.and_then(|bytes| Memory::decode(&bytes).ok());
                if there.as_ref().is_some_and(|there| there.holder == memory.holder) {
                    return Ok(true);
                }
                // Reading has made its version the one that the next write replaces.
                let overtaken = there.is_some_and(|there| there.epoch >= memory.epoch);
                if overtaken || matches!(answered, Err(VaultError::Changed)) {
                    return Ok(false);
                }
            }
            Err(error) => tracing::warn!(%error, "taking the run over, trying again"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

struct State {
    memory: Memory,
    /// Counts changes.
    revision: u64,
}

#[derive(Debug, Clone, Default)]
struct Written {
    revision: u64,
    lost: Option<Lost>,
}

/// Keeps a run's memory.
pub(crate) struct Keeper {
    state: Arc<Mutex<State>>,
    wake: Arc<Notify>,
    written: watch::Receiver<Written>,
    task: JoinHandle<()>,
}

/// Opens once everything that was noted before is kept.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    revision: u64,
    written: watch::Receiver<Written>,
}

impl Gate {
    /// Never ends when the run was lost: whoever waits must not act any more.
    pub(crate) async fn open(mut self) {
        let revision = self.revision;
        let kept = |written: &Written| written.revision >= revision && written.lost.is_none();
        if self.written.wait_for(kept).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Keeper {
    /// Goes on from what [`claim`] wrote.
    pub(crate) fn start(vault: Arc<dyn Vault>, memory: Memory) -> Self {
        let state = Arc::new(Mutex::new(State { memory, revision: 0 }));
        let wake = Arc::<Notify>::default();
        let (sender, written) = watch::channel(Written::default());
        let task = tokio::spawn(keep(vault, Arc::clone(&state), Arc::clone(&wake), sender));
        Self {
            state,
            wake,
            written,
            task,
        }
    }

    pub(crate) fn note(&self, record: &Record) {
        self.change(|memory| memory.note(record));
    }

    /// Nothing more is waited for of this plugin.
    pub(crate) fn end(&self, plugin: &PluginName) {
        self.change(|memory| memory.end(plugin));
    }

    fn change(&self, what: impl FnOnce(&mut Memory) -> Change) {
        let mut state = lock(&self.state);
        let change = what(&mut state.memory);
        if change != Change::None {
            state.revision += 1;
        }
        if change == Change::Soon {
            self.wake.notify_one();
        }
    }

    /// For what may be done once all that was noted up to now is kept.
    pub(crate) fn gate(&self) -> Gate {
        Gate {
            revision: lock(&self.state).revision,
            written: self.written.clone(),
        }
    }

    /// Ends when the run is somebody else's.
    pub(crate) async fn lost(&self) -> Lost {
        let mut written = self.written.clone();
        let lost = written.wait_for(|written| written.lost.is_some()).await;
        match lost.ok().and_then(|written| written.lost.clone()) {
            Some(lost) => lost,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn keep(vault: Arc<dyn Vault>, state: Arc<Mutex<State>>, wake: Arc<Notify>, written: watch::Sender<Written>) {
    let mut done = 0;
    loop {
        // Late or not, it is looked at.
        timeout(LOOK, wake.notified()).await.ok();
        let (memory, revision) = {
            let state = lock(&state);
            (state.memory.clone(), state.revision)
        };
        let outcome = if revision == done {
            is_ours(vault.as_ref(), &memory).await
        } else {
            write(vault.as_ref(), &memory).await
        };
        let lost = outcome.err();
        let is_lost = lost.is_some();
        done = revision;
        written.send_replace(Written { revision, lost });
        if is_lost {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::future::BoxFuture;
    use jiff::Timestamp;
    use sono_types::SessionId;

    use super::*;
    use crate::run::{Begun, Planned};

    type Content = Arc<Mutex<Option<(u64, Vec<u8>)>>>;

    /// One of several processes' view of the same place.
    #[derive(Default)]
    struct Shelf {
        content: Content,
        seen: Mutex<u64>,
        /// Writes that are done and answered as if they had not been.
        unanswered: Mutex<usize>,
        /// Writes that fail because somebody else's comes first.
        preceded: Mutex<Option<Vec<u8>>>,
        /// Writes are refused.
        refuses: Mutex<bool>,
    }

    impl Shelf {
        fn of(content: &Content) -> Arc<Self> {
            Arc::new(Self {
                content: Arc::clone(content),
                ..Self::default()
            })
        }
    }

    impl Vault for Shelf {
        fn read(&self) -> BoxFuture<'_, Result<Option<Vec<u8>>, VaultError>> {
            let content = self.content.lock().unwrap().clone();
            *self.seen.lock().unwrap() = content.as_ref().map_or(0, |(version, _)| *version);
            Box::pin(async { Ok(content.map(|(_, bytes)| bytes)) })
        }

        fn write<'a>(&'a self, bytes: &'a [u8]) -> BoxFuture<'a, Result<(), VaultError>> {
            let mut content = self.content.lock().unwrap();
            let version = content.as_ref().map_or(0, |(version, _)| *version);
            if *self.refuses.lock().unwrap() {
                return Box::pin(async { Err(VaultError::Refused("no".to_owned())) });
            }
            if let Some(other) = self.preceded.lock().unwrap().take() {
                *content = Some((version + 1, other));
                return Box::pin(async { Err(VaultError::Failed("late".to_owned())) });
            }
            let mut seen = self.seen.lock().unwrap();
            let mut unanswered = self.unanswered.lock().unwrap();
            let outcome = if *seen == version {
                *content = Some((version + 1, bytes.to_vec()));
                if *unanswered > 0 {
                    *unanswered -= 1;
                    Err(VaultError::Failed("cut off".to_owned()))
                } else {
                    *seen = version + 1;
                    Ok(())
                }
            } else {
                Err(VaultError::Changed)
            };
            Box::pin(async { outcome })
        }
    }

    fn memory(epoch: u64, holder: &str) -> Memory {
        let planned = Planned {
            plugin: PluginName::parse("p").unwrap(),
            session: SessionId::from_random([1; 8]),
            order: 0,
            timeout: None,
            targets: vec!["global".to_owned()],
            learns: false,
        };
        let begun = Begun {
            version: 1,
            uuid: "run".to_owned(),
            start: Timestamp::UNIX_EPOCH,
            ca_certificate: String::new(),
            ca_key: String::new(),
            plugins: vec![planned],
        };
        Memory::new(begun, epoch, holder.to_owned())
    }

    fn launching() -> Record {
        let plugin = PluginName::parse("p").unwrap();
        Record::Launching { plugin, deadline: None }
    }

    fn kept(content: &Content) -> Memory {
        Memory::decode(&content.lock().unwrap().as_ref().unwrap().1).unwrap()
    }

    /// W-1: whoever has lost the run learns so with its next write, and nothing that waits for that write happens.
    #[tokio::test(start_paused = true)]
    async fn two_aggregators_never_both_act() {
        let content = Content::default();
        let (old, new) = (Shelf::of(&content), Shelf::of(&content));
        assert_eq!(claim(old.as_ref(), &memory(1, "old")).await, Ok(true));
        let first = Keeper::start(Arc::<Shelf>::clone(&old), memory(1, "old"));
        first.note(&launching());
        first.gate().open().await;
        assert_eq!(kept(&content).records(Timestamp::MIN)[1], launching());

        new.read().await.unwrap();
        assert_eq!(claim(new.as_ref(), &memory(2, "new")).await, Ok(true));
        first.note(&Record::Finishing);
        let acted = timeout(LOOK * 10, first.gate().open()).await;
        assert!(acted.is_err(), "it acted");
        let lost = Lost::Overtaken {
            holder: "new".to_owned(),
            epoch: 2,
        };
        assert_eq!(first.lost().await, lost);
        assert_eq!(kept(&content), memory(2, "new"));
    }

    /// One that does nothing learns it as well, before long.
    #[tokio::test(start_paused = true)]
    async fn an_idle_aggregator_learns_that_it_lost() {
        let content = Content::default();
        let (old, new) = (Shelf::of(&content), Shelf::of(&content));
        claim(old.as_ref(), &memory(1, "old")).await.unwrap();
        let first = Keeper::start(old, memory(1, "old"));
        new.read().await.unwrap();
        claim(new.as_ref(), &memory(2, "new")).await.unwrap();
        let lost = timeout(LOOK * 2, first.lost()).await.unwrap();
        assert!(matches!(lost, Lost::Overtaken { epoch: 2, .. }), "{lost}");
        // And when it is removed.
        let second = Keeper::start(new, memory(2, "new"));
        *content.lock().unwrap() = None;
        assert_eq!(timeout(LOOK * 2, second.lost()).await, Ok(Lost::Removed));
    }

    /// Of two that take a run over at the same time one gets it.
    #[tokio::test(start_paused = true)]
    async fn one_of_two_gets_the_run() {
        let content = Content::default();
        let (one, other) = (Shelf::of(&content), Shelf::of(&content));
        assert_eq!(claim(one.as_ref(), &memory(1, "one")).await, Ok(true));
        assert_eq!(claim(other.as_ref(), &memory(1, "other")).await, Ok(false));
        assert_eq!(kept(&content).holder, "one");
    }

    /// A claim that failed on its way is not made over one that came meanwhile.
    #[tokio::test(start_paused = true)]
    async fn a_claim_that_failed_takes_nothing_from_another() {
        let content = Content::default();
        let shelf = Shelf::of(&content);
        *shelf.preceded.lock().unwrap() = Some(memory(1, "other").encode());
        assert_eq!(claim(shelf.as_ref(), &memory(1, "me")).await, Ok(false));
        assert_eq!(kept(&content), memory(1, "other"));
    }

    /// Who may not write any more says so before long.
    #[tokio::test(start_paused = true)]
    async fn writes_that_are_refused_end_the_waiting() {
        let content = Content::default();
        let shelf = Shelf::of(&content);
        claim(shelf.as_ref(), &memory(1, "me")).await.unwrap();
        let keeper = Keeper::start(Arc::<Shelf>::clone(&shelf), memory(1, "me"));
        *shelf.refuses.lock().unwrap() = true;
        keeper.note(&launching());
        let lost = timeout(REFUSED_AT_MOST * 2, keeper.lost()).await.unwrap();
        assert_eq!(lost, Lost::Refused("no".to_owned()));
    }

    /// A write whose answer was lost is no other aggregator's.
    #[tokio::test(start_paused = true)]
    async fn an_answer_that_was_lost_loses_nothing() {
        let content = Content::default();
        let shelf = Shelf::of(&content);
        *shelf.unanswered.lock().unwrap() = 1;
        assert_eq!(claim(shelf.as_ref(), &memory(1, "me")).await, Ok(true));
        let keeper = Keeper::start(Arc::<Shelf>::clone(&shelf), memory(1, "me"));
        *shelf.unanswered.lock().unwrap() = 2;
        keeper.note(&launching());
        keeper.gate().open().await;
        assert_eq!(kept(&content).records(Timestamp::MIN)[1], launching());
    }

    /// What can wait is written with the rest, or after a while.
    #[tokio::test(start_paused = true)]
    async fn what_can_wait_does() {
        let content = Content::default();
        let shelf = Shelf::of(&content);
        claim(shelf.as_ref(), &memory(1, "me")).await.unwrap();
        let keeper = Keeper::start(Arc::<Shelf>::clone(&shelf), memory(1, "me"));
        let begun = tokio::time::Instant::now();
        keeper.note(&Record::Counted {
            plugin: PluginName::parse("p").unwrap(),
        });
        keeper.gate().open().await;
        assert_eq!(begun.elapsed().as_secs(), LOOK.as_secs());
    }
}
