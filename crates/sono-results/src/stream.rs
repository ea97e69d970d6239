//! Streams the leaves of a tree from YAML or JSON, with only one of them in memory at a time.

use std::{
    collections::BTreeMap,
    fmt,
    io::{BufReader, Read},
};

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;
use sono_types::{
    Item,
    yaml::{self, YamlError},
};

use crate::{
    YamlDigest,
    measure::value_depth,
    select::{Leaf, LeafVisitor, file_of},
    tree_files::FORMAT,
};

/// Maximum nesting of items, given by the maximum nesting of YAML.
const MAX_DEPTH: usize = (yaml::MAX_DEPTH - 1) / 2;

/// Calls `visit` for every leaf of the tree in `content`, depth first, and returns the tree's root without its children.
///
/// # Errors
/// Fails unless the text is a single YAML document with name and meta of items before their children, as written by Sonobuoy
/// and this program. Some leaves may have been visited before. [`from_yaml`](crate::from_yaml) reads any other order.
pub fn stream_yaml(content: impl Read, visit: &mut LeafVisitor<'_>) -> Result<Item, YamlError> {
    let mut ancestors = Vec::new();
    yaml::stream(
        content,
        Tree {
            ancestors: &mut ancestors,
            visit,
        },
    )
}

/// Like [`stream_yaml`], for the JSON file of [`Collected::write`](crate::Collected::write). Also returns the digest of the
/// YAML file with which it was written; the JSON is valid only if the YAML file next to it has this digest.
///
/// # Errors
/// Fails if the file has another syntax or structure, or is nested deeper than YAML may be.
pub fn stream_json(
    mut content: impl Read,
    visit: &mut LeafVisitor<'_>,
) -> Result<(Item, YamlDigest), serde_json::Error> {
    let mut start = Vec::new();
    while start.len() < SLICE_BYTES {
        // A buffer that doubles would need up to twice the size of the file.
        start.reserve_exact(PART_BYTES);
        let part = content.by_ref().take(PART_BYTES as u64).read_to_end(&mut start);
        if part.map_err(serde_json::Error::io)? < PART_BYTES {
            return read_json(serde_json::Deserializer::from_slice(&start), visit);
        }
    }
    let all = start.as_slice().chain(BufReader::with_capacity(BUFFER_BYTES, content));
    read_json(serde_json::Deserializer::from_reader(all), visit)
}

fn read_json<'de>(
    mut json: serde_json::Deserializer<impl serde_json::de::Read<'de>>,
    visit: &mut LeafVisitor<'_>,
) -> Result<(Item, YamlDigest), serde_json::Error> {
    let mut ancestors = Vec::new();
    let tree = Tree {
        ancestors: &mut ancestors,
        visit,
    };
    let read = File(tree).deserialize(&mut json)?;
    json.end()?;
    Ok(read)
}

/// Maximum size of JSON that is parsed from memory, which is faster than from a stream. The Kubernetes suite has about 5 MB.
const SLICE_BYTES: usize = 8 << 20;
/// Bytes by which the buffer for such JSON grows.
const PART_BYTES: usize = 256 << 10;
/// Buffer size for streaming larger files.
const BUFFER_BYTES: usize = 64 << 10;

/// An ancestor of the current item.
struct Ancestor {
    name: String,
    file: Option<String>,
}

/// Deserializes one item with its descendants; the value is the item without children.
struct Tree<'a, 'v> {
    ancestors: &'a mut Vec<Ancestor>,
    visit: &'a mut LeafVisitor<'v>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Field {
    Name,
    Status,
    Meta,
    Details,
    Items,
    #[serde(other)]
    Other,
}

impl Tree<'_, '_> {
    fn leaf(self, item: &Item) {
        let path: Vec<&str> = self.ancestors.iter().map(|ancestor| ancestor.name.as_str()).collect();
        let file = self
            .ancestors
            .iter()
            .rev()
            .find_map(|ancestor| ancestor.file.as_deref());
        (self.visit)(Leaf {
            item,
            path: &path,
            file: file_of(item).or(file),
        });
    }
}

impl<'de> DeserializeSeed<'de> for Tree<'_, '_> {
    type Value = Item;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Item, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_, '_> {
    type Value = Item;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an item")
    }

    fn visit_none<E: Error>(self) -> Result<Item, E> {
        // An item of a list may be null, but the root may not.
        if self.ancestors.is_empty() {
            return Err(E::custom("the root item is missing"));
        }
        let item = Item::default();
        self.leaf(&item);
        Ok(item)
    }

    fn visit_unit<E: Error>(self) -> Result<Item, E> {
        self.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Item, D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item, A::Error> {
        let mut item = Item::default();
        let mut seen = [false; 5];
        let mut is_leaf = true;
        while let Some(field) = map.next_key::<Field>()? {
            if !matches!(field, Field::Other) && std::mem::replace(&mut seen[field as usize], true) {
                return Err(A::Error::custom("duplicate key"));
            }
            match field {
                Field::Name | Field::Meta if !is_leaf => {
                    return Err(A::Error::custom("an item's name or meta follows its children"));
                }
                Field::Name => item.name = map.next_value::<Option<String>>()?.unwrap_or_default(),
                Field::Status => item.status = map.next_value::<Option<String>>()?.unwrap_or_default(),
                Field::Meta => {
                    let meta: Option<BTreeMap<String, Option<String>>> = map.next_value()?;
                    let entries = meta.unwrap_or_default().into_iter();
                    item.meta = entries.map(|(key, value)| (key, value.unwrap_or_default())).collect();
                }
                Field::Details => {
                    let details: Option<BTreeMap<String, Value>> = map.next_value()?;
                    item.details = details.unwrap_or_default();
                    // The maps of the item and its details, and a list and a map for each ancestor.
                    let depth = 2 * self.ancestors.len() + 2;
                    let deepest = item.details.values().map(value_depth).max().unwrap_or(0);
                    if depth + deepest > yaml::MAX_DEPTH {
                        return Err(A::Error::custom("details are nested too deep"));
                    }
                }
                Field::Items => {
                    if self.ancestors.len() >= MAX_DEPTH {
                        return Err(A::Error::custom("items are nested too deep"));
                    }
                    self.ancestors.push(Ancestor {
                        name: item.name.clone(),
                        file: file_of(&item).map(str::to_owned),
                    });
                    let has_any = map.next_value_seed(Items(Tree {
                        ancestors: &mut *self.ancestors,
                        visit: &mut *self.visit,
                    }))?;
                    self.ancestors.pop();
                    is_leaf = !has_any;
                }
                Field::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if is_leaf {
            self.leaf(&item);
        }
        Ok(item)
    }
}

/// Deserializes a list of items; the value is whether it has any.
struct Items<'a, 'v>(Tree<'a, 'v>);

impl<'de> DeserializeSeed<'de> for Items<'_, '_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Items<'_, '_> {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of items")
    }

    fn visit_none<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        let mut any = false;
        loop {
            let tree = Tree {
                ancestors: &mut *self.0.ancestors,
                visit: &mut *self.0.visit,
            };
            if list.next_element_seed(tree)?.is_none() {
                return Ok(any);
            }
            any = true;
        }
    }
}

/// Deserializes the JSON file that contains a tree.
struct File<'a, 'v>(Tree<'a, 'v>);

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum FileField {
    Format,
    Tree,
    Yaml,
}

impl<'de> DeserializeSeed<'de> for File<'_, '_> {
    type Value = (Item, YamlDigest);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for File<'_, '_> {
    type Value = (Item, YamlDigest);

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a result tree in JSON")
    }

    /// Keys must be in the order in which they are written.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let format = match map.next_key()? {
            Some(FileField::Format) => map.next_value::<u32>()?,
            _ => return Err(A::Error::missing_field("format")),
        };
        if format != FORMAT {
            return Err(A::Error::custom(format_args!("unknown format {format}")));
        }
        let root = match map.next_key()? {
            Some(FileField::Tree) => map.next_value_seed(self.0)?,
            _ => return Err(A::Error::missing_field("tree")),
        };
        let yaml = match map.next_key()? {
            Some(FileField::Yaml) => map.next_value::<YamlDigest>()?,
            _ => return Err(A::Error::missing_field("yaml")),
        };
        match map.next_key::<FileField>()? {
            None => Ok((root, yaml)),
            Some(_) => Err(A::Error::custom("duplicate key")),
        }
    }
}

#[cfg(test)]
mod tests;
