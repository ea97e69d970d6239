use proptest::prelude::*;

use super::*;

fn leaf(status: &str) -> Item {
    Item {
        name: "leaf".to_owned(),
        status: status.to_owned(),
        ..Item::default()
    }
}

fn branch(items: Vec<Item>) -> Item {
    Item {
        name: "branch".to_owned(),
        status: "stale".to_owned(),
        items,
        ..Item::default()
    }
}

fn aggregated(mut item: Item) -> Item {
    aggregate(&mut item);
    item
}

#[test]
fn statuses_of_flat_trees() {
    for (leaves, expected) in [
        (&["passed", "skipped"][..], "passed"),
        (&["skipped"], "passed"),
        (&["passed", "failed", "unknown"], "failed"),
        (&["timeout"], "failed"),
        (&["passed", "unknown"], "unknown"),
        (&["passed", ""], "unknown"),
        (&["unknown", "failed"], "failed"),
        (&["foo", "foo", "bar"], "bar: 1, foo: 2"),
        (&["foo", "passed", "passed"], "foo: 1, passed: 2"),
        (&["foobar"], "foobar: 1"),
        (&["custom", ""], "custom: 1, unknown: 1"),
        // Counted by the plugin itself.
        (&["a: 2, b: 1", "a"], "a: 3, b: 1"),
        // Not counts, only colons (W-43).
        (&["see: there", "a: 1, b"], "a: 1, b: 1, see: there: 1"),
    ] {
        let tree = branch(leaves.iter().map(|status| leaf(status)).collect());
        assert_eq!(aggregated(tree).status, expected, "{leaves:?}");
    }
}

#[test]
fn one_custom_status_makes_every_branch_count() {
    let tree = aggregated(branch(vec![
        branch(vec![leaf("foo"), leaf("passed")]),
        branch(vec![leaf("passed"), leaf("failed")]),
    ]));
    assert_eq!(
        (
            tree.status.as_str(),
            tree.items[0].status.as_str(),
            tree.items[1].status.as_str()
        ),
        (
            "failed: 1, foo: 1, passed: 2",
            "foo: 1, passed: 1",
            "failed: 1, passed: 1"
        )
    );
}

#[test]
fn a_leaf_keeps_its_status() {
    assert_eq!(aggregated(leaf("passed")).status, "passed");
    assert_eq!(aggregated(leaf("")).status, "unknown");
}

fn trees() -> impl Strategy<Value = Item> {
    let statuses = prop_oneof![
        Just("passed"),
        Just("failed"),
        Just("skipped"),
        Just("unknown"),
        Just("timeout"),
        Just(""),
        Just("custom"),
        Just("other: thing"),
    ];
    statuses.prop_map(leaf).prop_recursive(4, 40, 5, |inner| {
        proptest::collection::vec(inner, 1..5).prop_map(branch)
    })
}

/// What a status must be, from the leaves below it alone.
fn model(item: &Item, is_custom: bool) -> String {
    let name = |leaf: &Item| {
        if leaf.status.is_empty() {
            "unknown".to_owned()
        } else {
            leaf.status.clone()
        }
    };
    let leaves: Vec<String> = item.leaves().into_iter().map(name).collect();
    let has = |wanted: &[&str]| leaves.iter().any(|status| wanted.contains(&status.as_str()));
    if item.items.is_empty() {
        leaves[0].clone()
    } else if is_custom {
        let mut counts = BTreeMap::new();
        for status in &leaves {
            *counts.entry(status).or_insert(0) += 1;
        }
        let parts: Vec<String> = counts
            .iter()
            .map(|(status, count)| format!("{status}: {count}"))
            .collect();
        parts.join(", ")
    } else if has(&["failed", "timeout"]) {
        "failed".to_owned()
    } else if has(&["unknown"]) {
        "unknown".to_owned()
    } else {
        "passed".to_owned()
    }
}

fn check(before: &Item, after: &Item, is_custom: bool) {
    assert_eq!(after.status, model(before, is_custom));
    assert_eq!(after.items.len(), before.items.len());
    for (before, after) in before.items.iter().zip(&after.items) {
        check(before, after, is_custom);
    }
}

proptest! {
    #[test]
    fn every_status_follows_from_its_leaves(tree in trees()) {
        let known = ["passed", "failed", "skipped", "unknown", "timeout", ""];
        let is_custom = tree.leaves().iter().any(|leaf| !known.contains(&leaf.status.as_str()));
        let once = aggregated(tree.clone());
        check(&tree, &once, is_custom);
        prop_assert_eq!(aggregated(once.clone()), once);
    }
}
