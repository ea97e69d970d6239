use sono_run::{Outcome, Plan, Policy, Ticket};
use sono_types::{PluginName, Target};

use super::*;

fn key() -> ResultKey {
    ResultKey::new(PluginName::parse("p").unwrap(), Target::Global)
}

fn journal() -> (tempfile::TempDir, Journal) {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(&folder.path().join("journal"), &Shortage::default())
        .unwrap()
        .journal;
    (folder, journal)
}

fn begin(run: &mut Run, journal: &Journal) -> (oneshot::Receiver<Result<Ticket, Refusal>>, Option<Reply>) {
    let (reply, answered) = oneshot::channel();
    let message = Message::Begin { key: key(), reply };
    (answered, answer(run, journal, Timestamp::UNIX_EPOCH, message).1)
}

/// A run whose only result was just put in place: its record is on its way to the disk, and has not arrived.
fn just_stored(journal: &Journal) -> Run {
    let plan = |plugin: &str, order| Plan {
        plugin: PluginName::parse(plugin).unwrap(),
        order,
        expected: vec![ResultKey::new(PluginName::parse(plugin).unwrap(), Target::Global)],
        timeout: None,
        learns: false,
    };
    let mut run = Run::new(vec![plan("p", 0), plan("q", 0)], Policy::default());
    run.handle(Timestamp::UNIX_EPOCH, Event::Start);
    let ticket = begin(&mut run, journal).0.try_recv().unwrap().unwrap();
    assert_eq!(run.claim(&ticket), Claim::Granted);
    let (reply, mut answered) = oneshot::channel();
    let message = Message::Finish {
        ticket,
        outcome: Outcome::Stored,
        kept: crate::handle::Kept::Already,
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
    (later.unwrap().give)(Err("no space left".to_owned()));
    assert_eq!(answered.try_recv().unwrap_err(), oneshot::error::TryRecvError::Closed);
}

/// What made the result fail may be in the way of its error, too: a disk that is full for a while.
#[tokio::test(start_paused = true)]
async fn an_error_is_recorded_once_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("errors");
    fs_err::write(&place, "in the way").unwrap();
    let mut tasks = Tasks::new(&Shortage::default());
    tasks.record(&place, &key(), Failure::new("no room"));
    let away = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        fs_err::remove_file(&place).unwrap();
    };
    tokio::join!(std::mem::take(&mut tasks.writes).join_all(), away);
    let text = fs_err::read_to_string(place.join(constants::ERROR_FILE)).unwrap();
    assert_eq!(text, r#"{"error":"no room"}"#);
}

/// S18: the journal has only the beginning of a long error, and the file of an earlier process all of it.
#[tokio::test]
async fn error_of_which_the_record_is_cut_is_written_where_it_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("errors");
    let failure = Failure::new("x".repeat(9 << 10));
    let record = async |failure: Failure| {
        let mut tasks = Tasks::new(&Shortage::default());
        tasks.record(&place, &key(), failure);
        std::mem::take(&mut tasks.writes).join_all().await;
        fs_err::read_to_string(place.join(constants::ERROR_FILE)).unwrap()
    };
    let cut = record(failure.for_record()).await;
    assert_eq!(
        cut,
        format!(r#"{{"error":"{}","leftOut":{{"error":1024}}}}"#, "x".repeat(8 << 10))
    );
    let whole = record(failure.clone()).await;
    assert_eq!(whole, format!(r#"{{"error":"{}"}}"#, failure.message));
    assert_eq!(record(failure.for_record()).await, whole);
}
