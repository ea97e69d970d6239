use proptest::{prelude::*, sample::select};
use serde_json::json;

use super::*;
use crate::{from_yaml, select::visit_leaves, to_yaml};

fn text() -> impl Strategy<Value = String> {
    let odd = select(vec![
        "passed",
        "[sig-apps] does (what) it should",
        "yes",
        "null",
        "~",
        "0644",
        "1.5",
        "12:30",
        "a: b",
        "- a",
        "#",
        "",
        " a ",
        "two\nlines\n",
        "\n\n",
        "tab\t",
        "'\"\\",
        "é日本\u{1f600}",
        "\u{85}\u{2028}\u{feff}",
        "\r\n",
        "\0\u{7f}",
        "---",
        "&a *b !c |d >e %f @g `h",
    ]);
    prop_oneof![4 => odd.prop_map(str::to_owned), 1 => any::<String>()]
}

fn item() -> impl Strategy<Value = Item> {
    let value = prop_oneof![
        text().prop_map(Value::String),
        Just(json!({"n": [1, null, {"x": "yes"}]})),
        Just(json!(1.5))
    ];
    let own = (
        text(),
        text(),
        proptest::collection::btree_map(prop_oneof![Just("file".to_owned()), text()], text(), 0..3),
        proptest::collection::btree_map(text(), value, 0..3),
    );
    let leaf = own.prop_map(|(name, status, meta, details)| Item {
        name,
        status,
        meta,
        details,
        items: Vec::new(),
    });
    leaf.prop_recursive(4, 24, 4, |inner| {
        (inner.clone(), proptest::collection::vec(inner, 0..4)).prop_map(|(item, items)| Item { items, ..item })
    })
}

/// A visited leaf: path, item and file.
type Visited = (Vec<String>, Item, Option<String>);

fn owned(leaf: Leaf<'_>) -> Visited {
    let path = leaf.path.iter().map(|name| (*name).to_owned()).collect();
    (path, leaf.item.clone(), leaf.file.map(str::to_owned))
}

fn leaves_of(item: &Item) -> Vec<Visited> {
    let mut leaves = Vec::new();
    visit_leaves(item, &mut |leaf| leaves.push(owned(leaf)));
    leaves
}

fn head(item: Item) -> Item {
    Item {
        items: Vec::new(),
        ..item
    }
}

fn streamed_yaml(text: &str) -> Option<(Item, Vec<Visited>)> {
    let mut leaves = Vec::new();
    let root = stream_yaml(text.as_bytes(), &mut |leaf| leaves.push(owned(leaf))).ok()?;
    Some((root, leaves))
}

fn streamed_json(text: &str) -> Option<(Item, Vec<Visited>, YamlDigest)> {
    let mut leaves = Vec::new();
    let (root, yaml) = stream_json(text.as_bytes(), &mut |leaf| leaves.push(owned(leaf))).ok()?;
    Some((root, leaves, yaml))
}

proptest! {
    #[test]
    fn leaves_of_written_trees_are_visited_alike(item in item()) {
        let expected = (head(item.clone()), leaves_of(&item));
        prop_assert_eq!(streamed_yaml(&to_yaml(&item)), Some(expected.clone()));
        let tree = serde_json::to_string(&item).unwrap();
        let json = format!(r#"{{"format":1,"tree":{tree},"yaml":{{"size":7,"sha256":"x"}}}}"#);
        let yaml = YamlDigest { size: 7, sha256: "x".to_owned() };
        prop_assert_eq!(streamed_json(&json), Some((expected.0, expected.1, yaml)));
    }

    /// Streaming returns the same leaves as the tree in memory.
    #[test]
    fn any_text_that_is_streamed_reads_as_a_tree(parts in proptest::collection::vec(select(vec![
        "name: a\n", "status: b\n", "items:\n", "- name: c\n", "  status: d\n", "  items:\n", "  - name: e\n", "- ~\n", "meta:\n", "  file: f\n",
        "details: {k: [1]}\n", "---\n", "items: []\n", "x: y\n", "? [a]\n", "<<: {name: z}\n",
    ]), 0..8)) {
        let text = parts.concat();
        if let Some((root, leaves)) = streamed_yaml(&text) {
            let item = from_yaml(&text).unwrap();
            prop_assert_eq!((head(item.clone()), leaves_of(&item)), (root, leaves));
        }
    }
}

/// Sonobuoy's YAML: lists with the indentation of their key, folded long lines, block scalars.
#[test]
fn yaml_of_sonobuoy_is_streamed() {
    let text = "name: e2e\nstatus: failed\nmeta:\n  type: summary\nitems:\n- name: junit_01.xml\n  status: failed\n  meta:\n    file: results/global/junit_01.xml\n    type: file\n  items:\n  - name: '[sig-apps] a long name that go-yaml folds at the eightieth column of its\n      line [Conformance]'\n    status: failed\n    details:\n      failure: |-\n        one\n\n          two\n  - name: \"0644\"\n    status: passed\n";
    let (root, leaves) = streamed_yaml(text).unwrap();
    let item = from_yaml(text).unwrap();
    assert_eq!((head(item.clone()), leaves_of(&item)), (root, leaves.clone()));
    let names: Vec<&str> = leaves.iter().map(|(_, item, _)| item.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "[sig-apps] a long name that go-yaml folds at the eightieth column of its line [Conformance]",
            "0644"
        ]
    );
    assert_eq!(leaves[0].2.as_deref(), Some("results/global/junit_01.xml"));
    assert_eq!(leaves[0].1.details["failure"], json!("one\n\n  two"));
}

#[test]
fn yaml_with_other_structure_is_rejected() {
    for text in [
        "",
        "name: [a]\n",
        "- a\n",
        "name: a\nname: b\n",
        "items:\n- name: b\nname: a\n",
        "items:\n- name: b\nmeta: {file: a}\n",
        "name: a\n---\nname: b\n",
        "name: a\nitems: [\n",
    ] {
        assert_eq!(streamed_yaml(text), None, "{text}");
    }
}

/// JSON is not parsed more leniently than YAML.
#[test]
fn json_with_other_structure_is_rejected() {
    let yaml = r#""yaml":{"size":1,"sha256":"x"}"#;
    let nested = |levels: usize| format!("{}{}{}", r#"{"items":["#.repeat(levels), "{}", "]}".repeat(levels));
    let file = |tree: &str| format!(r#"{{"format":1,"tree":{tree},{yaml}}}"#);
    assert!(streamed_json(&file(r#"{"name":"a"}"#)).is_some());
    assert!(streamed_json(&file(&nested(MAX_DEPTH))).is_some());
    for text in [
        String::new(),
        file(&nested(MAX_DEPTH + 1)),
        file(r#"{"name":"a","name":"b"}"#),
        file(r#"{"name":1}"#),
        file(r#"{"items":{"name":"a"}}"#),
        file("[]"),
        format!(r#"{{"format":2,"tree":{{}},{yaml}}}"#),
        format!(r#"{{"tree":{{}},{yaml}}}"#),
        r#"{"format":1,"tree":{}}"#.to_owned(),
        r#"{"format":1,"tree":{},"yaml":{"size":1}}"#.to_owned(),
        r#"{"format":1,"tree":{},"yaml":{"size":-1,"sha256":"x"}}"#.to_owned(),
        format!(r#"{{"format":1,"tree":{{}},{yaml},{yaml}}}"#),
        file("{}") + "{}",
    ] {
        assert_eq!(streamed_json(&text), None, "{text}");
    }
}
