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

fn aggregated(item: Item) -> Item {
    with(item, Compatibility::default())
}

fn with(mut item: Item, compatibility: Compatibility) -> Item {
    aggregate(&mut item, compatibility);
    item
}

/// The status of the item and of its children.
fn statuses(item: &Item) -> Vec<&str> {
    let children = item.items.iter().map(|child| child.status.as_str());
    std::iter::once(item.status.as_str()).chain(children).collect()
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
        // Counts written by the plugin.
        (&["a: 2, b: 1", "a"], "a: 3, b: 1"),
        (&["passed: 2", "passed"], "passed"),
        (&["failed: 1, passed: 2", "passed"], "failed"),
        (&["failed: 0, foo: 2", "passed"], "failed: 0, foo: 2, passed: 1"),
        // Failures take precedence over custom statuses (W-43).
        (&["foo", "failed"], "failed"),
        (&["foo", "timeout"], "failed"),
        // Colons without counts (W-43).
        (&["see: there", "a: 1, b"], "a: 1, b: 1, see: there: 1"),
    ] {
        let tree = branch(leaves.iter().map(|status| leaf(status)).collect());
        assert_eq!(aggregated(tree).status, expected, "{leaves:?}");
    }
}

/// W-43: a custom status makes counts only of the items above it, and hides no failure.
#[test]
fn custom_statuses_hide_no_failure() {
    let tree = branch(vec![
        branch(vec![leaf("foo"), leaf("passed")]),
        branch(vec![leaf("passed"), leaf("failed")]),
        branch(vec![leaf("passed")]),
    ]);
    assert_eq!(
        statuses(&aggregated(tree.clone())),
        ["failed", "foo: 1, passed: 1", "failed", "passed"]
    );
    let compatibility = Compatibility {
        counts_everywhere: true,
        ..Compatibility::default()
    };
    assert_eq!(
        statuses(&with(tree, compatibility)),
        [
            "failed: 1, foo: 1, passed: 3",
            "foo: 1, passed: 1",
            "failed: 1, passed: 1",
            "passed: 1"
        ]
    );
}

#[test]
fn status_of_a_leaf_is_unchanged() {
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

/// Expected status of an item, computed from its leaves. `everywhere` forces counts or verdicts for all items.
fn model(item: &Item, everywhere: Option<bool>) -> String {
    let name = |leaf: &Item| {
        if leaf.status.is_empty() {
            "unknown".to_owned()
        } else {
            leaf.status.clone()
        }
    };
    let leaves: Vec<String> = item.leaves().into_iter().map(name).collect();
    let has = |statuses: &[&str]| leaves.iter().any(|status| statuses.contains(&status.as_str()));
    let is_failed = has(&["failed", "timeout"]);
    if item.items.is_empty() {
        leaves[0].clone()
    } else if everywhere.unwrap_or_else(|| has(&["custom", "other: thing"]) && !is_failed) {
        let mut counts = BTreeMap::new();
        for status in &leaves {
            *counts.entry(status).or_insert(0) += 1;
        }
        let parts: Vec<String> = counts
            .iter()
            .map(|(status, count)| format!("{status}: {count}"))
            .collect();
        parts.join(", ")
    } else if is_failed {
        "failed".to_owned()
    } else if has(&["unknown"]) {
        "unknown".to_owned()
    } else {
        "passed".to_owned()
    }
}

fn check(before: &Item, after: &Item, everywhere: Option<bool>) {
    assert_eq!(after.status, model(before, everywhere));
    assert_eq!(after.items.len(), before.items.len());
    for (before, after) in before.items.iter().zip(&after.items) {
        check(before, after, everywhere);
    }
}

/// The tree with shuffled children.
fn shuffled(item: &Item, seed: usize) -> Item {
    let mut items: Vec<Item> = item.items.iter().map(|child| shuffled(child, seed / 2)).collect();
    if !items.is_empty() {
        let length = items.len();
        items.rotate_left(seed % length);
        if seed.is_multiple_of(3) {
            items.reverse();
        }
    }
    Item { items, ..item.clone() }
}

proptest! {
    #[test]
    fn every_status_follows_from_its_leaves(tree in trees()) {
        let once = aggregated(tree.clone());
        check(&tree, &once, None);
        prop_assert_eq!(aggregated(once.clone()), once);
        let is_custom = tree.leaves().iter().any(|leaf| !is_known(&leaf.status));
        check(&tree, &with(tree.clone(), Compatibility::SONOBUOY), Some(is_custom));
    }

    #[test]
    fn the_order_of_items_does_not_matter(tree in trees(), seed in 0_usize..10_000) {
        for compatibility in [Compatibility::default(), Compatibility::SONOBUOY] {
            prop_assert_eq!(
                with(shuffled(&tree, seed), compatibility),
                shuffled(&with(tree.clone(), compatibility), seed)
            );
        }
    }

    #[test]
    fn counts_add_up(tree in trees()) {
        let tree = aggregated(tree);
        let counts = tree.status_counts();
        prop_assert_eq!(counts.values().sum::<i64>(), i64::try_from(tree.leaves().len()).unwrap());
        let mut sum = BTreeMap::new();
        for child in &tree.items {
            for (status, count) in child.status_counts() {
                *sum.entry(status).or_insert(0) += count;
            }
        }
        if !tree.items.is_empty() {
            prop_assert_eq!(counts, sum);
        }
    }
}
