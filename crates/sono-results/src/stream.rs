//! The leaves of a tree one by one, as its text arrives: memory for one of them, not for all. The same for YAML and JSON.

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

/// How deep items may stand in each other: a tree of YAML that nests as deep as the YAML reader allows.
const MAX_DEPTH: usize = (yaml::MAX_DEPTH - 1) / 2;

/// Calls `visit` for every leaf of the tree in `content`, depth first, and returns the tree's root without what is below
/// it.
///
/// # Errors
/// Where the text is not the YAML of one tree whose items have their names and meta before what is below them, as Sonobuoy and
/// this program write it. Leaves may have been visited by then; [`from_yaml`](crate::from_yaml) reads any other text, or says
/// what is wrong with it.
pub fn stream_yaml(content: impl Read, visit: &mut LeafVisitor<'_>) -> Result<Item, YamlError> {
    let mut above = Vec::new();
    yaml::stream(
        content,
        Tree {
            above: &mut above,
            visit,
        },
    )
}

/// As [`stream_yaml`], of the JSON file that [`Collected::write`](crate::Collected::write) writes; and which YAML it was written
/// with. What it says holds only where that is the YAML next to it.
///
/// # Errors
/// Where it is anything else than that, in syntax or in shape, or deeper than YAML may be.
pub fn stream_json(
    mut content: impl Read,
    visit: &mut LeafVisitor<'_>,
) -> Result<(Item, YamlDigest), serde_json::Error> {
    let mut start = Vec::new();
    let read = content.by_ref().take(SLICE_BYTES).read_to_end(&mut start);
    if (read.map_err(serde_json::Error::io)? as u64) < SLICE_BYTES {
        return read_json(serde_json::Deserializer::from_slice(&start), visit);
    }
    let all = start.as_slice().chain(BufReader::with_capacity(PIECE, content));
    read_json(serde_json::Deserializer::from_reader(all), visit)
}

fn read_json<'de>(
    mut json: serde_json::Deserializer<impl serde_json::de::Read<'de>>,
    visit: &mut LeafVisitor<'_>,
) -> Result<(Item, YamlDigest), serde_json::Error> {
    let mut above = Vec::new();
    let tree = Tree {
        above: &mut above,
        visit,
    };
    let read = File(tree).deserialize(&mut json)?;
    json.end()?;
    Ok(read)
}

/// Bytes of JSON that are held in memory, because a slice is read with less work than a stream: the suite of Kubernetes has
/// some 5 MB.
const SLICE_BYTES: u64 = 8 << 20;
/// Bytes that are read at once of a larger one.
const PIECE: usize = 64 << 10;

/// An item around the one that is read.
struct Above {
    name: String,
    file: Option<String>,
}

/// Reads one item with everything below it: its value is the item alone.
struct Tree<'a, 'v> {
    above: &'a mut Vec<Above>,
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
        let path: Vec<&str> = self.above.iter().map(|above| above.name.as_str()).collect();
        let file = self.above.iter().rev().find_map(|above| above.file.as_deref());
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
        // An item of a list may be null; a text without any is not a tree.
        if self.above.is_empty() {
            return Err(E::custom("there is no item"));
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
                return Err(A::Error::custom("a key is repeated"));
            }
            match field {
                Field::Name | Field::Meta if !is_leaf => {
                    return Err(A::Error::custom("an item's name or meta follows what is below it"));
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
                    // The map of the item, that of its details, and a list and a map for each item around it.
                    let around = 2 * self.above.len() + 2;
                    let deepest = item.details.values().map(value_depth).max().unwrap_or(0);
                    if around + deepest > yaml::MAX_DEPTH {
                        return Err(A::Error::custom("details are nested too deep"));
                    }
                }
                Field::Items => {
                    if self.above.len() >= MAX_DEPTH {
                        return Err(A::Error::custom("items are nested too deep"));
                    }
                    self.above.push(Above {
                        name: item.name.clone(),
                        file: file_of(&item).map(str::to_owned),
                    });
                    let has_any = map.next_value_seed(Items(Tree {
                        above: &mut *self.above,
                        visit: &mut *self.visit,
                    }))?;
                    self.above.pop();
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

/// Reads a list of items: its value is whether there is any.
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
                above: &mut *self.0.above,
                visit: &mut *self.0.visit,
            };
            if list.next_element_seed(tree)?.is_none() {
                return Ok(any);
            }
            any = true;
        }
    }
}

/// The JSON file around a tree.
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
        formatter.write_str("a tree of results in JSON")
    }

    /// The keys stand in the order in which they are written.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let format = match map.next_key()? {
            Some(FileField::Format) => map.next_value::<u32>()?,
            _ => return Err(A::Error::missing_field("format")),
        };
        if format != FORMAT {
            return Err(A::Error::custom(format_args!("format {format} is not known")));
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
            Some(_) => Err(A::Error::custom("a key is repeated")),
        }
    }
}

#[cfg(test)]
mod tests;
