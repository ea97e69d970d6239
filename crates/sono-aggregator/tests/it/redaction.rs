//! Known values in everything that a run packs.

use std::{collections::BTreeMap, ops::ControlFlow, path::Path};

use serde_json::{Value, json};
use sono_aggregator::RunError;
use sono_bundle::Bundle;
use sono_manifest::{Definition, DriverKind, ResultRedaction};
use sono_types::{Config, OverallStatus, routes};

use crate::{
    backend::{Options, TestRun, plugin, within},
    put,
};

/// Values of Secrets, one from the start of the run and one from its end.
const SECRETS: [&str; 2] = ["Zq8wL2mPx7Rt", "Vb5kT9nQd3Ys"];

fn definition(name: &str, result_redaction: ResultRedaction) -> Definition {
    Definition {
        result_redaction,
        description: "uses Zq8wL2mPx7Rt".to_owned(),
        ..plugin(name, DriverKind::Job)
    }
}

async fn send(run: &TestRun, plugin: &str, body: &[u8]) {
    let url = run.url(&format!("/api/v1/results/global/{plugin}"));
    let sent = put(&run.client(plugin), &url, &[], body.to_vec()).await;
    assert_eq!(sent, (200, String::new()));
}

/// The files of plugins, and the report.
fn content(archive: &Path) -> (BTreeMap<String, String>, Value) {
    let (mut files, mut report) = (BTreeMap::new(), Value::Null);
    Bundle::open(archive)
        .unwrap()
        .visit(&mut |name, content| {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            if name == "meta/redactions.json" {
                report = serde_json::from_slice(&bytes).unwrap();
            } else if name.contains("/results/") {
                files.insert(name.to_owned(), String::from_utf8_lossy(&bytes).into_owned());
            }
            for value in SECRETS {
                let found = bytes.windows(value.len()).any(|window| window == value.as_bytes());
                assert!(!found || name.contains("plugins/raw/results"), "{value} in {name}");
            }
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    (files, report)
}

#[tokio::test]
async fn results_are_redacted_as_their_definitions_say() {
    let run = TestRun::begin(Options {
        definitions: vec![
            definition("all", ResultRedaction::Full),
            definition("clean", ResultRedaction::Known),
            definition("known", ResultRedaction::Known),
            definition("raw", ResultRedaction::Off),
        ],
        secrets: SECRETS.to_vec(),
        ..Options::default()
    })
    .await;
    let text = b"Zq8wL2mPx7Rt, VmI1a1Q5blFkM1lz, password=hunter2x\n";
    for name in ["all", "known", "raw"] {
        send(&run, name, text).await;
    }
    let clean = b"\x7fELF\0, password=hunter2x\n";
    send(&run, "clean", clean).await;
    let (finished, _root) = run.finished().await;
    let (files, report) = content(&finished.unwrap().archive);
    let file = |plugin: &str, text: &str| (format!("plugins/{plugin}/results/global/result"), text.to_owned());
    let expected = [
        file("all", "[redacted], [redacted], password=[redacted]\n"),
        file("clean", "\u{7f}ELF\0, password=hunter2x\n"),
        file("known", "[redacted], [redacted], password=hunter2x\n"),
        file("raw", "Zq8wL2mPx7Rt, VmI1a1Q5blFkM1lz, password=hunter2x\n"),
    ];
    assert_eq!(files.into_iter().collect::<Vec<_>>(), expected);
    let rows: Vec<(&str, &Value, &Value)> = report["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["path"].as_str().unwrap(), &row["hits"], &row["opaque"]))
        .collect();
    let (one, two) = (json!({"known": 1}), json!({"known": 2}));
    let (full, none, binary) = (json!({"known": 2, "assignment": 1}), json!({}), json!({"binary": 1}));
    assert_eq!(
        rows,
        [
            ("plugins/all/definition.json", &one, &Value::Null),
            ("plugins/all/results/global/result", &full, &Value::Null),
            ("plugins/clean/definition.json", &one, &Value::Null),
            ("plugins/clean/results/global/result", &none, &binary),
            ("plugins/known/definition.json", &one, &Value::Null),
            ("plugins/known/results/global/result", &two, &Value::Null),
            ("plugins/raw/definition.json", &one, &Value::Null),
        ]
    );
    assert_eq!(
        (&report["verdict"], &report["unsearched"], &report["total"]),
        (&json!("partial"), &json!(["plugins/raw/results/"]), &json!(9))
    );
}

async fn required(result: &'static [u8]) -> (Result<Value, String>, OverallStatus, String, u16) {
    let run = TestRun::begin(Options {
        definitions: vec![plugin("p", DriverKind::Job)],
        config: Config {
            require_redaction: true,
            ..Config::default()
        },
        secrets: SECRETS.to_vec(),
        ..Options::default()
    })
    .await;
    let url = format!("http://{}{}", run.local, routes::LOCAL_PARTIAL);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let partial = within(client.get(url).send()).await.unwrap().status().as_u16();
    send(&run, "p", result).await;
    let statuses = run.statuses.clone();
    let (finished, root) = run.finished().await;
    let status = statuses.borrow().clone();
    let finished = match finished {
        Ok(finished) => Ok(content(&finished.archive).1["verdict"].clone()),
        Err(RunError::Pack { source, .. }) => Err(source.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let archives = fs_err::read_dir(root.path()).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().ends_with(".tar.gz")
    });
    assert_eq!(archives.count(), usize::from(finished.is_ok()));
    (finished, status.status, status.withheld, partial)
}

#[tokio::test]
async fn archive_without_the_required_proof_is_withheld() {
    let why = "the redaction is partly proved: none of the 2 values of Secrets that were searched (0 short, common or public ones were not) is in the searched content; not searched: content of 1 files (zstd); other secrets are found by names and formats only";
    assert_eq!(
        required(b"\x28\xb5\x2f\xfd opaque").await,
        (
            Err(format!("the archive is withheld: {why}")),
            OverallStatus::Failed,
            why.to_owned(),
            404
        )
    );
    assert_eq!(
        required(b"Zq8wL2mPx7Rt").await,
        (Ok(json!("proved")), OverallStatus::Complete, String::new(), 404)
    );
}
