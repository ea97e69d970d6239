use sono_analysis::{ArchiveReader, BeyondLimit, Rules, TextLimits, explain};

use super::*;

const LIMITS: TextLimits = TextLimits {
    items: 100_000,
    bytes: 64 << 20,
    beyond: BeyondLimit::Refused,
    tree_bytes: 64 << 20,
};

/// The report of an archive with these files.
fn report_of(archive: &str, files: &[(&str, &str)]) -> String {
    let mut reader = ArchiveReader::new(None, LIMITS).with_details();
    for (name, text) in files {
        reader.file(name, &mut text.as_bytes()).unwrap();
    }
    assert_eq!(reader.unread(), Vec::<String>::new());
    let texts = reader.finish();
    let mut why = explain(&Rules::built_in().unwrap(), &texts.outputs, &texts.logs);
    for number in 0..why.failed {
        why.add_evidence(number, &texts.outputs, &texts.logs);
    }
    let run = texts.card.unwrap().details(&why);
    let problems = ["cannot read the results of plugin `x`".to_owned()];
    report(&Input {
        archive,
        run: &run,
        why: &why,
        redaction: Some("proved: <nothing> was found"),
        problems: &problems,
    })
    .unwrap()
}

const PULLS: &str = "STEP: Collecting events from namespace \"n-1\".\nI1122 19:21:59.9 28 dump.go:53] At 2026-11-22 19:21:58 +0000 UTC - event for p-1: {kubelet node1} Failed: Failed to pull image \"r/x:1\": not found\nI1122 19:21:59.9 28 resource.go:151] POD  NODE   PHASE    GRACE  CONDITIONS\nI1122 19:21:59.9 28 resource.go:158] p-1  node1  Pending         []\n";

fn tree(name: &str) -> String {
    let suite = serde_json::json!({"name": "suite", "status": "failed", "items": [
        {"name": "[It] passes", "status": "passed"},
        {"name": name, "status": "failed", "details": {"failure": "no answer", "system-err": PULLS}}]});
    let file = serde_json::json!({"name": "junit_01.xml", "status": "failed", "meta": {"file": "results/global/junit_01.xml"},
        "items": [suite]});
    yaml(serde_json::json!({"name": "e2e", "status": "failed", "items": [file]}))
}

/// A tree with its keys in the order of the aggregator.
fn yaml(tree: serde_json::Value) -> String {
    let tree: sono_types::Item = serde_json::from_value(tree).unwrap();
    sono_types::yaml::to_string(&tree).unwrap()
}

const NODES: &str = "name: checks
status: failed
items:
- {name: n1, status: passed, meta: {file: results/n1/out.yaml}, items: [{name: clock, status: passed}]}
- {name: n2, status: failed, meta: {file: results/n2/out.yaml}, items: [{name: clock, status: failed}]}
- {name: n3, status: passed, meta: {file: results/n3/out.yaml}, items: [{name: clock, status: passed}]}
";

/// The page without the style and the script, which are files.
fn body(page: &str) -> String {
    let body = page.split_once("<body>").unwrap().1;
    body.replace(SCRIPT, "SCRIPT")
}

/// Compares the body of a page with a file. `SONO_UPDATE_SCREENS=1` writes the file.
fn check_screen(name: &str, page: &str) {
    let path = format!("{}/src/page/screens/{name}.html", env!("CARGO_MANIFEST_DIR"));
    let shown = body(page);
    if std::env::var_os("SONO_UPDATE_SCREENS").is_some() {
        fs_err::write(&path, &shown).unwrap();
    }
    assert_eq!(shown, fs_err::read_to_string(&path).unwrap());
}

#[test]
fn report_shows_verdict_causes_failures_and_nodes() {
    let page = report_of(
        "run.tar.gz",
        &[
            ("meta/config.json", r#"{"UUID": "u-u-i-d"}"#),
            (
                "meta/run.log",
                "{\"time\":\"2026-11-22T19:19:39Z\",\"msg\":\"Running plugin\",\"plugin_name\":\"e2e\"}\n",
            ),
            ("plugins/checks/sonobuoy_results.yaml", NODES),
            ("plugins/e2e/sonobuoy_results.yaml", &tree("[sig-a] pulls")),
            ("serverversion.json", r#"{"gitVersion": "v1.37.2"}"#),
            (
                "resources/cluster/core_v1_nodes.json",
                r#"[{"status": {"nodeInfo": {"kubeletVersion": "v1.37.2"}}}]"#,
            ),
        ],
    );
    check_screen("failed", &page);
}

#[test]
fn report_of_a_run_without_failures_and_facts_is_complete() {
    let page = report_of("x", &[("plugins/p/sonobuoy_results.yaml", "name: p\nstatus: passed\n")]);
    check_screen("passed", &page);
}

#[test]
fn hostile_texts_are_no_markup() {
    let hostile = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\u{202e}\u{0}'\"&";
    let page = report_of(
        hostile,
        &[
            ("plugins/e2e/sonobuoy_results.yaml", &tree(hostile)),
            (
                "serverversion.json",
                &serde_json::json!({"gitVersion": hostile}).to_string(),
            ),
        ],
    );
    assert_eq!(page.matches("<script").count(), 2, "the data and the script");
    assert_eq!(page.matches("</script>").count(), 2);
    assert!(!page.contains("<img"));
    assert!(!page.contains('\u{202e}') && !page.contains('\u{0}'));
    // The data is what the names are.
    let data = page
        .split_once("id=\"data\">")
        .unwrap()
        .1
        .split_once("</script>")
        .unwrap()
        .0;
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(
        data["plugins"][0]["tests"][1],
        hostile.replace('\u{202e}', "\\u{202e}").replace('\u{0}', "\\u{0}")
    );
}

#[test]
fn policy_permits_only_the_style_and_the_script() {
    let page = report_of("x", &[]);
    let between = |start: &str, end: &str| page.split_once(start).unwrap().1.split_once(end).unwrap().0.to_owned();
    let policy = between("Content-Security-Policy\" content=\"", "\">").replace("&#39;", "'");
    let hash = |text: &str| format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)));
    assert_eq!(
        policy,
        format!(
            "default-src 'none'; style-src {}; script-src {}; base-uri 'none'; form-action 'none'",
            hash(&between("<style>", "</style>")),
            hash(&between("</script>\n<script>", "</script>"))
        )
    );
    assert!(SCRIPT.len() <= 25_000, "{} bytes", SCRIPT.len());
    for request in ["http:", "https:", "//cdn", "fetch(", "import(", "url("] {
        assert!(!page.contains(request), "{request}");
    }
}

#[test]
fn report_of_10_000_tests_is_below_5_mb() {
    let items: Vec<serde_json::Value> = (0..10_000)
        .map(|number| {
            let name = format!("[sig-node] Pods should do the thing that takes a long name to describe it, number {number} [Conformance]");
            if number % 67 == 0 {
                let log = format!("{PULLS}{}", "STEP: waiting for the pod to be ready and to answer on its port\n".repeat(100));
                serde_json::json!({"name": name, "status": "failed", "details": {"failure": "no answer\n".repeat(20), "system-err": log}})
            } else {
                serde_json::json!({"name": name, "status": "passed"})
            }
        })
        .collect();
    let tree = yaml(serde_json::json!({"name": "e2e", "status": "failed", "items": items}));
    let page = report_of("x", &[("plugins/e2e/sonobuoy_results.yaml", &tree)]);
    assert!(page.len() < 5_000_000, "{} bytes", page.len());
    assert_eq!(page, report_of("x", &[("plugins/e2e/sonobuoy_results.yaml", &tree)]));
}
