use futures::future::BoxFuture;
use jiff::Timestamp;
use sono_run::{Planned, RunStart};
use sono_types::SessionId;

use super::*;

mod third_writer;

/// A store that several processes share. Versions are never used twice.
#[derive(Default)]
struct Shelf {
    content: Mutex<Option<(u64, Vec<u8>)>>,
    last: Mutex<u64>,
    /// Number of writes that succeed but are answered with an error.
    unanswered: Mutex<usize>,
    /// Number of writes that fail because another writer is first.
    preceded: Mutex<Option<Vec<u8>>>,
    /// Writes are refused.
    refuses: Mutex<bool>,
    /// The next write panics: a defect.
    breaks: Mutex<bool>,
}

impl Shelf {
    fn put(&self, bytes: Vec<u8>) -> Version {
        let mut last = self.last.lock().unwrap();
        *last += 1;
        *self.content.lock().unwrap() = Some((*last, bytes));
        Version(last.to_string())
    }

    fn now(&self) -> Option<StoredCheckpoint> {
        let content = self.content.lock().unwrap().clone();
        content.map(|(version, bytes)| StoredCheckpoint {
            version: Version(version.to_string()),
            content: Some(bytes),
        })
    }

    fn version(&self) -> Option<Version> {
        self.now().map(|stored| stored.version)
    }

    fn stored(&self) -> Checkpoint {
        checkpoint_codec::decode(&self.now().unwrap().content.unwrap()).unwrap()
    }

    #[expect(clippy::unwrap_in_result, reason = "a test whose lock is poisoned has failed")]
    fn replace(&self, bytes: &[u8], over: Option<&Version>) -> Result<Version, CheckpointStoreError> {
        if *self.refuses.lock().unwrap() {
            return Err(CheckpointStoreError::Refused(BackendError::new("no")));
        }
        assert!(!*self.breaks.lock().unwrap(), "a defect");
        if let Some(other) = self.preceded.lock().unwrap().take() {
            self.put(other);
            return Err(CheckpointStoreError::Failed(BackendError::new("late")));
        }
        if self.version().as_ref() != over {
            return Err(CheckpointStoreError::Changed);
        }
        let version = self.put(bytes.to_vec());
        let mut unanswered = self.unanswered.lock().unwrap();
        if *unanswered > 0 {
            *unanswered -= 1;
            return Err(CheckpointStoreError::Failed(BackendError::new("cut off")));
        }
        Ok(version)
    }
}

impl CheckpointStore for Shelf {
    fn read(&self) -> BoxFuture<'_, Result<Option<StoredCheckpoint>, CheckpointStoreError>> {
        let found = self.now();
        Box::pin(async { Ok(found) })
    }

    fn write<'a>(
        &'a self,
        bytes: &'a [u8],
        over: Option<&'a Version>,
    ) -> BoxFuture<'a, Result<Version, CheckpointStoreError>> {
        Box::pin(async move { self.replace(bytes, over) })
    }
}

/// Takes over the run from the current checkpoint.
async fn take(shelf: &Arc<Shelf>, checkpoint: &Checkpoint) -> Version {
    let over = shelf.version();
    write_first(shelf.as_ref(), checkpoint, over.as_ref())
        .await
        .unwrap()
        .unwrap()
}

async fn checkpoint_writer(shelf: &Arc<Shelf>, checkpoint: Checkpoint) -> CheckpointWriter {
    let version = take(shelf, &checkpoint).await;
    CheckpointWriter::start(Arc::<Shelf>::clone(shelf), checkpoint, version)
}

fn checkpoint(epoch: u64, holder: &str) -> Checkpoint {
    let planned = Planned {
        plugin: PluginName::parse("p").unwrap(),
        session: SessionId::from_random([1; 8]),
        order: 0,
        timeout: None,
        targets: vec!["global".to_owned()],
        discovers_targets: false,
    };
    let run_start = RunStart {
        version: 1,
        uuid: "run".to_owned(),
        start: Timestamp::UNIX_EPOCH,
        ca_certificate: String::new(),
        ca_key: String::new(),
        plugins: vec![planned],
    };
    Checkpoint::new(run_start, epoch, holder.to_owned())
}

fn launching() -> Record {
    let plugin = PluginName::parse("p").unwrap();
    Record::Launching { plugin, deadline: None }
}

/// W-1: an aggregator that lost the run detects it with its next write, and nothing that waits for that write happens.
#[tokio::test(start_paused = true)]
async fn two_aggregators_never_act_at_the_same_time() {
    let shelf = Arc::<Shelf>::default();
    let first = checkpoint_writer(&shelf, checkpoint(1, "old")).await;
    first.record(&launching());
    first.barrier().wait().await;
    assert_eq!(shelf.stored().records(Timestamp::MIN)[1], launching());

    take(&shelf, &checkpoint(2, "new")).await;
    first.record(&Record::Finishing);
    let acted = timeout(CHECK_INTERVAL * 10, first.barrier().wait()).await;
    assert!(acted.is_err(), "it acted");
    let lost = OwnershipLost::Superseded {
        holder: "new".to_owned(),
        epoch: 2,
    };
    assert_eq!(first.ownership_lost().await, lost);
    assert_eq!(shelf.stored(), checkpoint(2, "new"));
}

/// An idle aggregator detects it with the next check.
#[tokio::test(start_paused = true)]
async fn idle_aggregator_detects_lost_ownership() {
    let shelf = Arc::<Shelf>::default();
    let first = checkpoint_writer(&shelf, checkpoint(1, "old")).await;
    let second = checkpoint_writer(&shelf, checkpoint(2, "new")).await;
    let lost = timeout(CHECK_INTERVAL * 2, first.ownership_lost()).await.unwrap();
    assert!(matches!(lost, OwnershipLost::Superseded { epoch: 2, .. }), "{lost}");
    // Also when the checkpoint is deleted.
    *shelf.content.lock().unwrap() = None;
    assert_eq!(
        timeout(CHECK_INTERVAL * 2, second.ownership_lost()).await,
        Ok(OwnershipLost::Removed)
    );
}

/// Of two concurrent takeovers one succeeds.
#[tokio::test(start_paused = true)]
async fn one_of_two_takeovers_succeeds() {
    let shelf = Arc::<Shelf>::default();
    let taken = write_first(shelf.as_ref(), &checkpoint(1, "one"), None).await;
    assert_eq!(taken, Ok(shelf.version()));
    assert_eq!(
        write_first(shelf.as_ref(), &checkpoint(1, "other"), None).await,
        Ok(None)
    );
    assert_eq!(shelf.stored().holder, "one");
}

/// A takeover whose request was lost does not replace one that was written meanwhile.
#[tokio::test(start_paused = true)]
async fn takeover_with_a_lost_request_does_not_replace_another() {
    let shelf = Arc::<Shelf>::default();
    *shelf.preceded.lock().unwrap() = Some(checkpoint_codec::encode(&checkpoint(1, "other")));
    assert_eq!(write_first(shelf.as_ref(), &checkpoint(1, "me"), None).await, Ok(None));
    assert_eq!(shelf.stored(), checkpoint(1, "other"));
}

/// The request of a takeover's first write is lost, and the old aggregator, of a lower epoch, writes meanwhile.
#[tokio::test(start_paused = true)]
async fn takeover_after_lost_write_retains_writes_of_the_old_aggregator() {
    let shelf = Arc::<Shelf>::default();
    let decided = take(&shelf, &checkpoint(1, "old")).await;
    let mut newer = checkpoint(1, "old");
    newer.apply(&launching());
    newer.apply(&Record::Finishing);
    *shelf.preceded.lock().unwrap() = Some(checkpoint_codec::encode(&newer));
    let taken = write_first(shelf.as_ref(), &checkpoint(2, "new"), Some(&decided)).await;
    assert_eq!(taken, Ok(None));
    assert_eq!(shelf.stored(), newer);
}

/// A process that may no longer write reports it after a limited time.
#[tokio::test(start_paused = true)]
async fn refused_writes_end_with_lost_ownership() {
    let shelf = Arc::<Shelf>::default();
    let checkpoint_writer = checkpoint_writer(&shelf, checkpoint(1, "me")).await;
    *shelf.refuses.lock().unwrap() = true;
    checkpoint_writer.record(&launching());
    let lost = timeout(MAX_REFUSED * 2, checkpoint_writer.ownership_lost())
        .await
        .unwrap();
    assert_eq!(lost, OwnershipLost::Refused(BackendError::new("no")));
}

/// A checkpoint task that ended by a defect is reported as lost ownership, because nothing would notice the loss of it.
#[tokio::test(start_paused = true)]
async fn panic_of_the_task_is_ownership_lost() {
    let shelf = Arc::<Shelf>::default();
    let checkpoint_writer = checkpoint_writer(&shelf, checkpoint(1, "me")).await;
    *shelf.breaks.lock().unwrap() = true;
    checkpoint_writer.record(&launching());
    assert_eq!(
        timeout(CHECK_INTERVAL * 2, checkpoint_writer.ownership_lost()).await,
        Ok(OwnershipLost::Ended)
    );
    let acted = timeout(CHECK_INTERVAL * 10, checkpoint_writer.barrier().wait()).await;
    assert!(acted.is_err(), "it acted");
}

/// A write whose response was lost is not taken for a write of another aggregator.
#[tokio::test(start_paused = true)]
async fn write_with_a_lost_response_retains_ownership() {
    let shelf = Arc::<Shelf>::default();
    *shelf.unanswered.lock().unwrap() = 1;
    let checkpoint_writer = checkpoint_writer(&shelf, checkpoint(1, "me")).await;
    *shelf.unanswered.lock().unwrap() = 2;
    checkpoint_writer.record(&launching());
    checkpoint_writer.barrier().wait().await;
    assert_eq!(shelf.stored().records(Timestamp::MIN)[1], launching());
}

/// Changes that are not urgent are written with the next urgent one, or after an interval.
#[tokio::test(start_paused = true)]
async fn change_that_is_not_urgent_is_written_after_an_interval() {
    let shelf = Arc::<Shelf>::default();
    let checkpoint_writer = checkpoint_writer(&shelf, checkpoint(1, "me")).await;
    let begun = tokio::time::Instant::now();
    checkpoint_writer.record(&Record::DiscoveryEnded {
        plugin: PluginName::parse("p").unwrap(),
    });
    checkpoint_writer.barrier().wait().await;
    assert_eq!(begun.elapsed().as_secs(), CHECK_INTERVAL.as_secs());
}
