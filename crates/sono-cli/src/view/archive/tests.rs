use std::collections::BTreeMap;

use serde_json::json;
use sono_types::constants;

use super::*;

fn summary() -> Summary {
    Summary {
        name: "e2e".to_owned(),
        status: "failed".to_owned(),
        passed: 412,
        failed: 2,
        skipped: 2799,
        other: BTreeMap::new(),
        failures: vec![
            Failure {
                name: "[sig-network] Proxy should `proxy`".to_owned(),
                message_first_lines: vec!["timed out waiting for ``` it".to_owned(), "proxy.go:271".to_owned()],
                ..Failure::default()
            },
            Failure {
                name: "[sig-node] Secrets".to_owned(),
                ..Failure::default()
            },
        ],
    }
}

fn health() -> Health {
    serde_json::from_value(json!({
        "api_version": "v1.37.2",
        "node_health": {"total_nodes": 3, "healthy_nodes": 3},
        "pod_health": {"total_nodes": 41, "healthy_nodes": 41},
        "error_summary": {"Warnings": {"a.txt": 4, "b.txt": 2}}}))
    .unwrap()
}

fn with_overview(check: impl Fn(Overview<'_>)) {
    let (summary, health) = (summary(), health());
    let other = Summary {
        name: "systemd-logs".to_owned(),
        status: "passed".to_owned(),
        passed: 3,
        other: [("a|b".to_owned(), 1)].into(),
        ..Summary::default()
    };
    let plugin = |name, summary| -> PluginOverview<'_> {
        let summary: &Summary = summary;
        PluginOverview {
            name,
            status: &summary.status,
            summary,
            listed: &[],
        }
    };
    check(Overview {
        run: Some("4f2a"),
        status: "failed",
        plugins: vec![plugin("e2e", &summary), plugin("systemd-logs", &other)],
        health: Some(&health),
        archive: Some("a.tar.gz"),
        marks: None,
    });
}

fn plain(text: &Text) -> String {
    text.plain().into_owned()
}

#[test]
fn verdict_is_first() {
    with_overview(|overview| {
        assert_eq!(
            plain(&table(&overview, true)),
            "run 4f2a   failed   v1.37.2, 3 nodes

e2e            failed    414 run: 412 passed, 2 failed   (2,799 skipped)
  ✗ [sig-network] Proxy should `proxy`
      timed out waiting for ``` it
      proxy.go:271
  ✗ [sig-node] Secrets
systemd-logs   passed    4 run: 3 passed, 1 a|b
cluster        healthy   3/3 nodes ready, 41/41 pods ready; 6 warnings in 2 logs"
        );
    });
}

/// The archive's text for a time limit is long; its end contains the reason.
#[test]
fn time_limit_is_shortened_to_its_reason() {
    let named = |name: String| {
        let failures = [Failure {
            name,
            ..Failure::default()
        }];
        plain(&Text::lines(
            groups(&failures)
                .iter()
                .flat_map(|group| failure(group, Mark::default())),
        ))
    };
    let limit = format!(
        "{}{}pod p on node n was still running.",
        constants::TIMEOUT_MESSAGE,
        constants::LAST_SEEN
    );
    assert_eq!(named(limit), "  ✗ timed out: pod p on node n was still running");
}

#[test]
fn requested_items_are_listed() {
    let summary = summary();
    let listed = [
        ("skipped".to_owned(), "[It] one".to_owned()),
        ("failed".to_owned(), "two".to_owned()),
    ];
    let overview = Overview {
        run: None,
        status: "failed",
        plugins: vec![PluginOverview {
            name: "e2e",
            status: "failed",
            summary: &summary,
            listed: &listed,
        }],
        health: None,
        archive: None,
        marks: None,
    };
    assert_eq!(
        plain(&table(&overview, false)),
        "run   failed\n\ne2e       failed   414 run: 412 passed, 2 failed   (2799 skipped)\n  - [It] one   skipped\n  ✗ two   failed"
    );
}

#[test]
fn markdown_escapes_foreign_text() {
    with_overview(|overview| {
        assert_eq!(
            markdown(&overview, 2).as_str(),
            "## Run failed

run `4f2a`, v1.37.2, 3 nodes, archive `a.tar.gz`

| plugin | result | passed | failed | skipped | other |
| --- | --- | ---: | ---: | ---: | --- |
| e2e | failed | 412 | 2 | 2799 |  |
| systemd-logs | passed | 3 | 0 | 0 | a\\|b: 1 |

Cluster healthy: 3/3 nodes ready, 41/41 pods ready; 6 warnings in 2 logs

### Failures

- e2e: `` [sig-network] Proxy should `proxy` ``
  ````text
  timed out waiting for ``` it
  proxy.go:271
  ````
- e2e: `[sig-node] Secrets`
"
        );
    });
}

#[test]
fn short_form_counts_omitted_failures() {
    with_overview(|overview| {
        let text = markdown(&overview, 0);
        assert_eq!(
            text.as_str().split_once("### Failures\n").unwrap().1,
            "\n- and 2 more\n"
        );
    });
}

#[test]
fn waived_and_known_failures_are_marked() {
    let failure = |name: &str| Failure {
        name: name.to_owned(),
        file: Some("results/global/junit.xml".to_owned()),
        message_first_lines: vec!["message".to_owned()],
        ..Failure::default()
    };
    let summary = Summary {
        status: "failed".to_owned(),
        passed: 1,
        failed: 3,
        failures: ["one", "two", "three"].map(failure).into(),
        ..Summary::default()
    };
    let mut marks = Marks::default();
    marks.notes.push("waivers: 1 failure is waived, 2 are not".to_owned());
    marks
        .waived
        .insert("e2e", Some("results/global/junit.xml"), "one", "dns");
    // Of another plugin, and of another file.
    marks
        .waived
        .insert("other", Some("results/global/junit.xml"), "two", "x");
    marks.waived.insert("e2e", Some("results/node1/junit.xml"), "two", "x");
    for (name, words) in [("one", "failed in 1a2b3c4d too"), ("three", "new since 1a2b3c4d")] {
        marks
            .since
            .insert(("e2e".to_owned(), name.to_owned()), words.to_owned());
    }
    let overview = Overview {
        run: None,
        status: "failed",
        plugins: vec![PluginOverview {
            name: "e2e",
            status: "failed",
            summary: &summary,
            listed: &[],
        }],
        health: None,
        archive: None,
        marks: Some(&marks),
    };
    assert_eq!(
        plain(&table(&overview, false)),
        "run   failed\nwaivers: 1 failure is waived, 2 are not\n\n\
         e2e       failed   4 run: 1 passed, 3 failed, 2 of these waived\n  \
         - one   (waived: dns; failed in 1a2b3c4d too)\n      message\n  \
         ✗ two\n      message\n  ✗ three   (new since 1a2b3c4d)\n      message"
    );
    let markdown = markdown(&overview, 9);
    let struck = "- e2e: ~~`one`~~   (waived: dns; failed in 1a2b3c4d too)";
    assert!(
        markdown.as_str().lines().any(|line| line == struck),
        "{}",
        markdown.as_str()
    );
}
