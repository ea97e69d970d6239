//! The direct reader and the general one agree, on what both programs write and on what is made of it.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

use super::*;
use crate::{Leaf, visit_leaves};

fn nasty_text() -> impl Strategy<Value = String> {
    let parts = select(vec![
        "a",
        "word",
        " ",
        "  ",
        ": ",
        ":",
        " #",
        "#",
        "- ",
        "-",
        "'",
        "\"",
        "\\",
        "\n",
        "\n\n",
        "\t",
        "yes",
        "no",
        "null",
        "~",
        "1",
        "0644",
        "1.5",
        "1e3",
        ".inf",
        "true",
        "[",
        "]",
        "{",
        "}",
        ",",
        "&",
        "*",
        "!",
        "|",
        ">",
        "%",
        "@",
        "`",
        "?",
        "é",
        "日本",
        "\u{1f600}",
        "\0",
        "\u{7}",
        "\u{1b}",
        "\u{7f}",
        "\u{85}",
        "\u{a0}",
        "\u{2028}",
        "\u{feff}",
        "\r",
        "\r\n",
        "---",
        "...",
        "[sig-apps] does (what) it should",
        "=",
        "<<",
        "2020-01-01",
        "12:30",
        "0x1f",
        "a long tail of words",
    ]);
    prop_oneof![
        4 => proptest::collection::vec(parts, 0..8).prop_map(|parts| parts.concat()),
        1 => any::<String>(),
    ]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => select(vec!["failure", "error", "system-out", "file", "type", "yes", "null", "1", "name", "a b"]).prop_map(str::to_owned),
        1 => nasty_text(),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        6 => nasty_text().prop_map(Value::from),
        1 => any::<i32>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => (-1000_i32..1000).prop_map(|number| json!(f64::from(number) / 8.0)),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map(key(), inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn items() -> impl Strategy<Value = Item> {
    let leaf = (
        nasty_text(),
        prop_oneof![3 => select(vec!["passed", "failed", ""]).prop_map(str::to_owned), 1 => nasty_text()],
        proptest::collection::btree_map(key(), nasty_text(), 0..3),
        proptest::collection::btree_map(key(), value(), 0..3),
    )
        .prop_map(|(name, status, meta, details)| Item {
            name,
            status,
            meta,
            details,
            items: Vec::new(),
        });
    leaf.prop_recursive(3, 12, 4, |inner| {
        (inner.clone(), proptest::collection::vec(inner, 0..4)).prop_map(|(item, items)| Item { items, ..item })
    })
}

/// A scalar in one of go-yaml's styles where that can hold it, lines folded where `folds` says so.
fn go_scalar(text: &str, style: u8, indent: usize, folds: u32) -> String {
    let fold = |text: &str, between: &str| {
        let words: Vec<&str> = text.split(' ').collect();
        let mut folded = String::new();
        for (index, word) in words.iter().enumerate() {
            // Only a single blank between two words can be folded.
            let may = index > 0 && !word.is_empty() && !words[index - 1].is_empty();
            if index > 0 {
                folded.push_str(if may && folds >> (index % 32) & 1 == 1 {
                    between
                } else {
                    " "
                });
            }
            folded.push_str(word);
        }
        folded
    };
    let pad = " ".repeat(indent + 2);
    let is_tame = |text: &str| {
        text.chars()
            .all(|character| !character.is_control() && character != '\u{feff}')
    };
    match style {
        0 if is_tame(text)
            && text.starts_with(|first: char| first.is_ascii_alphabetic())
            && !text.contains(": ")
            && !text.contains(" #")
            && !text.ends_with([':', ' ']) =>
        {
            fold(text, &format!("\n{pad}"))
        }
        1 if is_tame(text) && !text.starts_with(' ') && !text.ends_with(' ') => {
            format!("'{}'", fold(&text.replace('\'', "''"), &format!("\n{pad}")))
        }
        2 if text.contains('\n')
            && text.trim_matches([' ', '\n']) == text.trim_end_matches('\n')
            && text.split('\n').all(is_tame)
            && !text.contains(" \n") =>
        {
            let body = text.trim_end_matches('\n');
            let ends = text.len() - body.len();
            let chomp = ["-", "", "+"][ends.min(2)];
            let lines: Vec<String> = body
                .split('\n')
                .map(|line| {
                    if line.is_empty() {
                        String::new()
                    } else {
                        format!("{pad}{line}")
                    }
                })
                .collect();
            format!("|{chomp}\n{}{}", lines.join("\n"), "\n".repeat(ends.saturating_sub(1)))
        }
        _ => {
            let mut quoted = String::new();
            for character in text.chars() {
                match character {
                    '"' => quoted.push_str("\\\""),
                    '\\' => quoted.push_str("\\\\"),
                    '\n' => quoted.push_str("\\n"),
                    '\t' => quoted.push_str("\\t"),
                    '\0' => quoted.push_str("\\0"),
                    '\u{85}' => quoted.push_str("\\N"),
                    '\u{a0}' => quoted.push_str("\\_"),
                    '\u{2028}' => quoted.push_str("\\L"),
                    character if character.is_control() => write!(quoted, "\\x{:02x}", u32::from(character)).unwrap(),
                    '\u{feff}' => quoted.push_str("\\uFEFF"),
                    _ => quoted.push(character),
                }
            }
            format!("\"{}\"", fold(&quoted, &format!("\n{pad}")))
        }
    }
}

/// A tree of names, statuses, meta and texts as go-yaml would lay it out.
fn go_yaml(item: &Item, indent: usize, style: u8, folds: u32, lines: &mut Vec<String>) {
    let pad = " ".repeat(indent);
    let scalar = |text: &str, indent| go_scalar(text, style, indent, folds);
    lines.push(format!("{pad}name: {}", scalar(&item.name, indent)));
    lines.push(format!("{pad}status: {}", scalar(&item.status, indent)));
    for (title, map) in [
        ("meta", item.meta.values().cloned().collect::<Vec<String>>()),
        (
            "details",
            item.details
                .values()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
        ),
    ] {
        if !map.is_empty() {
            lines.push(format!("{pad}{title}:"));
        }
        for (index, text) in map.iter().enumerate() {
            lines.push(format!("{pad}  key{index}: {}", scalar(text, indent + 2)));
        }
    }
    if !item.items.is_empty() {
        lines.push(format!("{pad}items:"));
    }
    for child in &item.items {
        let start = lines.len();
        go_yaml(child, indent + 2, style, folds, lines);
        lines[start].replace_range(indent..=indent, "-");
    }
}

/// Leaves with the names above them and their file, and the root without its children.
type Leaves = (Vec<(Vec<String>, Item, Option<String>)>, Item);

fn streamed(text: &str) -> Option<Leaves> {
    let mut leaves = Vec::new();
    let root = stream_leaves(&mut text.as_bytes(), &mut |leaf| leaves.push(owned(leaf))).unwrap()?;
    Some((leaves, root))
}

fn owned(leaf: Leaf<'_>) -> (Vec<String>, Item, Option<String>) {
    let path = leaf.path.iter().map(ToString::to_string).collect();
    (path, leaf.item.clone(), leaf.file.map(str::to_owned))
}

fn leaves_of(root: Item) -> Leaves {
    let mut leaves = Vec::new();
    visit_leaves(&root, &mut |leaf| leaves.push(owned(leaf)));
    let root = Item {
        items: Vec::new(),
        ..root
    };
    (leaves, root)
}

/// Whether the text is read directly. All who read it read the same.
fn check(text: &str) -> Result<bool, TestCaseError> {
    if let Some(leaves) = streamed(text) {
        prop_assert_eq!(Ok(leaves), from_any_yaml(text).map(leaves_of), "{:?}", text);
    }
    let Some(item) = direct::read(text) else {
        return Ok(false);
    };
    prop_assert_eq!(Ok(item), from_any_yaml(text), "{:?}", text);
    Ok(true)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn what_we_write_is_read_alike(item in items()) {
        let text = to_yaml(&item);
        let is_direct = check(&text)?;
        prop_assert_eq!(streamed(&text).is_some(), is_direct, "{}", text);
        prop_assert_eq!(from_yaml(&text), Ok(item), "{}", text);
    }

    #[test]
    fn what_go_writes_is_read_alike(item in items(), style in 0_u8..4, folds: u32) {
        let mut lines = Vec::new();
        go_yaml(&item, 0, style, folds, &mut lines);
        check(&(lines.join("\n") + "\n"))?;
    }

    #[test]
    fn broken_documents_are_read_alike(
        item in items(),
        style in 0_u8..5,
        folds: u32,
        at: proptest::sample::Index,
        length in 0_usize..4,
        put in select(vec!["", " ", "\n", "\n\n", "'", "\"", ":", ": ", "#", " #", "- ", "\t", "|", ">", "?", "a", "---\n", "...\n", "~", "\\", "{", "&a ", "*a"]),
    ) {
        let mut text = if style == 4 {
            to_yaml(&item)
        } else {
            let mut lines = Vec::new();
            go_yaml(&item, 0, style, folds, &mut lines);
            lines.join("\n") + "\n"
        };
        let from = at.index(text.len());
        let (mut start, mut end) = (from, (from + length).min(text.len()));
        while !text.is_char_boundary(start) { start -= 1; }
        while !text.is_char_boundary(end) { end += 1; }
        text.replace_range(start..end, put);
        check(&text)?;
    }

    #[test]
    fn any_text_is_read_alike(text: String) {
        check(&format!("name: {text}\n"))?;
        check(&text)?;
    }
}

/// A value that is broken after a part that could stand alone.
#[test]
fn values_are_read_to_their_end() {
    for text in [
        "details:\n  k:\n    \"a\":' 1\n    b: 2\n",
        "details:\n  k:\n    \"a\" b\n",
        "details:\n  k: {} b\n",
        "details:\n  k: [a] b\n",
    ] {
        assert_eq!((direct::read(text), from_yaml(text).is_err()), (None, true), "{text:?}");
    }
}

#[test]
fn the_usual_shapes_are_read_directly() {
    let text = "name: e2e\nstatus: failed\nmeta:\n  type: summary\nitems:\n- name: a.xml\n  status: failed\n  items:\n  - name: '[sig] it''s\n      folded\n\n      twice'\n    status: failed\n    details:\n      count: 3\n      deep:\n        a:\n        - 1\n      failure: |-\n        one\n          two\n\n        three\n      list:\n      - x\n      none: {}\n      output: \"tab\\there\\\n        \\ and on\"\n  - name: plain text that\n      goes on - here\n    status: passed\n";
    let expected = json!({
        "name": "e2e", "status": "failed", "meta": {"type": "summary"}, "items": [
            {"name": "a.xml", "status": "failed", "items": [
                {"name": "[sig] it's folded\ntwice", "status": "failed", "details": {
                    "count": 3, "deep": {"a": [1]}, "failure": "one\n  two\n\nthree", "list": ["x"], "none": {},
                    "output": "tab\there and on",
                }},
                {"name": "plain text that goes on - here", "status": "passed"},
            ]},
        ],
    });
    assert_eq!(direct::read(text).map(|item| json!(item)), Some(expected));
    assert!(check(text).unwrap());
    assert!(streamed(text).is_some());
}

/// A tree is not streamed where one of its items says something behind those below it, or where their lines tell
/// another story than their indentation.
#[test]
fn what_cannot_be_streamed_is_not() {
    for text in [
        "name: a\nitems:\n- name: b\nstatus: passed\n",
        "name: a\nitems:\n- name: b\n  items:\n  - name: c\n  status: passed\n",
        "items:\n  - name: b\n",
        "name: a\nitems:\n  - name: b\n - name: c\n",
        "name: a\nitems:\n- name: b\n  - name: c\n",
        "name: a\nitems:\n- items:\n  - name: c\n",
        "name: a\nitems:\n-\n  name: c\n",
        "name: a\nitems:\n",
        "name: a",
        "",
    ] {
        assert_eq!(streamed(text), None, "{text:?}");
    }
}

#[test]
fn everything_else_is_left_to_the_general_reader() {
    for text in [
        "",
        "name: a",
        "---\nname: a\n",
        "# a\nname: a\n",
        "name: a\nname: b\n",
        "name: ~\n",
        "name: NULL\n",
        "name:\n",
        "name: &a b\n",
        "name: a\r\n",
        "name: >-\n  a\n",
        "{name: a}\n",
        "name: a # b\n",
        "other: a\n",
        "name: a\n---\nname: b\n",
        "items: []\n",
        "meta: {}\n",
        "name: a\nitems:\n",
        "details:\n  a: [1,\n    2]\n",
        "details:\n  ? a\n  : b\n",
    ] {
        assert_eq!(direct::read(text), None, "{text:?}");
    }
}

#[test]
fn odd_characters_are_found_wherever_they_stand() {
    for character in [
        "\u{85}", "\u{9f}", "\u{2028}", "\u{2029}", "\u{feff}", "\u{ffff}", "\r", "\0", "\u{7f}",
    ] {
        for before in 1..140 {
            let text = |part: &str| format!("name: {}{part}b\n", "a".repeat(before));
            assert_eq!(direct::read(&text(character)), None, "{character:?} after {before}");
            assert!(direct::read(&text("\u{a0}é日")).is_some());
        }
    }
}

/// The trees in Sonobuoy's archives are all read directly, and alike.
#[test]
#[expect(clippy::disallowed_types, reason = "these archives are known, and need no limits")]
fn trees_of_real_archives() {
    let root = std::env::var_os("SONO_VECTORS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
        PathBuf::from,
    );
    let folder = root.join("archives");
    if !folder.is_dir() {
        eprintln!("SKIPPED: no archives at {}", folder.display());
        return;
    }
    let mut trees = 0;
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = fs_err::File::open(&path).unwrap();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().into_owned();
            if !name.ends_with("sonobuoy_results.yaml") {
                continue;
            }
            let mut text = String::new();
            std::io::Read::read_to_string(&mut entry, &mut text).unwrap();
            assert!(check(&text).unwrap(), "{}: {}", path.display(), name.display());
            assert!(streamed(&text).is_some(), "{}: {}", path.display(), name.display());
            let ours = to_yaml(&from_yaml(&text).unwrap());
            assert!(
                check(&ours).unwrap(),
                "{}: {}, as we write it",
                path.display(),
                name.display()
            );
            trees += 1;
        }
    }
    assert!(trees >= 4, "only {trees} trees");
}
