//! Measures one file's tree: its size for the limits, and its leaves by status.

use std::collections::BTreeMap;

use serde_json::Value;
use sono_types::{Item, item::status};

use crate::{
    aggregate::{self, Counts},
    limits,
};

/// Counts of an item's leaves: rolled up, with counts in a leaf's status added, and one by one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Leaves {
    pub(crate) rolled_up: Counts,
    pub(crate) by_status: BTreeMap<String, i64>,
    /// Whether a leaf has a custom status.
    pub(crate) has_custom: bool,
}

impl Leaves {
    /// Counts of a single leaf.
    pub(crate) fn one(leaf_status: &str) -> Self {
        let name = if leaf_status.is_empty() {
            status::UNKNOWN
        } else {
            leaf_status
        };
        Self {
            rolled_up: aggregate::leaf_counts(name),
            by_status: BTreeMap::from([(name.to_owned(), 1)]),
            has_custom: !aggregate::is_known(name),
        }
    }

    /// Adds the counts of a part. The number of different statuses is bounded.
    pub(crate) fn add(&mut self, part: &Self) {
        for (name, number) in &part.rolled_up {
            let sum = self.rolled_up.entry(bounded(&self.rolled_up, name)).or_insert(0);
            *sum = sum.saturating_add(*number);
        }
        for (name, number) in &part.by_status {
            let sum = self.by_status.entry(bounded(&self.by_status, name)).or_insert(0);
            *sum = sum.saturating_add(*number);
        }
        self.has_custom |= part.has_custom;
    }
}

/// The name under which a status is counted: its own, or [`limits::OTHER`] if there are too many.
fn bounded<T>(counts: &BTreeMap<String, T>, name: &str) -> String {
    let fits = counts.len() < limits::STATUSES || aggregate::is_known(name) || counts.contains_key(name);
    if fits {
        name.to_owned()
    } else {
        limits::OTHER.to_owned()
    }
}

/// Measurements of one file's item.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Measured {
    pub(crate) items: u64,
    pub(crate) leaves: Leaves,
}

/// Measures one file's item. Fails with the reason if it exceeds a limit.
pub(crate) fn measure(item: &Item) -> Result<Measured, String> {
    let mut walk = Walk::default();
    let rolled_up = walk.item(item, 1)?;
    let has_custom = aggregate::has_custom_leaf(item);
    Ok(Measured {
        items: walk.items as u64,
        leaves: Leaves {
            rolled_up,
            by_status: walk.by_status,
            has_custom,
        },
    })
}

#[derive(Default)]
struct Walk {
    items: usize,
    status_bytes: usize,
    by_status: BTreeMap<String, i64>,
}

impl Walk {
    /// Measures an item; `depth` is the nesting depth of its map.
    fn item(&mut self, item: &Item, depth: usize) -> Result<Counts, String> {
        self.items += 1;
        if self.items > limits::FILE_ITEMS {
            return Err(too_many_items());
        }
        let deepest = [
            depth,
            depth + usize::from(!item.meta.is_empty()),
            depth
                + item
                    .details
                    .values()
                    .map(|value| 1 + value_depth(value))
                    .max()
                    .unwrap_or(0),
        ];
        if deepest.into_iter().any(|depth| depth > limits::FILE_DEPTH) {
            return Err(format!(
                "items and details are nested more than {} levels deep",
                limits::FILE_DEPTH
            ));
        }
        let counts = if item.items.is_empty() {
            if item.status.len() > limits::STATUS_BYTES {
                return Err(format!("a status is longer than {} bytes", limits::STATUS_BYTES));
            }
            let leaf = Leaves::one(&item.status);
            for (name, number) in leaf.by_status {
                *self.by_status.entry(bounded(&self.by_status, &name)).or_insert(0) += number;
            }
            leaf.rolled_up
        } else {
            let mut counts = Counts::new();
            for child in &item.items {
                // Each level is a list of maps.
                aggregate::add(&mut counts, self.item(child, depth + 2)?);
            }
            counts
        };
        // `name: 1, `
        self.status_bytes += counts.keys().map(|name| name.len() + 5).sum::<usize>();
        if self.status_bytes > limits::FILE_STATUS_BYTES {
            return Err(format!(
                "the statuses of all items exceed {} bytes",
                limits::FILE_STATUS_BYTES
            ));
        }
        Ok(counts)
    }
}

/// Error message for a file with too many items.
pub(crate) fn too_many_items() -> String {
    format!("the file has more than {} items", limits::FILE_ITEMS)
}

pub(crate) fn value_depth(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(value_depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(value_depth).max().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn leaf(status: &str) -> Item {
        Item {
            status: status.to_owned(),
            ..Item::default()
        }
    }

    fn nested(levels: usize) -> Item {
        (0..levels).fold(leaf("passed"), |item, _| Item {
            items: vec![item],
            ..Item::default()
        })
    }

    #[test]
    fn leaves_of_a_file_are_counted_by_status_and_rolled_up() {
        let item = Item {
            items: vec![leaf("passed"), leaf(""), leaf("a: 2, passed: 3")],
            ..Item::default()
        };
        let measured = measure(&item).unwrap();
        let counts = |pairs: [(&str, u64); 3]| pairs.map(|(name, number)| (name.to_owned(), number)).into();
        assert_eq!(
            measured,
            Measured {
                items: 4,
                leaves: Leaves {
                    rolled_up: counts([("a", 2), ("passed", 4), ("unknown", 1)]),
                    by_status: ["passed", "unknown", "a: 2, passed: 3"]
                        .map(|name| (name.to_owned(), 1))
                        .into(),
                    has_custom: true,
                },
            }
        );
    }

    /// A file at the limit can be read back as YAML below a root and a node; one more level is rejected.
    #[test]
    fn depth_of_a_file_at_the_limit_is_readable_and_beyond_is_rejected() {
        let deep = |levels: usize| (0..levels).fold(json!(1), |value, _| json!([value]));
        let with_details = |levels| Item {
            details: [("k".to_owned(), deep(levels))].into(),
            ..leaf("passed")
        };
        let max = limits::FILE_DEPTH;
        for (fits, too_deep) in [
            (nested((max - 1) / 2), nested((max - 1) / 2 + 1)),
            (with_details(max - 2), with_details(max - 1)),
        ] {
            assert!(measure(&fits).is_ok());
            let plugin = Item {
                items: vec![Item {
                    items: vec![fits],
                    ..Item::default()
                }],
                ..Item::default()
            };
            let text = crate::to_yaml(&plugin);
            assert_eq!(crate::from_yaml(&text), Ok(plugin));
            let error = measure(&too_deep).unwrap_err();
            assert_eq!(
                error,
                format!("items and details are nested more than {max} levels deep")
            );
        }
    }

    #[test]
    fn statuses_of_a_file_beyond_their_limits_are_rejected() {
        let long = "x".repeat(limits::STATUS_BYTES);
        assert!(measure(&leaf(&long)).is_ok());
        assert_eq!(
            measure(&leaf(&(long + "x"))).unwrap_err(),
            "a status is longer than 256 bytes"
        );
        // Each item with children lists all statuses below it.
        let mut item = Item {
            items: (0..20_000).map(|number| leaf(&format!("{number:>200}"))).collect(),
            ..Item::default()
        };
        assert!(measure(&item).is_ok());
        for _ in 0..3 {
            item = Item {
                items: vec![item],
                ..Item::default()
            };
        }
        assert_eq!(
            measure(&item).unwrap_err(),
            "the statuses of all items exceed 16777216 bytes"
        );
    }

    #[test]
    fn different_statuses_beyond_the_limit_are_counted_together() {
        let mut leaves = Leaves::default();
        for number in 0..limits::STATUSES + 10 {
            leaves.add(&Leaves::one(&format!("s{number}")));
        }
        leaves.add(&Leaves::one("failed"));
        assert_eq!(leaves.rolled_up.len(), limits::STATUSES + 2);
        assert_eq!((leaves.rolled_up["other"], leaves.rolled_up["failed"]), (10, 1));
        assert_eq!((leaves.by_status["other"], leaves.by_status["failed"]), (10, 1));
    }
}
