//! Finding one's way in a tree of results.

use std::collections::BTreeMap;

use sono_types::Item;

/// Values of `meta.type`.
pub(crate) mod kind {
    pub(crate) const SUMMARY: &str = "summary";
    pub(crate) const NODE: &str = "node";
    pub(crate) const FILE: &str = "file";
}

/// Keys of `meta`.
pub(crate) mod meta {
    pub(crate) const FILE: &str = "file";
    pub(crate) const TYPE: &str = "type";
    pub(crate) const ERROR: &str = "error";
    pub(crate) const PATH: &str = "path";
}

/// The parts of the tree of a plugin that runs on every node, by the nodes' names. Node items are known by their type: a
/// test may have a node's name. The first of several counts.
pub fn node_items(root: &Item) -> BTreeMap<&str, &Item> {
    let mut items = BTreeMap::new();
    for item in &root.items {
        if item.meta.get(meta::TYPE).is_some_and(|found| found == kind::NODE) {
            items.entry(item.name.as_str()).or_insert(item);
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    /// W-24: a node is found by its kind, and one that is missing hides none of the others.
    #[test]
    fn a_test_named_like_a_node_is_no_node() {
        let item = |name: &str, kind: &str, items| Item {
            name: name.to_owned(),
            meta: BTreeMap::from([(meta::TYPE.to_owned(), kind.to_owned())]),
            items,
            ..Item::default()
        };
        let node2 = item(
            "node2",
            kind::NODE,
            vec![item("f", kind::FILE, vec![item("node1", "", vec![])])],
        );
        let root = item(
            "node1",
            kind::SUMMARY,
            vec![
                item("node1", kind::FILE, vec![]),
                node2.clone(),
                item("node1", kind::NODE, vec![]),
            ],
        );
        let expected = [("node1", &root.items[2]), ("node2", &node2)];
        assert_eq!(node_items(&root), BTreeMap::from(expected));
    }
}
