use sono_run::{PluginPlan, RunPolicy, Stored, Ticket, UploadOutcome};
use sono_types::{PluginName, ResultKey, Target};

use super::*;
use crate::durability::disk_full::DiskFull;

fn key() -> ResultKey {
    ResultKey::new(PluginName::parse("p").unwrap(), Target::Global)
}

fn journal() -> (tempfile::TempDir, Journal) {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(&folder.path().join("journal"), &DiskFull::default())
        .unwrap()
        .journal;
    (folder, journal)
}

fn begin(run: &mut Run, journal: &Journal) -> (oneshot::Receiver<Result<Ticket, Refusal>>, Option<Reply>) {
    let (reply, answered) = oneshot::channel();
    let message = Request::Begin { key: key(), reply };
    (answered, answer(run, journal, Timestamp::UNIX_EPOCH, message).1)
}

/// A run whose only result was just committed; its record is not on disk yet.
fn just_stored(journal: &Journal) -> Run {
    let plan = |plugin: &str, order| PluginPlan {
        plugin: PluginName::parse(plugin).unwrap(),
        order,
        expected: vec![ResultKey::new(PluginName::parse(plugin).unwrap(), Target::Global)],
        timeout: None,
        discovers_targets: false,
    };
    let mut run = Run::new(vec![plan("p", 0), plan("q", 0)], RunPolicy::default());
    run.handle(Timestamp::UNIX_EPOCH, Event::Start);
    let ticket = begin(&mut run, journal).0.try_recv().unwrap().unwrap();
    assert_eq!(run.request_commit(&ticket), CommitDecision::Granted);
    let (reply, mut answered) = oneshot::channel();
    let message = Request::Finish {
        ticket,
        outcome: UploadOutcome::Stored(Stored::InPlace),
        unsynced: None,
        reply,
    };
    let (effects, later) = answer(&mut run, journal, Timestamp::UNIX_EPOCH, message);
    assert!(effects.contains(&Effect::Record(Record::Stored { key: key() })));
    assert!(later.is_some());
    assert!(answered.try_recv().is_err());
    run
}

/// W-1: a worker that disconnected before the response and retries gets 409, and then ends. The result must therefore be on
/// disk, as for a 200, also if the process is killed in between.
#[test]
fn already_received_is_answered_only_once_the_record_is_on_disk() {
    let (_folder, journal) = journal();
    let mut run = just_stored(&journal);
    let (mut answered, later) = begin(&mut run, &journal);
    assert_eq!(answered.try_recv().unwrap_err(), oneshot::error::TryRecvError::Empty);
    (later.unwrap().send)(Ok(()));
    assert_eq!(
        answered.try_recv().unwrap().unwrap_err(),
        Refusal::AlreadyReceived(key())
    );
}

/// If the journal cannot be written, the worker has to retry.
#[test]
fn already_received_is_not_answered_if_the_record_cannot_be_written() {
    let (_folder, journal) = journal();
    let mut run = just_stored(&journal);
    let (mut answered, later) = begin(&mut run, &journal);
    (later.unwrap().send)(Err(NotRecorded::Ended));
    assert_eq!(answered.try_recv().unwrap_err(), oneshot::error::TryRecvError::Closed);
}
