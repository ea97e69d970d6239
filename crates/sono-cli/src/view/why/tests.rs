use serde_json::json;
use sono_analysis::{Rules, TestOutput, explain};
use sono_results::Leaf;
use sono_types::Item;

use super::*;

const LOG: &str = "\
STEP: Collecting events from namespace \"n-1\".
I1122 19:21:59.9 28 dump.go:53] At 2026-11-22 19:21:58 +0000 UTC - event for p-1: {kubelet node1} Failed: Failed to pull image \"r/x:1\": not found
I1122 19:21:59.9 28 resource.go:151] POD  NODE   PHASE    GRACE  CONDITIONS
I1122 19:21:59.9 28 resource.go:158] p-1  node1  Pending         []
";

fn outputs() -> Vec<TestOutput> {
    let output = |name: &str, failure: &str, log: &str| {
        let item = Item {
            name: name.to_owned(),
            status: "failed".to_owned(),
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
            file: Some("results/global/j.xml"),
        };
        TestOutput::of("e2e", leaf).unwrap()
    };
    vec![
        output(
            "[It] pulls",
            "[FAILED] late\nIn [It] at: k8s.io/rc.go:1 @ 11/22/26 19:26:22.588",
            LOG,
        ),
        output("other\u{7}\u{202e}", "[FAILED] Timed out after 3s.", "STEP: x\nlast"),
    ]
}

#[test]
fn overview_has_causes_keys_and_unexplained_failures() {
    let why = explain(&Rules::built_in().unwrap(), &outputs(), &[]);
    assert_eq!(
        table(&why, None).plain(),
        "\
2 failures: 1 explained by 1 cause, 1 unexplained

1  Images cannot be pulled   sure   image-unavailable
   1  r/x:1
   next: sono images inspect; on the node: crictl pull r/x:1

1  without a known cause   unexplained
   1  Timed out after …s."
    );
    assert_eq!(
        markdown(&why, None).as_str(),
        "\
### Causes

2 failures: 1 explained by 1 cause, 1 unexplained

- 1: Images cannot be pulled (sure, `image-unavailable`)
  - 1: `r/x:1`
- 1: without a known cause
  - 1: `Timed out after …s.`
"
    );
    let none = explain(&Rules::built_in().unwrap(), &[], &[]);
    assert_eq!(table(&none, None).plain(), "no failures");
}

#[test]
fn failure_has_its_evidence() {
    let (rules, outputs) = (Rules::built_in().unwrap(), outputs());
    let mut why = explain(&rules, &outputs, &[]);
    why.add_evidence(0, &outputs, &[]);
    assert_eq!(
        table(&why, Some(&[0])).plain(),
        "\
✗ pulls
  plugin e2e, namespace n-1, k8s.io/rc.go:1, 11/22/26 19:26:22.588

cause   The image r/x:1 cannot be pulled.   sure   image-unavailable
proof   plugins/e2e/results/global/j.xml, system-err, line 2
          p-1: {kubelet node1} Failed: Failed to pull image \"r/x:1\": not found
next    sono images inspect; on the node: crictl pull r/x:1

message
  [FAILED] late
  In [It] at: k8s.io/rc.go:1 @ 11/22/26 19:26:22.588

events
  2026-11-22 19:21:58  p-1  Failed: Failed to pull image \"r/x:1\": not found

pods
  p-1  Pending  not ready  node1

end of the log
  STEP: Collecting events from namespace \"n-1\"."
    );
}

#[test]
fn list_of_failures_shows_hostile_names_escaped() {
    let why = explain(&Rules::built_in().unwrap(), &outputs(), &[]);
    assert_eq!(
        table(&why, Some(&[0, 1])).plain(),
        "\
2 failures

✗ pulls
  The image r/x:1 cannot be pulled.   sure
  plugins/e2e/results/global/j.xml, system-err, line 2: p-1: {kubelet node1} Failed: Failed to pull image \"r/x:1\": not found

✗ other\\u{7}\\u{202e}
  [FAILED] Timed out after 3s."
    );
}
