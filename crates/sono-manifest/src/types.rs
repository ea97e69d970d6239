//! Type errors in containers, volumes and podSpecs.
//!
//! They are parsed as Kubernetes types only to find values that the API server would reject. The objects of a run contain
//! the values as the user wrote them.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

/// A value of the wrong type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WrongType {
    /// Keys and decimal list indices.
    pub(crate) path: Vec<String>,
    expected: String,
    found: Value,
}

impl WrongType {
    /// The error message, with `field` as the name of the value.
    pub(crate) fn message(&self, field: &str) -> String {
        must_be(field, &self.expected, &self.found)
    }
}

/// All values in `value` of the wrong type for a `T`.
pub(crate) fn wrong_types<T: DeserializeOwned>(value: &Value) -> Vec<WrongType> {
    let mut rest = value.clone();
    let mut found = Vec::new();
    // Terminates: each iteration removes a value.
    while let Err(error) = serde_path_to_error::deserialize::<_, T>(&rest) {
        let path: Vec<String> = error
            .path()
            .iter()
            .map_while(|segment| match segment {
                Segment::Seq { index } => Some(index.to_string()),
                Segment::Map { key } => Some(key.clone()),
                Segment::Enum { .. } | Segment::Unknown => None,
            })
            .collect();
        let wrong = at(&rest, &path).cloned().unwrap_or(Value::Null);
        let error = error.into_inner().to_string();
        let expected = error
            .rsplit_once("expected ")
            .map_or(error.as_str(), |(_, expected)| expected);
        found.push(WrongType {
            path: path.clone(),
            expected: kind(expected),
            found: wrong,
        });
        if !remove(&mut rest, &path) {
            break;
        }
    }
    found
}

/// `a.b[2].c`.
pub(crate) fn path_text(path: &[String]) -> String {
    let mut text = String::new();
    for part in path {
        let is_index = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if is_index && !text.is_empty() {
            text.push('[');
            text.push_str(part);
            text.push(']');
        } else {
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(part);
        }
    }
    text
}

/// Error message for a value of the wrong type.
pub(crate) fn must_be(field: &str, expected: &str, found: &Value) -> String {
    let scalar = found.is_number() || found.is_boolean();
    let hint = if expected == "text" && scalar {
        "; write it in quotes"
    } else {
        ""
    };
    format!("{field} must be {expected}, not {}{hint}", describe(found))
}

fn describe(value: &Value) -> String {
    match value {
        Value::Null => "empty".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the text {text:?}"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}

/// YAML name of a type that serde expected.
fn kind(expected: &str) -> String {
    match expected {
        "a string" => "text".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "i32" | "i64" => "a whole number".to_owned(),
        "f64" => "a number".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a mapping".to_owned(),
        "IntOrString" => "a whole number or text".to_owned(),
        other => format!("a mapping ({other})"),
    }
}

fn at<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, part| match value {
        Value::Array(list) => list.get(part.parse::<usize>().ok()?),
        _ => value.get(part),
    })
}

/// Removes the value at `path`, or the whole list if it is a list entry.
fn remove(value: &mut Value, path: &[String]) -> bool {
    let Some((last, above)) = path.split_last() else {
        return false;
    };
    let mut parent = &mut *value;
    for part in above {
        let next = match parent {
            Value::Array(list) => part.parse::<usize>().ok().and_then(|index| list.get_mut(index)),
            other => other.get_mut(part),
        };
        match next {
            Some(next) => parent = next,
            None => return false,
        }
    }
    match parent {
        Value::Object(fields) => fields.remove(last).is_some(),
        _ => remove(value, above),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{Container, PodSpec};
    use serde_json::json;

    use super::*;

    fn messages<T: DeserializeOwned>(value: &Value) -> Vec<String> {
        wrong_types::<T>(value)
            .into_iter()
            .map(|wrong| wrong.message(&path_text(&wrong.path)))
            .collect()
    }

    #[test]
    fn every_wrong_type_is_found_and_named() {
        let container = json!({
            "name": "c",
            "env": [{ "name": "A", "value": 5 }, { "name": "B", "value": true }],
            "command": ["a", 1],
            "image": ["x"],
            "stdin": "yes",
            "resources": "none",
            "ports": { "containerPort": 1 },
        });
        let mut found = messages::<Container>(&container);
        found.sort();
        assert_eq!(
            found,
            [
                "command[1] must be text, not the number 1; write it in quotes",
                "env[0].value must be text, not the number 5; write it in quotes",
                "env[1].value must be text, not true; write it in quotes",
                "image must be text, not a list",
                "ports must be a list, not a mapping",
                "resources must be a mapping (ResourceRequirements), not the text \"none\"",
                "stdin must be true or false, not the text \"yes\"",
            ]
        );
    }

    #[test]
    fn values_that_kubernetes_accepts_are_valid() {
        let pod = json!({
            "containers": null,
            "unheardOf": { "deep": [1] },
            "terminationGracePeriodSeconds": 5,
            "volumes": [{ "name": "v", "configMap": { "defaultMode": 420 } }],
            "initContainers": [{
                "name": "i",
                "resources": { "limits": { "cpu": 1, "memory": "1Gi" } },
                "livenessProbe": { "httpGet": { "port": "http" }, "tcpSocket": { "port": 80 } },
            }],
        });
        assert_eq!(messages::<PodSpec>(&pod), Vec::<String>::new());
    }

    #[test]
    fn a_root_of_the_wrong_type_is_one_problem() {
        assert_eq!(
            messages::<Container>(&json!(["a"])),
            [" must be a mapping (Container), not a list"]
        );
    }
}
