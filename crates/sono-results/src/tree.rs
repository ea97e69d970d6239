//! Finding one's way in a tree of results.

use sono_types::{Item, Target};

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

/// The part of a plugin's tree that belongs to one result: the whole tree where the plugin runs once, the node's item
/// where it runs on every node. Node items are known by their type: a test may have a node's name.
pub fn node_result<'a>(root: &'a Item, per_node: bool, target: &Target) -> Option<&'a Item> {
    if !per_node {
        return Some(root);
    }
    root.items
        .iter()
        .find(|item| item.name == target.as_str() && item.meta.get(meta::TYPE).is_some_and(|found| found == kind::NODE))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

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
        let target = |name| Target::parse(name).unwrap();
        assert_eq!(node_result(&root, true, &target("node1")), Some(&root.items[2]));
        assert_eq!(node_result(&root, true, &target("node2")), Some(&node2));
        assert_eq!(node_result(&root, true, &target("node3")), None);
        assert_eq!(node_result(&root, false, &Target::Global), Some(&root));
    }
}
