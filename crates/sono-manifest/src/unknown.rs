//! Fields of containers, volumes and podSpecs that Kubernetes' own types do not have. The types are read through a
//! deserializer that looks at each mapping on the way.

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

/// A field that is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnknownField {
    /// Keys, and indices as decimal numbers.
    pub(crate) path: Vec<String>,
    /// The type it stands in.
    pub(crate) of: &'static str,
    /// The fields that are known there.
    pub(crate) known: &'static [&'static str],
}

/// Finds all fields in `value` that a `T`, or what it consists of, does not have. Looking ends at a value of the wrong
/// type, which is another problem.
pub(crate) fn unknown_fields<T: DeserializeOwned>(value: &Value) -> Vec<UnknownField> {
    let found = RefCell::default();
    let looker = Looker {
        value,
        path: Vec::new(),
        found: &found,
    };
    // Only what was seen on the way matters.
    T::deserialize(looker).ok();
    found.into_inner()
}

#[derive(Clone)]
struct Looker<'a> {
    value: &'a Value,
    path: Vec<String>,
    found: &'a RefCell<Vec<UnknownField>>,
}

impl<'a> Looker<'a> {
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

impl<'de> IntoDeserializer<'de, serde_json::Error> for Looker<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Looker<'de> {
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

    /// What belongs to an unknown field.
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
    fn fields_are_found_in_any_depth_and_maps_have_any_key() {
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
