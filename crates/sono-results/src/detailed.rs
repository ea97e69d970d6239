//! Detailed report: one line per leaf, or its file (cli §12).

use sono_types::{Item, layout};

use crate::{
    select::{Leaf, visit_leaves},
    tree::meta,
};

/// Output for one leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DetailedLine {
    /// A JSON object, without a line break.
    Json(String),
    /// The content of a file in the archive.
    File {
        /// Optional prefix of the output: the names of all items down to the leaf, and a space.
        prefix: String,
        /// Path in the archive.
        path: String,
    },
}

/// The lines for all leaves of `item`, the tree of `plugin` or a part of it.
pub fn detailed_lines(item: &Item, plugin: &str) -> Vec<DetailedLine> {
    let mut lines = Vec::new();
    visit_leaves(item, &mut |leaf| lines.push(detailed_line(leaf, plugin)));
    lines
}

/// The line for one leaf of the tree of `plugin`.
pub fn detailed_line(leaf: Leaf<'_>, plugin: &str) -> DetailedLine {
    line(leaf.item, leaf.path, plugin)
}

fn line(item: &Item, path: &[&str], plugin: &str) -> DetailedLine {
    if let Some(file) = item.meta.get(meta::FILE).filter(|file| !file.is_empty()) {
        let mut names = path.to_vec();
        names.push(&item.name);
        return DetailedLine::File {
            prefix: format!("{} ", names.join("|")),
            // Paths from Windows nodes have backslashes.
            path: format!("{}/{}", layout::plugin_dir_named(plugin), file.replace('\\', "/")),
        };
    }
    let mut printed = Item {
        name: item.name.clone(),
        status: item.status.clone(),
        meta: item.meta.clone(),
        details: item.details.clone(),
        items: Vec::new(),
    };
    printed.meta.insert(meta::PATH.to_owned(), path.join("|"));
    DetailedLine::Json(go_json(&printed))
}

/// JSON in Go's format, with HTML characters escaped. These occur only in strings.
fn go_json(item: &Item) -> String {
    let text = serde_json::to_string(item).expect("an item tree has only strings as keys");
    let mut escaped = String::with_capacity(text.len() + text.len() / 8);
    let mut rest = text.as_str();
    while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        let (before, from) = rest.split_at(at);
        escaped.push_str(before);
        let character = from.chars().next().expect("the rest starts with the found character");
        escaped.push_str(match character {
            '<' => "\\u003c",
            '>' => "\\u003e",
            '&' => "\\u0026",
            '\u{2028}' => "\\u2028",
            _ => "\\u2029",
        });
        rest = &from[character.len_utf8()..];
    }
    escaped.push_str(rest);
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn leaves_are_lines_or_files() {
        let leaf = |name: &str, file: &str| Item {
            name: name.to_owned(),
            status: "passed".to_owned(),
            meta: [("file".to_owned(), file.to_owned())].into(),
            ..Item::default()
        };
        let root = Item {
            name: "p".to_owned(),
            status: "failed".to_owned(),
            items: vec![
                Item {
                    name: "node1".to_owned(),
                    items: vec![leaf("out0", "results\\node1/out0")],
                    ..Item::default()
                },
                Item {
                    name: "a <b> & \u{2028}".to_owned(),
                    status: "failed".to_owned(),
                    details: [("k".to_owned(), json!({"z": 1, "a": "<"}))].into(),
                    ..Item::default()
                },
            ],
            ..Item::default()
        };
        assert_eq!(
            detailed_lines(&root, "ds"),
            [
                DetailedLine::File {
                    prefix: "p|node1|out0 ".to_owned(),
                    path: "plugins/ds/results/node1/out0".to_owned(),
                },
                DetailedLine::Json(
                    r#"{"name":"a \u003cb\u003e \u0026 \u2028","status":"failed","meta":{"path":"p"},"details":{"k":{"a":"\u003c","z":1}}}"#
                        .to_owned()
                ),
            ]
        );
    }
}
