use sono_types::NodeName;

use super::*;
use crate::Failure;

fn name(name: &str) -> PluginName {
    PluginName::parse(name).unwrap()
}

fn planned(plugin: &str, targets: Vec<String>) -> Planned {
    Planned {
        plugin: name(plugin),
        session: SessionId::from_random([7; 8]),
        order: 3,
        timeout: Some(60),
        targets,
        discovers_targets: false,
    }
}

fn run_start(plugins: Vec<Planned>) -> RunStart {
    RunStart {
        version: 1,
        uuid: "run".to_owned(),
        start: Timestamp::UNIX_EPOCH,
        ca_certificate: "certificate".to_owned(),
        ca_key: "key".to_owned(),
        plugins,
    }
}

fn key(plugin: &str, node: &str) -> ResultKey {
    ResultKey::new(name(plugin), Target::Node(NodeName::parse(node).unwrap()))
}

#[test]
fn checkpoint_restores_applied_records() {
    let plugins = vec![
        planned("a", vec!["n1".to_owned(), "n2".to_owned()]),
        planned("b", vec!["global".to_owned()]),
        planned("c", vec!["n2".to_owned(), "n1".to_owned()]),
    ];
    let mut checkpoint = Checkpoint::new(run_start(plugins), 4, "me".to_owned());
    let deadline = Some(Timestamp::UNIX_EPOCH);
    let failed = |key: ResultKey| Record::Failed {
        key,
        failure: Failure::new("gone"),
    };
    let changes = [
        (
            Record::Launching {
                plugin: name("a"),
                deadline,
            },
            Change::Soon,
        ),
        (Record::Launched { plugin: name("a") }, Change::Soon),
        (Record::TargetDiscovered { key: key("a", "n3") }, Change::Later),
        (Record::TargetDiscovered { key: key("a", "n3") }, Change::None),
        (failed(key("a", "n1")), Change::Later),
        (failed(key("a", "n2")), Change::Later),
        (Record::Stored { key: key("a", "n2") }, Change::Later),
        (Record::Stored { key: key("a", "n3") }, Change::None),
        (
            Record::Launching {
                plugin: name("b"),
                deadline: None,
            },
            Change::Soon,
        ),
        (Record::Finishing, Change::Soon),
    ];
    for (record, change) in changes {
        assert_eq!(checkpoint.apply(&record), change, "{record:?}");
    }
    assert_eq!(
        (checkpoint.end(&name("a")), checkpoint.end(&name("a"))),
        (Change::Soon, Change::None)
    );

    let again = Checkpoint::from_json(&checkpoint.to_json()).unwrap();
    assert_eq!(again, checkpoint);
    assert_eq!(again.phase, CheckpointPhase::Finishing);
    let now = Timestamp::MAX;
    let expected = [
        Record::Started(RunStart::clone(&checkpoint.run_start)),
        Record::Launching {
            plugin: name("a"),
            deadline,
        },
        Record::Launched { plugin: name("a") },
        Record::TargetDiscovered { key: key("a", "n3") },
        failed(key("a", "n1")),
        Record::Launching {
            plugin: name("b"),
            deadline: None,
        },
        Record::TakenOver {
            at: now,
            ended: BTreeSet::from([name("a")]),
        },
    ];
    assert_eq!(again.records(now), expected);
}

#[test]
fn text_that_is_not_a_checkpoint_is_refused() {
    let checkpoint = Checkpoint::new(run_start(Vec::new()), 1, String::new());
    let mut text = checkpoint.text();
    text.version = 9;
    let said = |bytes: &[u8]| Checkpoint::from_json(bytes).unwrap_err().to_string();
    assert_eq!(
        said(&serde_json::to_vec(&text).unwrap()),
        "unsupported version 9: this aggregator supports version 1"
    );
    assert_eq!(said(b"x"), "not a checkpoint");
}

/// Checkpoints of earlier versions, in the Secrets of their runs, have these keys.
#[test]
fn checkpoint_text_has_the_keys_of_earlier_versions() {
    let mut with_discovery = planned("a", vec!["n1".to_owned()]);
    with_discovery.discovers_targets = true;
    let mut checkpoint = Checkpoint::new(run_start(vec![with_discovery]), 4, "me".to_owned());
    checkpoint.apply(&Record::TargetDiscovered { key: key("a", "n2") });
    checkpoint.apply(&Record::DiscoveryEnded { plugin: name("a") });
    let text = serde_json::json!({
        "version": 1, "epoch": 4, "holder": "me", "journal": 1, "uuid": "run", "start": "1970-01-01T00:00:00Z",
        "ca_certificate": "certificate", "ca_key": "key", "phase": "running",
        "plugins": [{
            "plugin": "a", "session": "0707070707070707", "order": 3, "timeout": 60, "learns": true, "targets": [[0, 1]],
            "launched": false, "deadline": null, "created": false, "ended": false, "counted": true, "joined": [[1, 1]],
            "failed": {},
        }],
        "targets": ["n1", "n2"],
    });
    let written: serde_json::Value = serde_json::from_slice(&checkpoint.to_json()).unwrap();
    assert_eq!(written, text);
    assert_eq!(Checkpoint::from_json(text.to_string().as_bytes()).unwrap(), checkpoint);
}
