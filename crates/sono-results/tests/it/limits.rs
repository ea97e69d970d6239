//! Files and plugins that exceed limits: each results in one item with the reason, and others are not affected.

use std::fmt::Write;

use serde_json::{Value, json};
use sono_results::{Compatibility, PluginInput, TreeLimits};
use sono_types::{PluginName, ResultFormat};

use crate::files::{MapFiles, tree};

fn process(format: &str, per_node: bool, limits: TreeLimits, files: &[(&str, &str)]) -> Value {
    let input = PluginInput {
        name: &PluginName::parse("p").unwrap(),
        format: ResultFormat::from_name(format),
        result_files: &[],
        per_node,
        compatibility: Compatibility::default(),
        limits,
    };
    let (item, _) = tree(&input, &MapFiles::new(files));
    serde_json::to_value(item).unwrap()
}

fn cut(path: &str, reason: &str) -> Value {
    let name = path.rsplit('/').next().unwrap();
    json!({"name": name, "status": "unknown", "meta": {"file": path, "type": "file", "error": reason}})
}

/// One item more than the limit of a file, in each format with items.
#[test]
fn a_file_with_too_many_items_is_unknown_and_the_others_are_read() {
    let most = 250_000;
    let junit = format!("<testsuite>{}</testsuite>", "<testcase/>".repeat(most));
    let gojson = (0..=most).fold(String::new(), |mut text, number| {
        writeln!(text, r#"{{"Action":"pass","Test":"{number}"}}"#).unwrap();
        text
    });
    let manual = format!("items:\n{}", "- ~\n".repeat(most));
    let good = [
        ("junit", "xml", "<testsuites><testcase name='a'/></testsuites>"),
        (
            "gojson",
            "json",
            "{\"Action\":\"pass\",\"Test\":\"a\"}\n{\"Action\":\"pass\"}",
        ),
        (
            "manual",
            "yaml",
            "status: passed\nitems:\n- {name: a, status: passed}\n",
        ),
    ];
    for ((format, suffix, good), large) in good.into_iter().zip([&junit, &gojson, &manual]) {
        let path = format!("results/global/large.{suffix}");
        let other = format!("results/global/good.{suffix}");
        let tree = process(format, false, TreeLimits::PLUGIN, &[(&path, large), (&other, good)]);
        assert_eq!(tree["items"][0]["items"].as_array().unwrap().len(), 1, "{format}");
        assert_eq!(tree["items"][1], cut(&path, "the file has more than 250000 items"));
    }
}

/// Small files that would need much more memory.
#[test]
fn a_file_that_expands_in_memory_is_rejected_or_skipped() {
    let many = "1,".repeat(2_200_000);
    let manual = format!("details:\n  k: [{many}1]\n");
    let aliases = format!(
        "details:\n  a: &a {}\n  b: [{}]\n",
        "x".repeat(1 << 20),
        "*a,".repeat(1_000)
    );
    for text in [manual, aliases] {
        let tree = process("manual", false, TreeLimits::PLUGIN, &[("results/global/a.yaml", &text)]);
        assert_eq!(
            (&tree["status"], &tree["items"][0]["details"]),
            (&json!("unknown"), &Value::Null)
        );
    }
    // Unknown fields are not stored.
    let event = format!("{{\"Action\":\"pass\",\"Test\":\"a\",\"Other\":[{many}1]}}\n{{\"Action\":\"pass\"}}\n");
    let tree = process(
        "gojson",
        false,
        TreeLimits::PLUGIN,
        &[("results/global/a.json", &event)],
    );
    assert_eq!(tree["status"], "passed");
    let error = format!("{{\"error\":\"x\",\"other\":[{many}1]}}\n");
    let tree = process(
        "raw",
        false,
        TreeLimits::PLUGIN,
        &[("errors/global/error.json", &error)],
    );
    assert_eq!(
        tree["items"][0],
        json!({"name": "error.json", "status": "failed", "meta": {"file": "errors/global/error.json"}})
    );
}

#[test]
fn a_plugin_beyond_its_limits_has_an_item_for_the_rest_of_each_directory() {
    let files = ["n1", "n2"].map(|node| ["a", "b", "c"].map(|file| format!("results/{node}/{file}")));
    let files: Vec<(&str, &str)> = files.iter().flatten().map(|name| (name.as_str(), "")).collect();
    let file = |name: &str, path: &str| json!({"name": name, "status": "passed", "meta": {"file": path}});
    let node =
        |name: &str, items: Value| json!({"name": name, "status": "unknown", "meta": {"type": "node"}, "items": items});
    let cases = [
        (
            TreeLimits {
                items: 2,
                bytes: 1 << 20,
            },
            "the plugin has more than 2 items",
        ),
        (
            TreeLimits { items: 10, bytes: 150 },
            "the plugin's items exceed 150 bytes",
        ),
    ];
    for (limits, reason) in cases {
        let further = |number: usize| format!("{reason}; files not read: {number}");
        assert_eq!(
            process("raw", true, limits, &files)["items"],
            json!([
                node(
                    "n1",
                    json!([
                        file("a", "results/n1/a"),
                        file("b", "results/n1/b"),
                        cut("results/n1/c", reason),
                    ])
                ),
                node("n2", json!([cut("results/n2/a", &further(2))])),
            ])
        );
    }
}

/// The largest supported run: 200 tests on each of 10,000 nodes. Its size is extrapolated from some of the nodes.
#[test]
fn results_of_ten_thousand_nodes_with_two_hundred_items_are_within_the_limits() {
    let nodes = 20;
    let case = r#"<testcase name="[sig-node] a name as long as those of the end-to-end suite are on average [Conformance] 123"/>"#;
    let junit = format!("<testsuite name=\"s\">{}</testsuite>", case.repeat(200));
    let names: Vec<String> = (0..nodes)
        .map(|node| format!("results/node-{node:05}/junit.xml"))
        .collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), junit.as_str())).collect();
    let share = TreeLimits {
        items: TreeLimits::PLUGIN.items * nodes / 10_000,
        bytes: TreeLimits::PLUGIN.bytes * nodes / 10_000,
    };
    assert_eq!(process("junit", true, share, &files)["status"], "passed");
}
