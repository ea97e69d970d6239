use sono_types::{PluginName, ResultKey, SessionId, Target};

use super::*;

/// The shell's error in these tests.
#[derive(Debug, PartialEq)]
enum Stop {
    Start(StartError),
    Shell(&'static str),
}

impl From<StartError> for Stop {
    fn from(error: StartError) -> Self {
        Self::Start(error)
    }
}

use StartEffect as Do;
use StartEvent as Got;

type Effects = Vec<Do<Stop>>;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn settings(checkpointed: bool) -> StartSettings {
    StartSettings {
        uuid: "run".to_owned(),
        backend_identity: None,
        new_uuid: "new".to_owned(),
        holder: "me".to_owned(),
        waits_for_journal: true,
        policy: RunPolicy {
            checkpointed,
            ..RunPolicy::default()
        },
    }
}

fn name() -> PluginName {
    PluginName::parse("p").unwrap()
}

fn key() -> ResultKey {
    ResultKey::new(name(), Target::Global)
}

fn session() -> SessionId {
    SessionId::from_random([7; 8])
}

fn run_start(uuid: &str) -> RunStart {
    RunStart {
        version: JOURNAL_VERSION,
        uuid: uuid.to_owned(),
        start: NOW,
        ca_certificate: "certificate".to_owned(),
        ca_key: "key".to_owned(),
        plugins: vec![Planned {
            plugin: name(),
            session: session(),
            order: 0,
            timeout: None,
            targets: vec!["global".to_owned()],
            discovers_targets: false,
        }],
    }
}

fn owned(epoch: u64) -> Record {
    Record::Owned {
        epoch,
        holder: "me".to_owned(),
    }
}

fn checkpoint(epoch: u64, holder: &str) -> Checkpoint {
    Checkpoint::new(run_start("run"), epoch, holder.to_owned())
}

fn read(checkpoint: Option<Checkpoint>) -> Got<Stop> {
    Got::CheckpointRead {
        checkpoint: checkpoint.map(Box::new),
        has_nameless_journal: false,
    }
}

fn opened(records: &[Record]) -> Got<Stop> {
    Got::JournalOpened(records.to_vec())
}

fn open() -> Do<Stop> {
    Do::OpenJournal { uuid: "run".to_owned() }
}

fn identify_new() -> Do<Stop> {
    Do::Identify {
        uuid: "run".to_owned(),
        sessions: BTreeMap::new(),
    }
}

fn identify_known() -> Do<Stop> {
    Do::Identify {
        uuid: "run".to_owned(),
        sessions: [(name(), session())].into(),
    }
}

fn plan() -> Do<Stop> {
    Do::Plan { start: NOW }
}

fn list(within: Option<Duration>) -> Do<Stop> {
    Do::ListNodes { within }
}

/// The effects of a run that continues with that many records.
fn proceeds(records: usize) -> Effects {
    vec![
        identify_known(),
        Do::Log(StartNotice::Resumed { records }),
        Do::RemoveUnfinished { start: NOW },
        Do::Prepare,
        list(Some(NODE_LIST_TIMEOUT)),
    ]
}

fn starts(run: Run, effects: Vec<Effect>, checkpoint: Option<Checkpoint>, is_resumed: bool) -> Do<Stop> {
    Do::Start(Box::new(OwnedRun {
        run_start: run_start("run"),
        run,
        effects,
        checkpoint,
        is_resumed,
    }))
}

fn starts_new(checkpoint: Option<Checkpoint>) -> Do<Stop> {
    let policy = settings(checkpoint.is_some()).policy;
    let mut run = Run::new(plans(&run_start("run")), policy);
    let effects = run.handle(NOW, Event::Start);
    starts(run, effects, checkpoint, false)
}

fn resumes(records: &[Record], checkpoint: Option<Checkpoint>) -> Do<Stop> {
    let policy = settings(checkpoint.is_some()).policy;
    let mut run = Run::recover(plans(&run_start("run")), policy, records);
    let effects = run.resume(NOW);
    let checkpoint = checkpoint.map(|mut checkpoint| {
        for plugin in run.ended() {
            checkpoint.end(plugin);
        }
        checkpoint
    });
    starts(run, effects, checkpoint, true)
}

fn fails(error: StartError) -> Effects {
    vec![Do::Fail(Stop::Start(error))]
}

fn sealed() -> Record {
    let status = RunStatus {
        status: OverallStatus::Complete,
        ..RunStatus::default()
    };
    Record::Sealed { status }
}

fn over(record: &Record) -> Do<Stop> {
    let Record::Sealed { status } = record else {
        panic!("{record:?}")
    };
    Do::Over {
        status: Box::new(status.clone()),
        is_archive_lost: false,
    }
}

/// Passes the events to a new start-up. Each has the effects on its right; the first effects are those of the beginning.
fn check_steps(settings: StartSettings, first: &[Do<Stop>], steps: Vec<(Got<Stop>, Effects)>) {
    let mut startup = Startup::new(settings);
    assert_eq!(startup.begin::<Stop>(), first);
    for (event, effects) in steps {
        let text = format!("{event:?}");
        assert_eq!(startup.handle(NOW, event), effects, "{text}");
    }
}

#[test]
fn new_run_is_recorded_before_it_starts() {
    check_steps(
        settings(false),
        &[open()],
        vec![
            (opened(&[]), vec![identify_new(), Do::Prepare, list(None)]),
            (Got::NodesListed, vec![plan()]),
            (
                Got::Planned(run_start("run")),
                vec![Do::Record(vec![Record::Started(run_start("run"))]), starts_new(None)],
            ),
        ],
    );
    check_steps(
        settings(true),
        &[Do::ReadCheckpoint],
        vec![
            (read(None), vec![open()]),
            (opened(&[]), vec![identify_new(), Do::Prepare, list(None)]),
            (Got::NodesListed, vec![plan()]),
            (
                Got::Planned(run_start("run")),
                vec![
                    Do::WriteCheckpoint(Box::new(checkpoint(1, "me"))),
                    Do::Record(vec![Record::Started(run_start("run")), owned(1)]),
                    starts_new(Some(checkpoint(1, "me"))),
                ],
            ),
        ],
    );
}

/// The other process became the owner; its checkpoint is taken over, since this pod has no journal of the run.
#[test]
fn conflict_closes_the_journal_and_reads_the_checkpoint_again() {
    let again = || {
        vec![
            Do::CloseJournal,
            Do::Log(StartNotice::Conflict),
            Do::Pause,
            Do::ReadCheckpoint,
        ]
    };
    let mut records = checkpoint(1, "other").records(NOW);
    records.push(owned(2));
    let mut taken = vec![
        Do::WriteCheckpoint(Box::new(checkpoint(2, "me"))),
        Do::Log(StartNotice::TakenOver { epoch: 2 }),
        Do::Record(records.clone()),
    ];
    taken.extend(proceeds(records.len()));
    check_steps(
        settings(true),
        &[Do::ReadCheckpoint],
        vec![
            (Got::Conflict, again()),
            (read(Some(checkpoint(1, "other"))), vec![open()]),
            (opened(&[]), taken),
            (Got::Conflict, again()),
        ],
    );
}

#[test]
fn takeover_without_journal_resumes_from_the_checkpoint() {
    let mut startup = Startup::new(settings(true));
    startup.begin::<Stop>();
    startup.handle(NOW, read(Some(checkpoint(4, "other"))));
    startup.handle(NOW, opened(&[]));
    assert_eq!(startup.handle::<Stop>(NOW, Got::NodesListed), [Do::Restore]);
    let records = startup.records().to_vec();
    assert_eq!(
        startup.handle::<Stop>(NOW, Got::Restored(Vec::new())),
        [resumes(&records, Some(checkpoint(5, "me")))]
    );
}

#[test]
fn held_journal_is_waited_for_if_plugins_survive() {
    let held = || Got::JournalHeld(Stop::Shell("held"));
    let reported = Do::Log(StartNotice::JournalHeld(Stop::Shell("held")));
    check_steps(
        settings(false),
        &[open()],
        vec![
            (held(), vec![reported, Do::Pause, open()]),
            (held(), vec![Do::Pause, open()]),
            (opened(&[]), vec![identify_new(), Do::Prepare, list(None)]),
        ],
    );
    let local = StartSettings {
        waits_for_journal: false,
        ..settings(false)
    };
    check_steps(local, &[open()], vec![(held(), vec![Do::Fail(Stop::Shell("held"))])]);
}

#[test]
fn journal_of_another_version_is_refused_before_anything_is_written() {
    let mut newer = run_start("run");
    newer.version += 1;
    let version = || fails(StartError::Version(newer.version));
    check_steps(
        settings(false),
        &[open()],
        vec![(opened(&[Record::Started(newer.clone())]), version())],
    );
    check_steps(
        settings(true),
        &[Do::ReadCheckpoint],
        vec![
            (read(None), vec![open()]),
            (opened(&[Record::Started(newer.clone())]), version()),
        ],
    );
    let stored = Checkpoint::new(newer.clone(), 1, "other".to_owned());
    check_steps(
        settings(true),
        &[Do::ReadCheckpoint],
        vec![(read(Some(stored)), vec![open()]), (opened(&[]), version())],
    );
}

#[test]
fn invalid_identity_ends_the_start_up() {
    let invalid = |uuid: &str| fails(RunId::parse(uuid).unwrap_err().into());
    let nameless = StartSettings {
        uuid: String::new(),
        ..settings(false)
    };
    for (records, effects) in [
        (vec![Record::Finishing], fails(StartError::NoIdentity)),
        (vec![Record::Started(run_start("../x"))], invalid("../x")),
        (vec![Record::Started(run_start(""))], invalid("")),
    ] {
        let unknown = vec![Do::OpenJournal { uuid: String::new() }];
        check_steps(nameless.clone(), &unknown, vec![(opened(&records), effects)]);
    }
    let configured = StartSettings {
        uuid: "..".to_owned(),
        ..settings(false)
    };
    check_steps(configured, &invalid(".."), Vec::new());
    let of_backend = StartSettings {
        backend_identity: Some("a/b".to_owned()),
        ..nameless
    };
    let uuid = "a/b".to_owned();
    check_steps(
        of_backend,
        &[Do::OpenJournal { uuid }],
        vec![(opened(&[]), invalid("a/b"))],
    );
}

/// A journal of commit baf4e4a lacks the identity in its name; only one that a checkpoint belongs to is this run's.
#[test]
fn identity_of_a_run_is_configured_or_the_backends_or_new() {
    let opens = |configured: &str, backend: Option<&str>, nameless: bool, stored: bool| {
        let mut startup = Startup::new(StartSettings {
            uuid: configured.to_owned(),
            backend_identity: backend.map(str::to_owned),
            ..settings(true)
        });
        assert_eq!(startup.begin::<Stop>(), [Do::ReadCheckpoint]);
        let mut opens = startup.handle(
            NOW,
            Got::<Stop>::CheckpointRead {
                checkpoint: stored.then(|| Box::new(checkpoint(1, "other"))),
                has_nameless_journal: nameless,
            },
        );
        let Some(Do::OpenJournal { uuid }) = opens.pop() else {
            panic!("{opens:?}")
        };
        uuid
    };
    assert_eq!(opens("run", Some("uid"), true, true), "run");
    assert_eq!(opens("", Some("uid"), false, false), "uid");
    assert_eq!(opens("", Some("uid"), false, true), "uid");
    assert_eq!(opens("", Some("uid"), true, false), "uid");
    assert_eq!(opens("", Some("uid"), true, true), "");
    assert_eq!(opens("", None, false, false), "");

    let mut startup = Startup::new(StartSettings {
        uuid: String::new(),
        ..settings(false)
    });
    startup.begin::<Stop>();
    let effects = startup.handle(NOW, opened(&[]));
    let uuid = "new".to_owned();
    let sessions = BTreeMap::new();
    assert_eq!(effects[0], Do::Identify { uuid, sessions });
}

#[test]
fn sealed_run_is_over() {
    let records = [Record::Started(run_start("run")), sealed()];
    let last = |count| {
        vec![
            identify_known(),
            Do::Log(StartNotice::Resumed { records: count }),
            Do::RemoveUnfinished { start: NOW },
            over(&records[1]),
        ]
    };
    check_steps(settings(false), &[open()], vec![(opened(&records), last(2))]);

    let mut acquired = checkpoint(1, "me");
    acquired.apply(&records[1]);
    let mut effects = vec![Do::Record(vec![owned(1)]), Do::WriteCheckpoint(Box::new(acquired))];
    effects.extend(last(3));
    check_steps(
        settings(true),
        &[Do::ReadCheckpoint],
        vec![(read(None), vec![open()]), (opened(&records), effects)],
    );
}

#[test]
fn lost_archive_fails_every_result() {
    let mut stored = checkpoint(3, "other");
    stored.apply(&sealed());
    let mut startup = Startup::new(settings(true));
    startup.begin::<Stop>();
    startup.handle(NOW, read(Some(stored)));
    let effects = startup.handle(NOW, opened(&[]));
    let [
        identified,
        Do::Over {
            status,
            is_archive_lost: true,
        },
    ] = effects.as_slice()
    else {
        panic!("{effects:?}")
    };
    assert_eq!(*identified, identify_known());
    assert_eq!(
        (&status.status, &status.tarball),
        (&OverallStatus::Failed, &TarInfo::default())
    );
    let rows: Vec<_> = status
        .rows()
        .iter()
        .map(|row| (row.plugin.as_str(), row.status.as_str(), row.error.as_str()))
        .collect();
    assert_eq!(rows, [("p", plugin_status::FAILED, ARCHIVE_LOST)]);
}

/// A new run needs the nodes to know its results; a resumed one knows them.
#[test]
fn nodes_that_cannot_be_listed_fail_only_a_new_run() {
    let failed = || Got::NodesFailed(Stop::Shell("nodes"));
    check_steps(
        settings(false),
        &[open()],
        vec![
            (opened(&[]), vec![identify_new(), Do::Prepare, list(None)]),
            (failed(), vec![Do::Fail(Stop::Shell("nodes"))]),
        ],
    );
    let records = [Record::Started(run_start("run"))];
    check_steps(
        settings(false),
        &[open()],
        vec![
            (opened(&records), proceeds(1)),
            (failed(), vec![Do::Restore]),
            (Got::Restored(Vec::new()), vec![resumes(&records, None)]),
        ],
    );
}

/// A process that was killed between its two writes finds its own name in the journal, and no other's in the checkpoint.
#[test]
fn journal_that_does_not_know_the_owner_is_superseded() {
    let records = |epoch| vec![Record::Started(run_start("run")), owned(epoch)];
    let mut effects = vec![
        Do::Record(vec![owned(3)]),
        Do::WriteCheckpoint(Box::new(checkpoint(3, "me"))),
    ];
    effects.extend(proceeds(3));
    check_steps(
        settings(true),
        &[Do::ReadCheckpoint],
        vec![
            (read(Some(checkpoint(2, "me"))), vec![open()]),
            (opened(&records(2)), effects),
        ],
    );
    for stored in [checkpoint(2, "other"), checkpoint(3, "me")] {
        check_steps(
            settings(true),
            &[Do::ReadCheckpoint],
            vec![
                (read(Some(stored)), vec![open()]),
                (opened(&records(2)), fails(StartError::Superseded)),
            ],
        );
    }
}

#[test]
fn checkpoint_of_another_run_is_replaced() {
    let other = Checkpoint::new(run_start("other"), 6, "other".to_owned());
    check_steps(
        settings(true),
        &[Do::ReadCheckpoint],
        vec![
            (read(Some(other)), vec![open()]),
            (opened(&[]), vec![identify_new(), Do::Prepare, list(None)]),
            (Got::NodesListed, vec![plan()]),
            (
                Got::Planned(run_start("run")),
                vec![
                    Do::WriteCheckpoint(Box::new(checkpoint(7, "me"))),
                    Do::Record(vec![Record::Started(run_start("run")), owned(7)]),
                    starts_new(Some(checkpoint(7, "me"))),
                ],
            ),
        ],
    );
}

#[test]
fn results_that_the_journal_lacks_precede_the_end_of_the_collection() {
    let launching = Record::Launching {
        plugin: name(),
        deadline: None,
    };
    let found = [Record::Started(run_start("run")), launching.clone(), Record::Finishing];
    let stored = Record::Stored { key: key() };
    let replayed = [
        Record::Started(run_start("run")),
        launching,
        stored.clone(),
        Record::Finishing,
    ];
    check_steps(
        settings(false),
        &[open()],
        vec![
            (opened(&found), proceeds(3)),
            (Got::NodesListed, vec![Do::Restore]),
            (
                Got::Restored(vec![stored.clone()]),
                vec![Do::Record(vec![stored]), resumes(&replayed, None)],
            ),
        ],
    );
}
