//! Progress updates as plugins post them.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{MAX_NAME_BYTES, MAX_NAMES, ProgressUpdate};

/// An update as posted by a plugin. Unknown keys are skipped without buffering their values, and lists and texts are cut while they
/// are parsed: `["","",…]` would use ten times the memory of its text.
#[derive(Default)]
pub(super) struct Posted {
    pub(super) update: ProgressUpdate,
    /// Number of names beyond the limit in `failures` and in `appendfailing`.
    pub(super) more_failures: i64,
    pub(super) more_failing: i64,
}

impl<'de> Deserialize<'de> for Posted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Posted;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a progress update")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Posted, A::Error> {
                let mut posted = Posted::default();
                let update = &mut posted.update;
                while let Some(Text(name)) = map.next_key::<Text>()? {
                    match name.to_ascii_lowercase().as_str() {
                        "msg" => set(&mut update.msg, map.next_value::<Option<Text>>()?.map(|text| text.0)),
                        "total" => set(&mut update.total, map.next_value()?),
                        "completed" => set(&mut update.completed, map.next_value()?),
                        "errors" => set(
                            &mut update.errors,
                            map.next_value::<Option<Names>>()?.map(|names| names.kept),
                        ),
                        "failures" => {
                            if let Some(names) = map.next_value::<Option<Names>>()? {
                                (update.failures, posted.more_failures) = (names.kept, names.beyond);
                            }
                        }
                        "appendtotals" => set(&mut update.append_totals, map.next_value()?),
                        "appendcompleted" => set(&mut update.append_completed, map.next_value()?),
                        "appendfailing" => {
                            if let Some(names) = map.next_value::<Option<Names>>()? {
                                (update.append_failing, posted.more_failing) = (names.kept, names.beyond);
                            }
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(posted)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// The first [`MAX_NAME_BYTES`] bytes of a text.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Cut;
        impl Visitor<'_> for Cut {
            type Value = Text;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(
                    text.split_at(text.floor_char_boundary(MAX_NAME_BYTES)).0.to_owned(),
                ))
            }
        }
        deserializer.deserialize_str(Cut)
    }
}

/// A text that is checked and discarded.
struct Discarded;

impl<'de> Deserialize<'de> for Discarded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Check;
        impl Visitor<'_> for Check {
            type Value = Discarded;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }

            fn visit_str<E: Error>(self, _: &str) -> Result<Discarded, E> {
                Ok(Discarded)
            }
        }
        deserializer.deserialize_str(Check)
    }
}

/// The first [`MAX_NAMES`] texts of a list, and the number of the others.
#[derive(Default)]
struct Names {
    kept: Vec<String>,
    beyond: i64,
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct First;
        impl<'de> Visitor<'de> for First {
            type Value = Names;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of strings")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Names, A::Error> {
                let mut names = Names::default();
                while names.kept.len() < MAX_NAMES {
                    match list.next_element::<Text>()? {
                        Some(Text(name)) => names.kept.push(name),
                        None => return Ok(names),
                    }
                }
                while list.next_element::<Discarded>()?.is_some() {
                    names.beyond = names.beyond.saturating_add(1);
                }
                Ok(names)
            }
        }
        deserializer.deserialize_seq(First)
    }
}

/// Sets the field unless the value is null.
fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}
