//! Item trees as YAML: `sonobuoy_results.yaml` and the files of `manual` plugins (core §6.1, §6.3).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use sono_types::{
    Item,
    yaml::{self, YamlError},
};

use crate::limits;

/// Error of a text that is not an item tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ItemError {
    /// The text has only comments and blank lines.
    #[error("the file contains no YAML document")]
    Empty,
    /// The text is not YAML, or an item's field has the wrong type.
    #[error("{}", with_position(.0))]
    Yaml(YamlError),
}

fn with_position(error: &YamlError) -> String {
    match error.position {
        Some(position) => format!("{position}: {error}"),
        None => error.to_string(),
    }
}

/// Serializes the tree as YAML, with keys in the order name, status, meta, details, items.
pub fn to_yaml(item: &Item) -> String {
    yaml::to_string(item).expect("an item tree has only strings as keys and no values that YAML lacks")
}

/// Parses the first document of `text`. Scalars in names, statuses and meta values are read as text (`1.50`, `true`), null
/// is the same as missing, unknown keys are ignored.
pub fn from_yaml(text: &str) -> Result<Item, ItemError> {
    let is_blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    if text.lines().all(is_blank) {
        return Err(ItemError::Empty);
    }
    yaml::first_document::<Option<Document>>(text)
        .map(|document| document.unwrap_or_default().into())
        .map_err(ItemError::Yaml)
}

/// Parses all documents of a plugin's file except empty ones, like [`from_yaml`].
///
/// Stops at the first error, also if the documents need far more memory than their size. Returns the documents before it
/// and the error.
pub(crate) fn items_from_yaml(text: &str) -> (Vec<Item>, Option<ItemError>) {
    let nodes = limits::FILE_ITEMS * NODES_PER_ITEM;
    let weigh = |document: &Option<Document>| document.as_ref().map_or(1, Document::nodes);
    let (documents, error) =
        yaml::each_document_within::<Option<Document>>(text, nodes, limits::FILE_SCALAR_BYTES, weigh);
    let items = documents.into_iter().flatten().map(Into::into).collect();
    (items, error.map(ItemError::Yaml))
}

/// Maximum average number of YAML values per item: the item, name and status with their keys, and a few more.
const NODES_PER_ITEM: usize = 8;

/// An item, parsed leniently because plugins write it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Document {
    name: Option<String>,
    status: Option<String>,
    meta: Option<BTreeMap<String, Option<String>>>,
    details: Option<BTreeMap<String, Value>>,
    items: Option<Vec<Option<Self>>>,
}

impl Document {
    /// Approximate number of YAML values.
    fn nodes(&self) -> usize {
        let details = self.details.iter().flatten();
        let items = self.items.iter().flatten();
        3 + 2 * self.meta.iter().flatten().count()
            + details.map(|(_, value)| 1 + value_nodes(value)).sum::<usize>()
            + items.map(|item| item.as_ref().map_or(1, Self::nodes)).sum::<usize>()
    }
}

fn value_nodes(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(value_nodes).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(|value| 1 + value_nodes(value)).sum::<usize>(),
        _ => 1,
    }
}

impl From<Document> for Item {
    fn from(document: Document) -> Self {
        Self {
            name: document.name.unwrap_or_default(),
            status: document.status.unwrap_or_default(),
            meta: document
                .meta
                .unwrap_or_default()
                .into_iter()
                .map(|(key, value)| (key, value.unwrap_or_default()))
                .collect(),
            details: document.details.unwrap_or_default(),
            items: document
                .items
                .unwrap_or_default()
                .into_iter()
                .map(|item| item.unwrap_or_default().into())
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn leaf(name: &str, status: &str) -> Item {
        Item {
            name: name.to_owned(),
            status: status.to_owned(),
            ..Item::default()
        }
    }

    #[test]
    fn scalars_are_read_as_text() {
        let text = "name: 1.50\nstatus: true\nmeta:\n  a: 0644\n  b: ~\n  c: yes\nunknown: {x: 1}\nitems:\n- name: 12:30\n  status:\n- null\n";
        let expected = Item {
            name: "1.50".to_owned(),
            status: "true".to_owned(),
            meta: [("a", "0644"), ("b", ""), ("c", "yes")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            details: BTreeMap::new(),
            items: vec![leaf("12:30", ""), Item::default()],
        };
        assert_eq!(from_yaml(text), Ok(expected));
    }

    #[test]
    fn invalid_items_are_reported() {
        for (text, expected) in [
            ("", "the file contains no YAML document"),
            ("# only\n\n  # comments\n", "the file contains no YAML document"),
        ] {
            assert_eq!(
                from_yaml(text).map_err(|error| error.to_string()),
                Err(expected.to_owned())
            );
        }
        for text in [
            "name: [a]\n",
            "items:\n- meta:\n  - a: b\n",
            "- a\n",
            "text\n",
            "a: [\n",
        ] {
            assert!(matches!(from_yaml(text), Err(ItemError::Yaml(_))), "{text:?}");
        }
        assert_eq!(from_yaml("---\n"), Ok(Item::default()));
        assert_eq!(from_yaml("name: a\n---\nname: [\n"), Ok(leaf("a", "")));
    }

    #[test]
    fn keys_are_written_in_order_and_read_back() {
        let item = Item {
            name: "e2e".to_owned(),
            status: "passed".to_owned(),
            meta: BTreeMap::from([("type".to_owned(), "summary".to_owned())]),
            details: BTreeMap::from([("k".to_owned(), json!({"n": [1, "yes", null, 1.5]}))]),
            items: vec![leaf("yes", "1"), leaf("multi\nline: \"x\"\ttab", "")],
        };
        let text = to_yaml(&item);
        let keys: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with([' ', '-']))
            .filter_map(|line| line.split(':').next())
            .collect();
        assert_eq!(keys, ["name", "status", "meta", "details", "items"], "{text}");
        assert_eq!(from_yaml(&text), Ok(item));
    }
}
