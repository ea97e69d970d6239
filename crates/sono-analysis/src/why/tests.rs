use serde_json::json;
use sono_results::Leaf;
use sono_types::Item;

use super::*;

fn output(name: &str, status: &str, failure: &str, log: &str) -> TestOutput {
    let item = Item {
        name: name.to_owned(),
        status: status.to_owned(),
        details: [
            ("failure".to_owned(), json!(failure)),
            ("system-err".to_owned(), json!(log)),
        ]
        .into(),
        ..Item::default()
    };
    let leaf = Leaf {
        item: &item,
        path: &[],
        file: Some("results/global/junit_01.xml"),
    };
    TestOutput::of("e2e", leaf).unwrap()
}

fn pull(image: &str) -> String {
    format!(
        "STEP: Collecting events from namespace \"n-1\".\n\
         I1122 19:21:59.9 28 dump.go:53] At 2026-11-22 19:21:58 +0000 UTC - event for p-1: {{kubelet node1}} Failed: Failed to pull image \"{image}\": not found\n\
         I1122 19:21:59.9 28 resource.go:151] POD  NODE   PHASE    GRACE  CONDITIONS\n\
         I1122 19:21:59.9 28 resource.go:158] p-1  node1  Pending         []\n"
    )
}

const UNREACHABLE: &str = "[FAILED] service is not reachable within 2m0s timeout on endpoint x:80 over TCP protocol";

/// The message alone is a symptom: of three failures with it, two have different proofs and one has none.
#[test]
fn cause_is_the_proof_and_not_the_symptom() {
    let rules = Rules::built_in().unwrap();
    let outputs = [
        output("a", "failed", UNREACHABLE, &pull("r/x:1")),
        output(
            "b",
            "failed",
            UNREACHABLE,
            "+ nc -v x 80\nnc: invalid option -- 'v'\n".repeat(3).as_str(),
        ),
        output("c", "failed", UNREACHABLE, "STEP: x"),
        output("d", "failed", "[FAILED] Timed out after 300.1s.", &pull("r/y:1")),
        output("e", "failed", "[FAILED] Timed out after 900.1s.", &pull("r/x:1")),
    ];
    let mut why = explain(&rules, &outputs, &[]);
    let causes: Vec<_> = why
        .causes
        .iter()
        .map(|cause| {
            let keys: Vec<String> = cause
                .keys
                .iter()
                .map(|key| format!("{} {}", key.key, key.count))
                .collect();
            (
                cause.id.as_str(),
                cause.count,
                cause.certainty,
                keys.join(", "),
                cause.failures.clone(),
            )
        })
        .collect();
    assert_eq!(
        causes,
        [
            (
                "image-unavailable",
                3,
                Certainty::Sure,
                "r/x:1 2, r/y:1 1".to_owned(),
                vec![0, 3, 4]
            ),
            ("tool-lacks-option", 1, Certainty::Sure, "nc 1".to_owned(), vec![1]),
        ]
    );
    assert_eq!(
        why.unexplained,
        [Unexplained {
            message: "service is not reachable within …m…s timeout on endpoint x:… over TCP protocol".to_owned(),
            count: 1,
            failures: vec![2],
        }]
    );
    assert_eq!((why.failed, why.explained), (5, 4));
    let proof = Proof {
        file: Some("plugins/e2e/results/global/junit_01.xml".to_owned()),
        part: "system-err".to_owned(),
        line: 2,
        text: "p-1: {kubelet node1} Failed: Failed to pull image \"r/x:1\": not found".to_owned(),
    };
    assert_eq!(why.failures[0].proof, [proof]);
    why.add_evidence(0, &outputs, &[]);
    let view = &why.failures[0];
    assert_eq!((view.events.len(), view.pods.len(), view.log.len()), (1, 1, 1));
}

#[test]
fn cause_that_passed_tests_share_is_likely() {
    let rules = Rules::built_in().unwrap();
    let certainty = |passed: &str| {
        let outputs = [
            output("a", "failed", "x", &pull("r/x:1")),
            output("b", "passed", "", &pull(passed)),
        ];
        let why = explain(&rules, &outputs, &[]);
        (why.failed, why.causes[0].certainty)
    };
    assert_eq!(certainty("r/y:1"), (1, Certainty::Sure));
    assert_eq!(certainty("r/x:1"), (1, Certainty::Likely));
}

#[test]
fn archive_without_failures_has_no_causes() {
    let why = explain(&Rules::built_in().unwrap(), &[], &[]);
    assert_eq!(
        serde_json::to_string(&why).unwrap(),
        r#"{"schema":1,"failed":0,"explained":0,"causes":[],"unexplained":[],"failures":[]}"#
    );
}

/// Time and memory must not depend on an archive's author.
#[test]
fn hostile_texts_are_explained_within_limits() {
    let rules = Rules::built_in().unwrap();
    let long = "nc: invalid option -- 'v' ".repeat(100_000);
    let many = "sh: curl: not found\n".repeat(200_000);
    let outputs = [
        output(&"n".repeat(1 << 20), "failed", &long, &many),
        output("\u{0}\u{202e}", "timeout", "\u{0}", "At \u{0} - event for {: {} {"),
    ];
    let why = explain(&rules, &outputs, &[]);
    let size = serde_json::to_string(&why).unwrap().len();
    assert!(size < 100_000, "{size}");
    assert_eq!(why.failures[0].name.len(), limits::NAME_BYTES);
}
