//! `sono why` and `sono rules`: causes of the failures in an archive.

use std::path::Path;

use serde_json::Value;

use crate::sono;

const FAILURE: &str = "[FAILED] service is not reachable within 2m0s timeout on endpoint web:80 over TCP protocol";

/// An archive with failures of the suite, a passed test, and a plugin without a result.
pub(crate) fn write_run(directory: &Path) {
    let pulls = "STEP: Collecting events from namespace \"n-1\".\nI1122 19:21:59.9 28 dump.go:53] At 2026-11-22 19:21:58 +0000 UTC - event for p-1: {kubelet node1} Failed: Failed to pull image \"r/x:1\": not found\nI1122 19:21:59.9 28 resource.go:151] POD  NODE   PHASE    GRACE  CONDITIONS\nI1122 19:21:59.9 28 resource.go:158] p-1  node1  Pending         []\n";
    let porter = "STEP: Collecting events from namespace \"proxy-1\".\n";
    let test = |name: &str, log: &str| serde_json::json!({"name": name, "status": "failed", "details": {"failure": FAILURE, "system-err": log}});
    let tree = serde_json::json!({"name": "e2e", "status": "failed", "items": [
        {"name": "junit_01.xml", "status": "failed", "meta": {"file": "results/global/junit_01.xml"}, "items": [
            {"name": "[It] passes", "status": "passed"},
            test("[It] [sig-network] pulls [Conformance]", pulls),
            test("[It] [sig-network] proxies", porter),
            test("[It] [sig-network] waits", "STEP: waiting\n")]}]});
    let missing = serde_json::json!({"name": "p", "status": "failed", "items": [{"name": "n1", "status": "failed",
        "items": [{"name": "container p of pod x on node n1 ended with exit code 2 and no result arrived; see its log",
            "status": "failed", "meta": {"file": "errors/n1/error.json"},
            "details": {"error": "container p of pod x on node n1 ended with exit code 2 and no result arrived; see its log"}}]}]});
    let write = |name: &str, text: &str| {
        let path = directory.join("run").join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    };
    write("meta/info.json", r#"{"plugins":["e2e","p"]}"#);
    write(
        "plugins/e2e/results/global/proxy-1/server/porter/logs.txt",
        "tls server on port \"460\" with certFile=\"localhost.crt\", keyFile=\"k\" failed: open localhost.crt: no such file or directory\n",
    );
    let yaml = |tree: &Value| sono_types::yaml::to_string(tree).unwrap();
    write("plugins/e2e/sonobuoy_results.yaml", &yaml(&tree));
    write("plugins/p/sonobuoy_results.yaml", &yaml(&missing));
    let file = fs_err::File::create(directory.join("run.tar.gz")).unwrap();
    sono_bundle::pack_directory(&directory.join("run"), file, &[], 6).unwrap();
}

#[test]
fn causes_of_an_archive_are_listed() {
    let directory = tempfile::tempdir().unwrap();
    write_run(directory.path());
    let expected = "\
4 failures: 3 explained by 3 causes, 1 unexplained

1  Images cannot be pulled   sure   image-unavailable
   1  r/x:1
   next: sono images inspect; on the node: crictl pull r/x:1

1  Files are missing in the images of the tests' servers   sure   test-image-incomplete
   1  localhost.crt
   next: compare the images: sono images list

1  Containers of plugins ended without a result   sure   plugin-exit-code
   1  exit code 2
   next: sono logs --archive ARCHIVE --failed

1  without a known cause   unexplained
   1  service is not reachable within …m…s timeout on endpoint web:… over TCP protocol
";
    for archive in ["run", "run.tar.gz"] {
        let finished = sono(directory.path(), &["why", archive]);
        assert_eq!(
            (finished.code, finished.stdout.as_str()),
            (0, expected),
            "{}",
            finished.stderr
        );
    }
    // Below the results too.
    let finished = sono(directory.path(), &["results", "run", "--why"]);
    assert!(finished.stdout.ends_with(expected), "{}", finished.stdout);
    let refused = sono(directory.path(), &["results", "run", "--why", "-o", "json"]);
    assert_eq!(
        refused.stderr,
        "error: --why requires a report, a table or Markdown\n  hint:  for programs: sono why ARCHIVE -o json\n"
    );
}

#[test]
fn one_failure_is_found_by_its_name() {
    let directory = tempfile::tempdir().unwrap();
    write_run(directory.path());
    let finished = sono(directory.path(), &["why", "run", "PROXIES"]);
    assert_eq!(
        finished.stdout,
        format!(
            "\
✗ [sig-network] proxies
  plugin e2e, namespace proxy-1

cause   The file localhost.crt is missing in the image of the test's server, which did not start.   sure   test-image-incomplete
proof   plugins/e2e/results/global/proxy-1/server/porter/logs.txt, line 1
          tls server on port \"460\" with certFile=\"localhost.crt\", keyFile=\"k\" failed: open localhost.crt: no such file or directory
next    compare the images: sono images list

message
  {FAILURE}

end of the log
  STEP: Collecting events from namespace \"proxy-1\".
"
        )
    );
    let list = sono(directory.path(), &["why", "run", "sig-network"]);
    assert!(list.stdout.starts_with("3 failures\n"), "{}", list.stdout);
    let by_cause = sono(directory.path(), &["why", "run", "image-unavailable", "-o", "json"]);
    let document: Value = serde_json::from_str(&by_cause.stdout).unwrap();
    let names: Vec<&Value> = document["failures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["name"])
        .collect();
    assert_eq!(names, ["[sig-network] pulls [Conformance]"]);
    let none = sono(directory.path(), &["why", "run", "nothing"]);
    assert_eq!(
        (none.code, none.stderr.as_str()),
        (
            1,
            "error: no failure or cause matches `nothing`\n  hint:  list the causes: sono why run\n"
        )
    );
}

#[test]
fn document_conforms_to_its_schema() {
    let directory = tempfile::tempdir().unwrap();
    write_run(directory.path());
    for arguments in [
        &["why", "run", "-o", "json"][..],
        &["why", "run", "pulls", "-o", "json"],
    ] {
        crate::json_contract::check("why", &sono(directory.path(), arguments).stdout);
    }
}

#[test]
fn rules_of_a_file_are_tried_first() {
    let directory = tempfile::tempdir().unwrap();
    write_run(directory.path());
    let rules = "\
rules:
- id: own
  class: network
  any:
  - text: 'endpoint (?P<key>\\S+) over TCP'
  sentence: The endpoint {key} is down.
  summary: Endpoints are down
  next: ask the team
  produced: our runbook
  examples: [{failure: endpoint a:1 over TCP, key: a:1}]
  others: [{failure: endpoint}]
";
    fs_err::write(directory.path().join("rules.yaml"), rules).unwrap();
    let finished = sono(directory.path(), &["why", "run", "--rules", "rules.yaml"]);
    assert!(
        finished.stdout.contains("\n3  Endpoints are down   sure   own\n"),
        "{}",
        finished.stdout
    );
    let tested = sono(directory.path(), &["rules", "test", "rules.yaml"]);
    assert_eq!((tested.code, tested.stderr.as_str()), (0, ""));
    let wrong = rules.replace("{failure: endpoint}", "{failure: endpoint b over TCP}");
    fs_err::write(directory.path().join("rules.yaml"), wrong).unwrap();
    let tested = sono(directory.path(), &["rules", "test", "rules.yaml"]);
    assert_eq!(
        (tested.code, tested.stderr.as_str()),
        (
            1,
            "error: 1 example failed\n  rule `own`, others 1: the rule matches `endpoint b over TCP`\n"
        )
    );
}

#[test]
fn rule_files_are_checked() {
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("r.yaml"), "rules:\n- id: a\n  klass: image\n").unwrap();
    let finished = sono(directory.path(), &["rules", "lint", "r.yaml"]);
    assert_eq!(finished.code, 1);
    assert!(
        finished
            .stderr
            .starts_with("error: invalid rules in `r.yaml`\n  line 3, column 3: unknown field `klass`"),
        "{}",
        finished.stderr
    );
    fs_err::write(directory.path().join("r.yaml"), "rules: []\n").unwrap();
    let finished = sono(directory.path(), &["rules", "lint", "r.yaml"]);
    assert_eq!((finished.code, finished.stdout.as_str()), (0, "r.yaml: 0 rules\n"));
    let finished = sono(directory.path(), &["rules", "test"]);
    assert_eq!((finished.code, finished.stderr.as_str()), (0, ""));
    let finished = sono(directory.path(), &["rules", "list", "-o", "json"]);
    let list: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(list[0]["id"], "too-few-nodes");
    let missing = sono(directory.path(), &["why", ".", "--rules", "none.yaml"]);
    assert!(
        missing.stderr.starts_with("error: cannot read `none.yaml`\n"),
        "{}",
        missing.stderr
    );
}

/// Damaged archives, archives without plugins, and trees that cannot be read.
#[test]
fn bad_archives_are_reported() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    };
    write("empty/meta/info.json", "{}");
    write("bad/plugins/p/sonobuoy_results.yaml", "name: [");
    write("torn.tar.gz", "\u{1f}");
    for (archive, message) in [
        ("empty", "error: `empty` contains no results of plugins\n"),
        ("bad", "error: cannot read the results of plugin `p`\n"),
        ("torn.tar.gz", "error: "),
        ("none.tar.gz", "error: "),
    ] {
        let finished = sono(directory.path(), &["why", archive]);
        assert_eq!(finished.code, 1, "{archive}");
        assert!(finished.stderr.starts_with(message), "{archive}: {}", finished.stderr);
    }
}

/// The aggregator stores causes and card, and the views show them without reading the evidence again.
#[test]
fn causes_of_a_run_are_stored_and_shown() {
    let directory = tempfile::tempdir().unwrap();
    // Without programs: the tests' PATH may have none.
    let definition = r#"sonobuoy-config: {driver: Job, plugin-name: suite, result-format: junit}
spec:
  name: plugin
  image: x
  command: [/bin/sh, -c]
  args:
  - |
    echo '<testsuite name="s"><testcase name="[It] pulls [Slow]" time="1.5"><failure>no</failure><system-err>
    STEP: Collecting events from namespace "n-1".
    I1122 19:21:59.9 28 dump.go:53] At 2026-11-22 19:21:58 +0000 UTC - event for p-1: {kubelet node1} Failed: Failed to pull image "r/x:1": not found
    </system-err></testcase><testcase name="passes" time="0.25"/><testcase name="other"><skipped/></testcase></testsuite>' >$SONOBUOY_RESULTS_DIR/j.xml
    echo $SONOBUOY_RESULTS_DIR/j.xml >$SONOBUOY_RESULTS_DIR/done
"#;
    fs_err::write(directory.path().join("suite.yaml"), definition).unwrap();
    let run = sono(directory.path(), &["run", "--local", "-p", "suite.yaml"]);
    let archive = run.stdout.trim();
    assert!(archive.ends_with(".tar.gz"), "{}", run.stderr);
    let bundle = sono_bundle::Bundle::open(&directory.path().join(archive)).unwrap();
    let mut texts = std::collections::BTreeMap::new();
    bundle
        .visit(&mut |name, content| {
            if name.ends_with("why.json") || name == "meta/card.json" {
                let mut text = String::new();
                content.read_to_string(&mut text)?;
                texts.insert(name.to_owned(), text);
            }
            Ok(std::ops::ControlFlow::Continue(()))
        })
        .unwrap();
    assert_eq!(
        texts.keys().collect::<Vec<_>>(),
        ["meta/card.json", "plugins/suite/why.json"],
        "{}",
        run.stderr
    );
    let (why, card) = (&texts["plugins/suite/why.json"], &texts["meta/card.json"]);
    crate::json_contract::check("why", why);
    crate::json_contract::check("card", card);
    let card: Value = serde_json::from_str(card).unwrap();
    let plugin = &card["plugins"][0];
    assert_eq!(
        (
            &plugin["tests"],
            &plugin["statuses"],
            &plugin["milliseconds"],
            &plugin["skipped"]
        ),
        (
            &serde_json::json!(["pulls [Slow]", "passes"]),
            &serde_json::json!("fp"),
            &serde_json::json!([1500, 250]),
            &serde_json::json!(1)
        )
    );
    assert_eq!(plugin["failures"][0]["cause"], "image-unavailable");
    let causes = "\n1 failure: 1 explained by 1 cause, 0 unexplained\n\n1  Images cannot be pulled   likely   image-unavailable\n   1  r/x:1\n   next: sono images inspect; on the node: crictl pull r/x:1\n";
    let table = sono(directory.path(), &["results", archive, "-o", "table"]);
    assert!(table.stdout.ends_with(causes), "{}", table.stdout);
    // Sonobuoy's output, which scripts parse, does not change.
    let report = sono(directory.path(), &["results", archive]);
    assert!(!report.stdout.contains("explained"), "{}", report.stdout);
    let markdown = sono(directory.path(), &["results", archive, "-o", "markdown"]);
    assert!(markdown.stdout.contains("\n### Causes\n"), "{}", markdown.stdout);
}

#[test]
fn archive_and_run_exclude_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let refused = sono(directory.path(), &["why", "--run", "a.tar.gz", "dns"]);
    assert_eq!(
        refused.stderr,
        "error: `a.tar.gz` is not read with --run\n  hint:  the archive is that of the run in the cluster: omit the archive or --run\n"
    );
}
