//! One event of `go test -json`.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// An event; empty texts for missing fields.
#[derive(Default)]
pub(super) struct Event {
    pub(super) action: String,
    pub(super) package: String,
    pub(super) test: String,
    pub(super) output: String,
    pub(super) import_path: String,
    pub(super) failed_build: String,
}

/// Parses an event. Keys are case-insensitive, as in Go. An object without a known action is output of the tests, and is
/// parsed as an event without action. Values of other keys are skipped.
impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Event;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an event")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Event, A::Error> {
                let mut event = Event::default();
                let mut is_event = false;
                let mut damaged = None;
                while let Some(name) = map.next_key::<String>()? {
                    let lower_case = name.to_ascii_lowercase();
                    let field = match lower_case.as_str() {
                        "action" => &mut event.action,
                        "package" => &mut event.package,
                        "test" => &mut event.test,
                        "output" => &mut event.output,
                        "importpath" => &mut event.import_path,
                        "failedbuild" => &mut event.failed_build,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    let value: FieldValue = map.next_value()?;
                    if lower_case == "action" {
                        // An action of another type is an invalid event.
                        is_event = match &value {
                            FieldValue::Null => false,
                            FieldValue::Text(action) => ACTIONS.contains(&action.as_str()),
                            FieldValue::Other(_) => true,
                        };
                    }
                    match value {
                        FieldValue::Null => {}
                        FieldValue::Text(text) => *field = text,
                        FieldValue::Other(value) => {
                            damaged.get_or_insert_with(|| format!("field {name:?} is not text: {value}"));
                        }
                    }
                }
                match damaged {
                    _ if !is_event => Ok(Event::default()),
                    Some(message) => Err(A::Error::custom(message)),
                    None => Ok(event),
                }
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// Value of a field that should be text.
enum FieldValue {
    Null,
    Text(String),
    /// Description of another value.
    Other(String),
}

impl<'de> Deserialize<'de> for FieldValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = FieldValue;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("any value")
            }

            fn visit_unit<E>(self) -> Result<FieldValue, E> {
                Ok(FieldValue::Null)
            }

            fn visit_str<E>(self, text: &str) -> Result<FieldValue, E> {
                Ok(FieldValue::Text(text.to_owned()))
            }

            fn visit_bool<E>(self, value: bool) -> Result<FieldValue, E> {
                Ok(FieldValue::Other(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<FieldValue, E> {
                Ok(FieldValue::Other(value.to_string()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<FieldValue, E> {
                Ok(FieldValue::Other(value.to_string()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<FieldValue, E> {
                Ok(FieldValue::Other(value.to_string()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<FieldValue, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(FieldValue::Other("a list".to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FieldValue, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(FieldValue::Other("an object".to_owned()))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

const ACTIONS: &[&str] = &[
    "start",
    "run",
    "pause",
    "cont",
    "bench",
    "output",
    "pass",
    "fail",
    "skip",
    "attr",
    "artifacts",
    "build-output",
    "build-fail",
];
