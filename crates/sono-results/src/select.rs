//! Selects and visits leaves of a tree.

use regex::Regex;
use sono_types::{Item, item::status};

use crate::tree::meta;

/// Filter for leaves. By default it matches every leaf.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Regular expression for the leaf's name.
    pub name: Option<Regex>,
    /// Statuses to match; empty matches all.
    pub statuses: Vec<String>,
    /// Excludes passed and skipped leaves.
    pub skip_passed: bool,
}

impl Selection {
    /// Whether the leaf is selected.
    pub fn matches(&self, leaf: &Item) -> bool {
        let passed = leaf.status == status::PASSED || leaf.status == status::SKIPPED;
        !(self.skip_passed && passed)
            && (self.statuses.is_empty() || self.statuses.contains(&leaf.status))
            && self.name.as_ref().is_none_or(|name| name.is_match(&leaf.name))
    }
}

/// A leaf with its path and file.
#[derive(Debug, Clone, Copy)]
pub struct Leaf<'a> {
    /// The leaf.
    pub item: &'a Item,
    /// Names of its ancestors, from the root of the visit.
    pub path: &'a [&'a str],
    /// Its file, relative to `plugins/<name>`.
    pub file: Option<&'a str>,
}

/// Callback for each leaf.
pub type LeafVisitor<'a> = dyn FnMut(Leaf<'_>) + 'a;

/// Calls `visit` for every leaf below `root`, or for `root` itself if it is a leaf, depth first.
pub fn visit_leaves(root: &Item, visit: &mut LeafVisitor<'_>) {
    descend(root, &mut Vec::new(), None, visit);
}

fn descend<'tree>(
    item: &'tree Item,
    path: &mut Vec<&'tree str>,
    file: Option<&'tree str>,
    visit: &mut LeafVisitor<'_>,
) {
    let file = file_of(item).or(file);
    if item.items.is_empty() {
        visit(Leaf { item, path, file });
        return;
    }
    path.push(&item.name);
    for child in &item.items {
        descend(child, path, file, visit);
    }
    path.pop();
}

/// The file of an item and its descendants.
pub(crate) fn file_of(item: &Item) -> Option<&str> {
    item.meta.get(meta::FILE).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(name: &str, status: &str) -> Item {
        Item {
            name: name.to_owned(),
            status: status.to_owned(),
            ..Item::default()
        }
    }

    #[test]
    fn selection_matches_names_and_statuses() {
        let root = Item {
            items: vec![
                leaf("a", "passed"),
                Item {
                    meta: [("file".to_owned(), "f".to_owned())].into(),
                    items: vec![leaf("ab", "failed"), leaf("b", "skipped"), leaf("bc", "complete")],
                    ..leaf("suite a", "failed")
                },
            ],
            ..leaf("p", "failed")
        };
        let check = |selection: Selection, expected: &[&str]| {
            let mut found = Vec::new();
            visit_leaves(&root, &mut |leaf| {
                if selection.matches(leaf.item) {
                    let path = leaf.path.join("|");
                    found.push(format!("{path} {} {}", leaf.item.name, leaf.file.unwrap_or("-")));
                }
            });
            assert_eq!(found, expected);
        };
        let named = |expression: &str| Selection {
            name: Some(Regex::new(expression).unwrap()),
            ..Selection::default()
        };
        check(
            Selection::default(),
            &["p a -", "p|suite a ab f", "p|suite a b f", "p|suite a bc f"],
        );
        check(named("^b"), &["p|suite a b f", "p|suite a bc f"]);
        check(
            Selection {
                skip_passed: true,
                ..named("a|bc")
            },
            &["p|suite a ab f", "p|suite a bc f"],
        );
        check(
            Selection {
                statuses: vec!["passed".to_owned(), "skipped".to_owned()],
                ..Selection::default()
            },
            &["p a -", "p|suite a b f"],
        );
        check(named("suite"), &[]);
    }
}
