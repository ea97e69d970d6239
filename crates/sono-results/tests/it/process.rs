//! Result trees of small file trees.

use serde_json::{Value, json};
use sono_results::{Compatibility, PluginInput, Problem, TreeLimits, Verdict, process_plugin};
use sono_types::{PluginName, ResultFormat};

use crate::files::{MapFiles, tree};

fn process(format: &str, result_files: &[&str], per_node: bool, files: &[(&str, &str)]) -> (Value, Vec<Problem>) {
    process_as(Compatibility::default(), format, result_files, per_node, files)
}

fn process_as(
    compatibility: Compatibility,
    format: &str,
    result_files: &[&str],
    per_node: bool,
    files: &[(&str, &str)],
) -> (Value, Vec<Problem>) {
    let result_files: Vec<String> = result_files.iter().map(|name| (*name).to_owned()).collect();
    let input = PluginInput {
        name: &PluginName::parse("p").unwrap(),
        format: ResultFormat::from_name(format),
        result_files: &result_files,
        per_node,
        compatibility,
        limits: TreeLimits::PLUGIN,
    };
    let (item, problems) = tree(&input, &MapFiles::new(files));
    (serde_json::to_value(item).unwrap(), problems)
}

fn problem(file: &str, message: &str) -> Problem {
    Problem {
        file: file.to_owned(),
        message: message.to_owned(),
    }
}

#[test]
fn tree_of_a_job_has_files_and_errors() {
    let files = [
        ("results/global/b.txt", "x"),
        ("results/global/a/deep.txt", "x"),
        ("results/global/a.txt", "x"),
        ("errors/global/error.json", r#"{"error":"it broke"}"#),
        ("errors/global/pod.log", "not looked at"),
        ("definition.json", "not looked at"),
    ];
    let file = |name: &str, path: &str| json!({"name": name, "status": "passed", "meta": {"file": path}});
    assert_eq!(
        process("raw", &[], false, &files),
        (
            json!({
                "name": "p", "status": "failed", "meta": {"type": "summary"},
                "items": [
                    file("deep.txt", "results/global/a/deep.txt"),
                    file("a.txt", "results/global/a.txt"),
                    file("b.txt", "results/global/b.txt"),
                    {"name": "it broke", "status": "failed", "meta": {"file": "errors/global/error.json"}, "details": {"error": "it broke"}},
                ],
            }),
            vec![]
        )
    );
}

#[test]
fn a_plugin_without_any_file_is_unknown() {
    for per_node in [false, true] {
        assert_eq!(
            process("junit", &[], per_node, &[]),
            (
                json!({"name": "p", "status": "unknown", "meta": {"type": "summary"}}),
                vec![]
            )
        );
    }
}

#[test]
fn nodes_without_files_have_items() {
    let files = [
        ("results/n2/", ""),
        (
            "results/n1/j.xml",
            "<testsuite name='s'><testcase name='c'/></testsuite>",
        ),
        ("errors/n1/error.json", "no json"),
    ];
    let node = |name: &str, status: &str, items: Value| json!({"name": name, "status": status, "meta": {"type": "node"}, "items": items});
    assert_eq!(
        process("e2e", &[], true, &files),
        (
            json!({
                "name": "p", "status": "failed", "meta": {"type": "summary"},
                "items": [
                    node("n1", "passed", json!([{
                        "name": "j.xml", "status": "passed", "meta": {"file": "results/n1/j.xml", "type": "file"},
                        "items": [{"name": "s", "status": "passed", "items": [{"name": "c", "status": "passed"}]}],
                    }])),
                    {"name": "n2", "status": "unknown", "meta": {"type": "node"}},
                    node("n1", "failed", json!([{"name": "error.json", "status": "failed", "meta": {"file": "errors/n1/error.json"}}])),
                ],
            }),
            vec![problem("errors/n1/error.json", "expected ident at line 1 column 2")]
        )
    );
}

#[test]
fn files_are_selected_by_name_or_suffix() {
    let files = [
        ("results/global/a.json", "{\"Action\":\"pass\",\"Test\":\"a\"}"),
        ("results/global/a.xml", "<testsuites><testcase/></testsuites>"),
        ("results/global/a.yaml", "status: passed"),
        ("results/global/a.yml", "status: passed"),
        ("results/global/d/a.xml", "<testsuites><testcase/></testsuites>"),
        ("results/global/plain", "status: passed"),
    ];
    for (format, result_files, expected) in [
        (
            "raw",
            &[][..],
            &["a.json", "a.xml", "a.yaml", "a.yml", "a.xml", "plain"][..],
        ),
        ("nonsense", &["plain", "absent"], &["plain"]),
        ("junit", &[], &["a.xml", "a.xml"]),
        ("gojson", &[], &["a.json"]),
        ("manual", &[], &["a.yaml", "a.yml"]),
        ("manual", &["plain"], &["plain"]),
    ] {
        let (tree, problems) = process(format, result_files, false, &files);
        let names: Vec<&str> = tree["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["name"].as_str().unwrap())
            .collect();
        assert_eq!(
            (names.as_slice(), problems),
            (expected, vec![]),
            "{format} {result_files:?}"
        );
    }
}

#[test]
fn unreadable_files_are_unknown_and_reported() {
    let (tree, problems) = process(
        "junit",
        &[],
        false,
        &[
            ("results/global/cut.xml", "<testsuite>\n<testcase name='c'/>\n"),
            ("results/global/disk.xml", "<unreadable>"),
            ("results/global/empty.xml", ""),
        ],
    );
    let unknown = |name: &str, error: &str| {
        json!({
            "name": name, "status": "unknown",
            "meta": {"file": format!("results/global/{name}"), "type": "file", "error": error},
        })
    };
    let cut = "line 3: unexpected end of file within the root element";
    let mut cut_file = unknown("cut.xml", cut);
    cut_file["items"] = json!([
        {"name": "testsuite-001", "status": "passed", "items": [{"name": "c", "status": "passed"}]},
        {"name": "line 3", "status": "unknown", "meta": {"error": cut}},
    ]);
    assert_eq!(
        tree,
        json!({
            "name": "p", "status": "unknown", "meta": {"type": "summary"},
            "items": [cut_file, unknown("disk.xml", "input/output error"), unknown("empty.xml", "EOF")],
        })
    );
    assert_eq!(
        problems,
        [
            problem("results/global/cut.xml", cut),
            problem("results/global/disk.xml", "input/output error"),
            problem("results/global/empty.xml", "EOF"),
        ]
    );
}

/// W-16: an invalid event is visible in the whole tree, except with compatibility.
#[test]
fn an_invalid_event_is_not_masked() {
    let files = [(
        "results/global/t.json",
        "{\"Action\":\"pass\",\"Test\":\"A\"}\n{\"Action\"",
    )];
    let (tree, problems) = process_as(Compatibility::SONOBUOY, "gojson", &[], false, &files);
    assert_eq!((&tree["status"], problems.len()), (&json!("passed"), 1));
    let (tree, _) = process("gojson", &[], false, &files);
    assert_eq!(
        (
            &tree["status"],
            &tree["items"][0]["status"],
            &tree["items"][0]["items"][0]
        ),
        (
            &json!("unknown"),
            &json!("unknown"),
            &json!({"name": "A", "status": "passed"})
        )
    );
}

#[test]
fn custom_statuses_of_a_manual_file_are_counted() {
    let document = "name: dropped\nstatus: overridden\nmeta: {type: dropped}\ndetails: {k: [1]}\nitems:\n- name: a\n  status: complete\n- name: b\n  status: passed\n";
    let (tree, problems) = process(
        "manual",
        &[],
        false,
        &[
            ("results/global/broken.yml", "items: {}"),
            ("results/global/r.yaml", document),
        ],
    );
    assert_eq!(
        tree,
        json!({
            "name": "p", "status": "complete: 1, passed: 1, unknown: 1", "meta": {"type": "summary"},
            "items": [
                {"name": "broken.yml", "status": "unknown", "meta":
                    {"file": "results/global/broken.yml", "type": "file", "error": "1:8: expected sequence start"}},
                {
                    "name": "r.yaml", "status": "complete: 1, passed: 1",
                    "meta": {"file": "results/global/r.yaml", "type": "file"}, "details": {"k": [1]},
                    "items": [{"name": "a", "status": "complete"}, {"name": "b", "status": "passed"}],
                },
            ],
        })
    );
    assert_eq!(
        problems.iter().map(|problem| problem.file.as_str()).collect::<Vec<_>>(),
        ["results/global/broken.yml"]
    );
}

/// W-24: a node's verdict depends only on its own files, not on names of tests. If it has a result and an error, the verdict
/// is that of the result.
#[test]
fn verdicts_of_nodes_depend_on_their_own_files() {
    let name = PluginName::parse("p").unwrap();
    let input = PluginInput {
        name: &name,
        format: ResultFormat::Junit,
        result_files: &[],
        per_node: true,
        compatibility: Compatibility::default(),
        limits: TreeLimits::PLUGIN,
    };
    let files = MapFiles::new(&[
        (
            "results/n1/j.xml",
            "<testsuite name='n2'><testcase name='n3'/><testcase name='n2'/></testsuite>",
        ),
        (
            "results/n2/j.xml",
            "<testsuite name='n1'><testcase name='n1'><failure/></testcase></testsuite>",
        ),
        ("results/n3/", ""),
        ("errors/n1/error.json", r#"{"error":"too late"}"#),
    ]);
    let collected = process_plugin(&input, &files, &mut std::io::sink()).unwrap();
    let verdict = |status: &str, counts: &[(&str, i64)]| Verdict {
        status: status.to_owned(),
        counts: counts
            .iter()
            .map(|(name, number)| ((*name).to_owned(), *number))
            .collect(),
    };
    let expected = [
        ("n1", verdict("passed", &[("passed", 2)])),
        ("n2", verdict("failed", &[("failed", 1)])),
        ("n3", verdict("unknown", &[("unknown", 1)])),
    ];
    assert_eq!(collected.nodes(), expected.into());
    let all = verdict("failed", &[("failed", 2), ("passed", 2), ("unknown", 1)]);
    assert_eq!(collected.verdict(), all);
}
