//! Memory budget of a view of results. Trees are streamed: only the retained items and the parents of the current item are in
//! memory.

use std::{
    cell::Cell,
    io::{self, Read},
};

use serde_json::Value;
use sono_bundle::ReadLimits;
use sono_results::Leaf;
use sono_types::Item;

/// Memory overhead in bytes of a string, or of an entry of a map or list.
const OVERHEAD: u64 = 48;
/// Size in bytes up to which the whole tree counts as in memory.
const SMALL_TREES: u64 = 64 << 20;

/// Counts of streamed and retained items.
#[derive(Debug)]
pub(super) struct Budget {
    limits: ReadLimits,
    /// Result items.
    items: Cell<u64>,
    /// Bytes of trees.
    read: Cell<u64>,
    /// The bytes of trees without those of leaves, that is of parents and syntax.
    held: Cell<u64>,
    /// Approximate memory of the retained items in bytes.
    retained: Cell<u64>,
}

/// State of the counts at some point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Used {
    items: u64,
    retained: u64,
}

impl Budget {
    pub(super) fn new(limits: &ReadLimits) -> Self {
        let none = || Cell::new(0);
        Self {
            limits: *limits,
            items: none(),
            read: none(),
            held: none(),
            retained: none(),
        }
    }

    /// The current counts.
    pub(super) fn used(&self) -> Used {
        Used {
            items: self.items.get(),
            retained: self.retained.get(),
        }
    }

    /// Subtracts the items between two points, which were discarded.
    pub(super) fn release(&self, before: Used, after: Used) {
        self.items.set(self.items.get() - (after.items - before.items));
        self.retained
            .set(self.retained.get() - (after.retained - before.retained));
    }

    /// Counts a leaf; returns whether the view may retain it.
    pub(super) fn leaf(&self, leaf: Leaf<'_>) -> bool {
        self.items.set(self.items.get().saturating_add(1));
        if self.read.get() > SMALL_TREES {
            self.held.set(self.held.get().saturating_sub(json_bytes(leaf.item)));
        }
        self.items.get() <= self.limits.max_items && self.retained.get() <= self.limits.max_parsed_bytes
    }

    /// Counts a retained leaf.
    pub(super) fn retain(&self, leaf: Leaf<'_>) {
        self.retained.set(self.retained.get().saturating_add(bytes(leaf)));
    }

    /// A reader of a tree that fails at the limits.
    pub(super) fn reader<'a>(&'a self, content: &'a mut dyn Read) -> impl Read + 'a {
        Counted { budget: self, content }
    }

    /// Fails if the limits on items or on retained memory are exceeded.
    pub(super) fn check(&self) -> io::Result<()> {
        let ReadLimits {
            max_items,
            max_parsed_bytes,
            ..
        } = self.limits;
        if self.items.get() > max_items {
            return Err(beyond(format!("the archive has more than {max_items} result items")));
        }
        if self.retained.get() > max_parsed_bytes {
            return Err(beyond(format!(
                "the selected result items use more than {max_parsed_bytes} bytes of memory"
            )));
        }
        Ok(())
    }
}

fn beyond(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, message)
}

struct Counted<'a> {
    budget: &'a Budget,
    content: &'a mut dyn Read,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(buffer)?;
        let Budget { limits, read, held, .. } = self.budget;
        read.set(read.get().saturating_add(count as u64));
        held.set(held.get().saturating_add(count as u64));
        if read.get() > limits.max_tree_bytes {
            let limit = limits.max_tree_bytes;
            return Err(beyond(format!("the result trees exceed {limit} bytes")));
        }
        if held.get() > limits.max_parsed_bytes {
            let limit = limits.max_parsed_bytes;
            return Err(beyond(format!("parent items exceed {limit} bytes")));
        }
        Ok(count)
    }
}

/// Approximate memory of a leaf and its path in bytes.
fn bytes(leaf: Leaf<'_>) -> u64 {
    let Item {
        name,
        status,
        meta,
        details,
        items: _,
    } = leaf.item;
    let text = |text: &str| text.len() as u64 + OVERHEAD;
    let path: u64 = leaf.path.iter().map(|name| text(name)).sum();
    let meta: u64 = meta.iter().map(|(key, value)| text(key) + text(value)).sum();
    let details: u64 = details.iter().map(|(key, value)| text(key) + value_bytes(value)).sum();
    path + text(name) + text(status) + leaf.file.map_or(0, text) + meta + details
}

fn value_bytes(value: &Value) -> u64 {
    let content = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len() as u64,
        Value::Array(values) => values.iter().map(value_bytes).sum(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| key.len() as u64 + OVERHEAD + value_bytes(value))
            .sum(),
    };
    OVERHEAD + content
}

/// Size of the item as JSON in bytes.
fn json_bytes(item: &Item) -> u64 {
    struct Count(u64);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Best effort: an item that cannot be serialized counts as empty.
    serde_json::to_writer(&mut count, item).ok();
    count.0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sono_results::stream_yaml;
    use sono_types::limits::{RUN_ITEMS, RUN_TREE_BYTES};

    use super::*;

    const SMALL: ReadLimits = ReadLimits {
        max_parsed_bytes: 2_000,
        max_items: 10,
        max_tree_bytes: 10_000,
        ..ReadLimits::DEFAULT
    };

    fn item(name: &str) -> Item {
        Item {
            name: name.to_owned(),
            status: "failed".to_owned(),
            ..Item::default()
        }
    }

    fn refusal(budget: &Budget) -> Option<String> {
        budget.check().err().map(|error| error.to_string())
    }

    /// `results` must read every archive of an aggregator.
    #[test]
    fn limits_of_readers_are_those_of_post_processing() {
        let read = ReadLimits::DEFAULT;
        assert_eq!((read.max_items, read.max_tree_bytes), (RUN_ITEMS, RUN_TREE_BYTES));
        let written = sono_results::TreeLimits::RUN;
        assert_eq!((written.items, written.bytes), (RUN_ITEMS, RUN_TREE_BYTES));
    }

    #[test]
    fn items_beyond_the_limit_are_refused_and_not_retained() {
        let (budget, item) = (Budget::new(&SMALL), item("n"));
        let leaf = Leaf {
            item: &item,
            path: &[],
            file: None,
        };
        assert_eq!((0..12).filter(|_| budget.leaf(leaf)).count(), 10);
        let refused = "the archive has more than 10 result items";
        assert_eq!(refusal(&budget).as_deref(), Some(refused));
        let before = budget.used();
        assert!(!budget.leaf(leaf));
        budget.release(before, budget.used());
        assert_eq!(budget.used(), before);
    }

    /// Each retained leaf has a copy of its path, so a small archive could fill the memory.
    #[test]
    fn path_counts_for_every_retained_leaf() {
        let (budget, item, above) = (Budget::new(&SMALL), item("n"), "x".repeat(900));
        let leaf = Leaf {
            item: &item,
            path: &["p", &above],
            file: None,
        };
        for _ in 0..2 {
            assert_eq!(refusal(&budget), None);
            assert!(budget.leaf(leaf));
            budget.retain(leaf);
        }
        let refused = "the selected result items use more than 2000 bytes of memory";
        assert_eq!(refusal(&budget).as_deref(), Some(refused));
    }

    #[test]
    fn details_count_with_everything_in_them() {
        let item = Item {
            meta: BTreeMap::from([("file".to_owned(), "f".to_owned())]),
            details: BTreeMap::from([("a".to_owned(), serde_json::json!([{"k": "v"}, 1, null]))]),
            ..item("name")
        };
        let leaf = Leaf {
            item: &item,
            path: &["p"],
            file: Some("f"),
        };
        // p, name, failed, f; file: f; a, the list, the map, k: v, 1, null
        assert_eq!(
            bytes(leaf),
            1 + 4 + 6 + 1 + 4 + 1 + 1 + 1 + 1 + OVERHEAD * (4 + 2 + 1 + 6)
        );
        let text = r#"{"name":"name","status":"failed","meta":{"file":"f"},"details":{"a":[{"k":"v"},1,null]}}"#;
        assert_eq!(json_bytes(&item), text.len() as u64);
    }

    #[test]
    fn tree_beyond_the_limits_is_refused() {
        let read = |limits: &ReadLimits, yaml: &str| {
            let budget = Budget::new(limits);
            let read = stream_yaml(budget.reader(&mut yaml.as_bytes()), &mut |leaf| {
                budget.leaf(leaf);
            });
            (read.is_ok(), budget.used().items)
        };
        let tree = |items: usize| format!("name: p\nitems:\n{}", "- name: a\n".repeat(items));
        assert_eq!(read(&SMALL, &tree(100)), (true, 100));
        assert!(!read(&SMALL, &tree(300)).0, "small trees count as a whole");
        let held = ReadLimits {
            max_parsed_bytes: u64::MAX,
            ..SMALL
        };
        assert_eq!(read(&held, &tree(900)), (true, 900));
        assert!(!read(&held, &tree(1_100)).0, "max_tree_bytes");
    }

    #[test]
    fn bytes_of_leaves_do_not_count_and_those_of_parents_do() {
        let limits = ReadLimits {
            max_parsed_bytes: SMALL_TREES + (2 << 20),
            ..ReadLimits::DEFAULT
        };
        let mut piece = vec![0; 1 << 20];
        let leaf = item(&"x".repeat(piece.len()));
        let mut pieces = |are_leaves: bool| {
            let budget = Budget::new(&limits);
            let mut content = io::repeat(b'x');
            let mut reader = budget.reader(&mut content);
            let read = (0..100).try_for_each(|_| {
                reader.read_exact(&mut piece)?;
                if are_leaves {
                    budget.leaf(Leaf {
                        item: &leaf,
                        path: &["p"],
                        file: None,
                    });
                }
                io::Result::Ok(())
            });
            read.map_err(|error| error.to_string())
        };
        assert_eq!(pieces(true), Ok(()));
        let refused = "parent items exceed 69206016 bytes";
        assert_eq!(pieces(false), Err(refused.to_owned()));
    }
}
