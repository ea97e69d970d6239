use std::io::Write as _;

use sono_results::visit_leaves;
use sono_types::Item;

use super::*;
use crate::{ArchiveReader, BeyondLimit, Rules, TextLimits, explain};

const LIMITS: TextLimits = TextLimits {
    items: 100_000,
    bytes: 64 << 20,
    beyond: BeyondLimit::Refused,
    tree_bytes: 64 << 20,
};

/// The card of an archive with these files.
fn card(files: &[(&str, &str)]) -> Card {
    let mut reader = ArchiveReader::new(None, LIMITS).with_card();
    for (name, text) in files {
        reader.file(name, &mut text.as_bytes()).unwrap();
    }
    assert_eq!(reader.unread(), Vec::<String>::new());
    let texts = reader.finish();
    let why = explain(&Rules::built_in().unwrap(), &texts.outputs, &texts.logs);
    texts.card.unwrap().card(&why)
}

const TREE: &str = r"name: e2e
status: failed
items:
- name: junit_01.xml
  status: failed
  meta:
    file: results/global/junit_01.xml
  items:
  - name: suite
    status: failed
    items:
    - name: '[It] [sig-a] passes [Conformance]'
      status: passed
    - name: '[sig-b] fails'
      status: failed
      details:
        failure: |
          [FAILED] no answer from 10.0.0.1 within 30s
          In [It] at: test.go:1 @ 01/01/26 00:00:00
    - name: '[sig-c] is not selected'
      status: skipped
";

const DEFINITION: &str = r#"{"Definition": {"spec": {"image": "suite:v1.37.2",
    "env": [{"name": "E2E_FOCUS", "value": "sig"}, {"name": "OTHER"}]}}}"#;

#[test]
fn card_describes_the_run() {
    let found = card(&[
        ("meta/config.json", r#"{"UUID": "u-u-i-d", "Other": 1}"#),
        (
            "meta/run.log",
            "not a time\n{\"time\":\"2026-11-22T19:19:39Z\"}\n{\"time\":\"2026-11-22T19:20:39.5Z\"}\ntorn",
        ),
        ("plugins/e2e/definition.json", DEFINITION),
        (
            "plugins/e2e/results/global/junit_01.xml",
            "<testsuite><testcase name='[It] [sig-a] passes [Conformance]' time='1.25'/><testcase name='[sig-b] fails' time='x'/></testsuite>",
        ),
        ("plugins/e2e/sonobuoy_results.yaml", TREE),
        ("serverversion.json", r#"{"gitVersion": "v1.37.2"}"#),
    ]);
    let fingerprint = found.cluster.fingerprint.clone();
    assert_eq!(fingerprint.len(), 64);
    let expected = Card {
        schema: 1,
        run: CardRun {
            id: "u-u-i-d".to_owned(),
            start: "2026-11-22T19:19:39Z".parse().ok(),
            seconds: Some(60),
        },
        cluster: CardCluster {
            server: "v1.37.2".to_owned(),
            fingerprint,
            ..CardCluster::default()
        },
        plugins: vec![CardPlugin {
            name: "e2e".to_owned(),
            image: Some("suite:v1.37.2".to_owned()),
            status: "failed".to_owned(),
            filter: Some(CardFilter {
                focus: "sig".to_owned(),
                skip: String::new(),
            }),
            tests: vec!["[sig-a] passes [Conformance]".to_owned(), "[sig-b] fails".to_owned()],
            statuses: "pf".to_owned(),
            milliseconds: vec![1250, 0],
            skipped: 1,
            left_out: 0,
            failures: vec![CardFailure {
                test: 1,
                signature: crate::signature_hash("no answer from … within …s"),
                first: "[FAILED] no answer from 10.0.0.1 within 30s".to_owned(),
                ..CardFailure::default()
            }],
        }],
    };
    assert_eq!(found, expected);
    assert_eq!(Card::parse(found.to_json().unwrap().as_bytes()).unwrap(), found);
}

#[test]
fn card_of_other_archives_has_what_is_known() {
    let found = card(&[("plugins/x/sonobuoy_results.yaml", "name: x\nstatus: passed\n")]);
    let plugin = CardPlugin {
        name: "x".to_owned(),
        status: "passed".to_owned(),
        tests: vec!["x".to_owned()],
        statuses: "p".to_owned(),
        ..CardPlugin::default()
    };
    assert_eq!(found.plugins, [plugin]);
    assert_eq!(found.run, CardRun::default());
    assert_eq!(card(&[]).plugins, []);
}

#[test]
fn cards_of_later_versions_and_damaged_cards_are_refused() {
    let error = |text: &str| Card::parse(text.as_bytes()).unwrap_err().to_string();
    assert_eq!(
        error(r#"{"schema": 2, "plugins": 7}"#),
        "the card has version 2, and this program reads versions up to 1"
    );
    assert_eq!(error("{}"), "the card is damaged: the version is missing");
    assert_eq!(error(r#"{"schema": 1, "plugins": 7}"#), "the card is damaged");
    let plugin = |text: &str| error(&format!(r#"{{"schema": 1, "plugins": [{text}]}}"#));
    assert_eq!(
        plugin(r#"{"tests": ["a"], "statuses": ""}"#),
        "the card is damaged: a test has no status"
    );
    assert_eq!(
        plugin(r#"{"tests": ["a"], "statuses": "p", "milliseconds": [1, 2]}"#),
        "the card is damaged: a test has no duration"
    );
    assert_eq!(
        plugin(r#"{"tests": ["a"], "statuses": "f", "failures": [{"test": 1}]}"#),
        "the card is damaged: a failure has no test"
    );
    // Fields of later programs with the same version are ignored.
    assert!(Card::parse(br#"{"schema": 1, "more": {}}"#).is_ok());
}

#[test]
fn card_of_450_tests_is_small() {
    let words = [
        "Pods",
        "should",
        "volume",
        "network",
        "policy",
        "endpoint",
        "update",
        "with",
        "readiness",
        "mount",
    ];
    let mut state = 7_u64;
    let mut word = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        words[usize::try_from(state >> 33).unwrap() % words.len()]
    };
    let tests = (0..450).map(|number| {
        let text: Vec<&str> = (0..9).map(|_| word()).collect();
        Item {
            name: format!(
                "[It] [sig-node] {} {number} [NodeConformance] [Conformance]",
                text.join(" ")
            ),
            status: if number % 9 == 0 { "failed" } else { "passed" }.to_owned(),
            details: [(
                "failure".to_owned(),
                Value::from(format!("{} {number}", text.join(" "))),
            )]
            .into(),
            ..Item::default()
        }
    });
    let root = Item {
        name: "e2e".to_owned(),
        status: "failed".to_owned(),
        items: tests.collect(),
        ..Item::default()
    };
    let mut list = TestList::default();
    visit_leaves(&root, &mut |leaf| list.add(leaf));
    let mut reader = ArchiveReader::new(None, LIMITS).with_card();
    reader.tree("e2e", &root).unwrap();
    let texts = reader.finish();
    let why = explain(&Rules::built_in().unwrap(), &texts.outputs, &texts.logs);
    let found = texts.card.unwrap().card(&why);
    assert_eq!(
        (found.plugins[0].tests.len(), found.plugins[0].failures.len()),
        (450, 50)
    );
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(found.to_json().unwrap().as_bytes()).unwrap();
    let bytes = packed.finish().unwrap().len();
    assert!(bytes <= 16 << 10, "{bytes} bytes");
}

#[test]
fn changes_of_the_cluster_are_named() {
    let cluster = |server: &str, nodes: u64, facts: &[(&str, &[&str])]| CardCluster {
        server: server.to_owned(),
        nodes,
        facts: facts
            .iter()
            .map(|(kind, values)| {
                (
                    (*kind).to_owned(),
                    values.iter().map(|value| (*value).to_owned()).collect(),
                )
            })
            .collect(),
        ..CardCluster::default()
    };
    let before = cluster(
        "v1.36.3",
        2,
        &[
            ("kubelet", &["v1.36.3"]),
            ("kernel", &["6.1"]),
            ("storage class", &["a"]),
        ],
    );
    let after = cluster(
        "v1.37.2",
        2,
        &[
            ("kubelet", &["v1.36.3", "v1.37.2"]),
            ("kernel", &["6.1"]),
            ("CSI driver", &["d"]),
        ],
    );
    let change = |kind: &str, before: &[&str], after: &[&str]| ClusterChange {
        kind: kind.to_owned(),
        before: before.iter().map(|value| (*value).to_owned()).collect(),
        after: after.iter().map(|value| (*value).to_owned()).collect(),
    };
    assert_eq!(
        cluster_changes(&before, &after),
        [
            change("Kubernetes", &["v1.36.3"], &["v1.37.2"]),
            change("kubelet", &[], &["v1.37.2"]),
            change("storage class", &["a"], &[]),
            change("CSI driver", &[], &["d"]),
        ]
    );
    assert_eq!(cluster_changes(&before, &before), []);
    assert_eq!(cluster_changes(&before, &cluster("", 0, &[])), []);
}

#[test]
fn card_is_whole_if_texts_are_left_out() {
    let limits = TextLimits {
        bytes: 10,
        beyond: BeyondLimit::LeftOut,
        ..LIMITS
    };
    let mut reader = ArchiveReader::new(None, limits).with_card();
    reader
        .file("plugins/e2e/sonobuoy_results.yaml", &mut TREE.as_bytes())
        .unwrap();
    let texts = reader.finish();
    assert_eq!((texts.outputs.len(), texts.left_out), (0, 1));
    let found = texts.card.unwrap().card(&Why::default());
    assert_eq!(
        (found.plugins[0].statuses.as_str(), found.plugins[0].failures.len()),
        ("pf", 1)
    );
    let mut refused = ArchiveReader::new(
        None,
        TextLimits {
            beyond: BeyondLimit::Refused,
            ..limits
        },
    );
    let error = refused.file("plugins/e2e/sonobuoy_results.yaml", &mut TREE.as_bytes());
    assert_eq!(
        error.unwrap_err().to_string(),
        "the texts of failures have more than 10 bytes"
    );
}
