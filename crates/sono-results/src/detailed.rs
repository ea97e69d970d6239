//! The detailed view: one line for each leaf, or the file that it stands for (cli spec §12).

use sono_types::{Item, layout};

use crate::{
    select::{Leaf, visit_leaves},
    tree::meta,
};

/// What to print for one leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DetailedLine {
    /// A JSON object, without a line end.
    Json(String),
    /// A file of the archive, as it is.
    File {
        /// What stands in front of it, unless the user wants none: the names down to the leaf and a space.
        prefix: String,
        /// Name in the archive.
        path: String,
    },
}

/// The lines for all leaves of `item`, which is the tree of `plugin` or a part of it.
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
            // Plugins on Windows nodes write backslashes.
            path: format!("{}/{}", layout::plugin_dir_named(plugin), file.replace('\\', "/")),
        };
    }
    let mut shown = Item {
        name: item.name.clone(),
        status: item.status.clone(),
        meta: item.meta.clone(),
        details: item.details.clone(),
        items: Vec::new(),
    };
    shown.meta.insert(meta::PATH.to_owned(), path.join("|"));
    DetailedLine::Json(go_json(&shown))
}

/// JSON as Go writes it: characters that mean something in HTML are escaped. They occur only inside of strings.
fn go_json(item: &Item) -> String {
    let text = serde_json::to_string(item).expect("an item tree has only strings as keys");
    let mut escaped = String::with_capacity(text.len() + text.len() / 8);
    let mut rest = text.as_str();
    while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        let (before, from) = rest.split_at(at);
        escaped.push_str(before);
        let character = from.chars().next().expect("something was found there");
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
