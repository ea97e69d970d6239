use sono_types::{NodeName, RunStatus};

use super::*;
use crate::run::Failure;

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
        learns: false,
    }
}

fn begun(plugins: Vec<Planned>) -> Begun {
    Begun {
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
fn what_is_noted_comes_back_as_records() {
    let plugins = vec![
        planned("a", vec!["n1".to_owned(), "n2".to_owned()]),
        planned("b", vec!["global".to_owned()]),
        planned("c", vec!["n2".to_owned(), "n1".to_owned()]),
    ];
    let mut memory = Memory::new(begun(plugins), 4, "me".to_owned());
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
        (Record::Expected { key: key("a", "n3") }, Change::Later),
        (Record::Expected { key: key("a", "n3") }, Change::None),
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
        assert_eq!(memory.note(&record), change, "{record:?}");
    }
    assert_eq!(
        (memory.end(&name("a")), memory.end(&name("a"))),
        (Change::Soon, Change::None)
    );

    let again = Memory::decode(&memory.encode()).unwrap();
    assert_eq!(again, memory);
    assert_eq!(again.phase, Phase::Finishing);
    let now = Timestamp::MAX;
    let expected = [
        Record::Begun(Begun::clone(&memory.begun)),
        Record::Launching {
            plugin: name("a"),
            deadline,
        },
        Record::Launched { plugin: name("a") },
        Record::Expected { key: key("a", "n3") },
        failed(key("a", "n1")),
        Record::Launching {
            plugin: name("b"),
            deadline: None,
        },
        Record::Adopted {
            at: now,
            ended: BTreeSet::from([name("a")]),
        },
    ];
    assert_eq!(again.records(now), expected);
}

#[test]
fn what_is_no_memory_is_refused() {
    let memory = Memory::new(begun(Vec::new()), 1, String::new());
    let mut text = memory.text();
    text.version = 9;
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    serde_json::to_writer(&mut packed, &text).unwrap();
    let said = |bytes: &[u8]| Memory::decode(bytes).unwrap_err().to_string();
    assert_eq!(
        said(&packed.finish().unwrap()),
        "it has version 9, this program knows 1"
    );
    assert_eq!(said(b"x"), "it is no gzip");
}

/// A Secret holds 1 MiB: 20 plugins on 10,000 nodes, with long names in which nothing repeats, half of the nodes having
/// joined, and as many failures as there may be.
#[test]
fn ten_thousand_nodes_fit_a_secret() {
    const NODES: usize = 10_000;
    let names: Vec<String> = (0..NODES)
        .map(|number| {
            let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
            format!("gke-{number}-{high:016x}{low:016x}.europe-west1.example.internal")
        })
        .collect();
    let plugins = (0..20).map(|number| {
        // Each has nodes of its own in other places.
        let nodes = names
            .iter()
            .enumerate()
            .filter(|(place, _)| (place / 100) % 20 != number);
        planned(&format!("p{number}"), nodes.map(|(_, node)| node.clone()).collect())
    });
    let mut memory = Memory::new(begun(plugins.collect()), 1, uuid::Uuid::new_v4().to_string());
    for node in names.iter().skip(NODES / 2) {
        memory.note(&Record::Expected { key: key("p0", node) });
    }
    for node in &names {
        let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
        let failure = Failure::new(format!("{high:x}{low:x}").repeat(20));
        memory.note(&Record::Failed {
            key: key("p1", node),
            failure,
        });
    }
    memory.note(&Record::Sealed {
        status: RunStatus::default(),
    });
    let bytes = memory.encode();
    assert!(bytes.len() < 512 << 10, "{}", bytes.len());
    let again = Memory::decode(&bytes).unwrap();
    assert_eq!(again.begun.plugins, memory.begun.plugins);
    let failures = again
        .records(Timestamp::MAX)
        .iter()
        .filter(|record| matches!(record, Record::Failed { .. }))
        .count();
    assert_eq!(failures, MOST_FAILURES);
}
