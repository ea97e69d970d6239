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

/// A run whose only result was just put in place: its record is on its way to the disk, and has not arrived.
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

/// W-1: a worker that went away before its answer and sends again is told that its result is known. It then ends, so that
/// this must be as true as a 200, also for a process that is killed in between.
#[test]
fn a_known_result_is_not_spoken_of_before_it_is_on_disk() {
    let (_folder, journal) = journal();
    let mut run = just_stored(&journal);
    let (mut answered, later) = begin(&mut run, &journal);
    assert_eq!(answered.try_recv().unwrap_err(), oneshot::error::TryRecvError::Empty);
    (later.unwrap().give)(Ok(()));
    assert_eq!(
        answered.try_recv().unwrap().unwrap_err(),
        Refusal::AlreadyReceived(key())
    );
}

/// The same where the journal cannot be written: the worker is told to try again.
#[test]
fn a_known_result_that_cannot_be_recorded_is_not_spoken_of() {
    let (_folder, journal) = journal();
    let mut run = just_stored(&journal);
    let (mut answered, later) = begin(&mut run, &journal);
    (later.unwrap().give)(Err(NotRecorded::Ended));
    assert_eq!(answered.try_recv().unwrap_err(), oneshot::error::TryRecvError::Closed);
}
