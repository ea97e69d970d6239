//! Finds fields of containers, volumes and podSpecs that the Kubernetes types do not have.
//!
//! The types are parsed with a deserializer that compares the keys of each mapping with the fields of its type.

use std::cell::RefCell;

use serde::{
    Deserializer,
    de::{
        DeserializeOwned, IntoDeserializer, Visitor,
        value::{MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::Value;

/// An unknown field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnknownField {
    /// Keys and decimal list indices.
    pub(crate) path: Vec<String>,
    /// The type of the enclosing object.
    pub(crate) of: &'static str,
    /// The fields of that type.
    pub(crate) known: &'static [&'static str],
}

/// All fields in `value` that `T` or its nested types do not have. Stops at the first value of a wrong type, which is
/// reported elsewhere.
pub(crate) fn unknown_fields<T: DeserializeOwned>(value: &Value) -> Vec<UnknownField> {
    let found = RefCell::default();
    let collector = FieldCollector {
        value,
        path: Vec::new(),
        found: &found,
    };
    // Only the collected fields are used.
    T::deserialize(collector).ok();
    found.into_inner()
}

#[derive(Clone)]
struct FieldCollector<'a> {
    value: &'a Value,
    path: Vec<String>,
    found: &'a RefCell<Vec<UnknownField>>,
}

impl<'a> FieldCollector<'a> {
    fn below(&self, part: String, value: &'a Value) -> Self {
        let mut path = self.path.clone();
        path.push(part);
        Self {
            value,
            path,
            found: self.found,
        }
    }
}

impl<'de> IntoDeserializer<'de, serde_json::Error> for FieldCollector<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for FieldCollector<'de> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.value {
            Value::Array(list) => {
                let entries = list.iter().enumerate();
                let entries = entries.map(|(index, value)| self.below(index.to_string(), value));
                visitor.visit_seq(SeqDeserializer::new(entries))
            }
            Value::Object(fields) => {
                let entries = fields.iter();
                let entries = entries.map(|(key, value)| (key.as_str(), self.below(key.clone(), value)));
                visitor.visit_map(MapDeserializer::new(entries))
            }
            scalar => scalar.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        if self.value.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        let keys = self.value.as_object().into_iter().flatten().map(|(key, _)| key);
        for key in keys.filter(|key| !fields.contains(&key.as_str())) {
            let mut path = self.path.clone();
            path.push(key.clone());
            self.found.borrow_mut().push(UnknownField {
                path,
                of: name,
                known: fields,
            });
        }
        self.deserialize_any(visitor)
    }

    /// Skips the value of an unknown field.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map enum identifier
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::PodSpec;
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_fields_are_found_at_any_depth_and_maps_allow_any_key() {
        let pod = json!({
            "containers": [{
                "name": "c",
                "comand": ["a"],
                "env": [{ "name": "A", "vaule": { "deep": 1 } }],
                "resources": { "limits": { "cpu": 1, "example.org/any": "2" } },
                "livenessProbe": { "httpGet": { "port": 80, "pathh": "/" } },
            }],
            "nodeSelector": { "any/label": "x" },
            "volumes": [{ "name": "v", "emptydir": {} }],
        });
        let found: Vec<(String, &str)> = unknown_fields::<PodSpec>(&pod)
            .into_iter()
            .map(|unknown| (unknown.path.join("."), unknown.of))
            .collect();
        let found: Vec<(&str, &str)> = found.iter().map(|(path, of)| (path.as_str(), *of)).collect();
        assert_eq!(
            found,
            [
                ("containers.0.comand", "Container"),
                ("containers.0.env.0.vaule", "EnvVar"),
                ("containers.0.livenessProbe.httpGet.pathh", "HTTPGetAction"),
                ("volumes.0.emptydir", "Volume"),
            ]
        );
    }
}
