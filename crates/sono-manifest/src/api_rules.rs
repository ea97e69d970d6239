//! What the API server refuses in a plugin's pod and ConfigMap, found without a cluster. The rules are those of Kubernetes'
//! own validation (`pkg/apis/core/validation`) that a definition can break; what is not known here is left to the server.

mod container;
mod formats;
mod pod;
mod volumes;

pub(crate) use formats::is_old_variable;
use serde_json::Value;
use sono_types::constants;

use crate::{Definition, containers, pod_spec::default_pod_spec, types::path_text};

/// The largest `int32`.
const MAX_INT: i64 = 2_147_483_647;
/// Bytes of all values of a ConfigMap.
const MAX_CONFIG_MAP_BYTES: usize = 1 << 20;

/// A value that the API server refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Keys, and indices as decimal numbers.
    pub path: Vec<String>,
    /// What is wrong, behind the field's name.
    pub message: String,
}

/// Everything in the plugin's objects that the API server refuses. An image is required in a cluster alone, so its absence
/// is left to others.
pub fn refused_by_api_server(definition: &Definition) -> Vec<Refused> {
    let mut checker = Checker::default();
    checker.config_map(definition);
    let usual = default_pod_spec(definition.driver, constants::SERVICE_ACCOUNT);
    let pod_spec = definition.pod_spec.as_ref().unwrap_or(&usual);
    let volumes = checker.volumes(definition, pod_spec);
    let pod = container::Pod {
        volumes: &volumes,
        on_host_network: pod_spec.get("hostNetwork").and_then(Value::as_bool) == Some(true),
    };
    checker.below("spec", |checker| checker.container(&definition.spec, &pod, false));
    if let Some(pod_spec) = &definition.pod_spec {
        checker.below("podSpec", |checker| {
            for (key, is_init) in [("containers", false), ("initContainers", true)] {
                checker.each(key, pod_spec, |checker, container| {
                    checker.container(container, &pod, is_init);
                });
            }
            checker.pod(pod_spec, definition.driver);
        });
    }
    checker.found
}

/// Collects what is wrong, and knows where it is.
#[derive(Debug, Default)]
struct Checker {
    path: Vec<String>,
    found: Vec<Refused>,
}

impl Checker {
    /// The value at the present place is refused.
    fn refuse(&mut self, why: &str) {
        self.found.push(Refused {
            path: self.path.clone(),
            message: format!("{}: {why}", path_text(&self.path)),
        });
    }

    /// The value at `key` is refused.
    fn refuse_at(&mut self, key: &str, why: &str) {
        self.below(key, |checker| checker.refuse(why));
    }

    fn below<T>(&mut self, key: &str, check: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(key.to_owned());
        let checked = check(self);
        self.path.pop();
        checked
    }

    /// Looks at the value at `key`, where there is one.
    fn within(&mut self, key: &str, value: &Value, check: impl FnOnce(&mut Self, &Value)) {
        if let Some(value) = value.get(key).filter(|value| !value.is_null()) {
            self.below(key, |checker| check(checker, value));
        }
    }

    /// Looks at each entry of the list at `key`.
    fn each(&mut self, key: &str, value: &Value, mut check: impl FnMut(&mut Self, &Value)) {
        self.below(key, |checker| {
            for (index, entry) in containers::each(value, key).enumerate() {
                checker.below(&index.to_string(), |checker| check(checker, entry));
            }
        });
    }

    /// A text at `key` that has to be of a form.
    fn format(&mut self, key: &str, value: &Value, check: impl FnOnce(&str) -> Result<(), String>) {
        let Some(text) = value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()) else {
            return;
        };
        if let Err(why) = check(text) {
            self.refuse_at(key, &why);
        }
    }

    /// Texts in the list at `key` that have to be of a form.
    fn texts(&mut self, key: &str, value: &Value, check: fn(&str) -> Result<(), String>) {
        self.each(key, value, |checker, text| {
            if let Err(why) = text.as_str().map_or(Ok(()), check) {
                checker.refuse(&why);
            }
        });
    }

    /// A text at `key` that must not be missing or empty.
    fn required(&mut self, key: &str, value: &Value) {
        let is_there = value
            .get(key)
            .is_some_and(|value| !value.is_null() && value.as_str() != Some(""));
        if !is_there && value.is_object() {
            self.refuse(&format!("{key} is missing"));
        }
    }

    /// A text at `key` that has to be one of `allowed`.
    fn one_of(&mut self, key: &str, value: &Value, allowed: &[&str]) {
        self.format(key, value, |text| {
            if allowed.contains(&text) {
                Ok(())
            } else {
                Err(format!("`{text}` is not one of {}", allowed.join(", ")))
            }
        });
    }

    /// A number at `key` that has to lie within a range.
    fn range(&mut self, key: &str, value: &Value, least: i64, most: i64) {
        let number = value.get(key).and_then(Value::as_i64);
        if let Some(number) = number.filter(|number| !(least..=most).contains(number)) {
            let why = if most == MAX_INT {
                format!("{number} is not a number from {least} on")
            } else {
                format!("{number} is not a number from {least} to {most}")
            };
            self.refuse_at(key, &why);
        }
    }

    /// Exactly one of these keys; none is allowed where another one stands for it.
    fn only_one(&mut self, value: &Value, keys: &[&str], may_be_none: bool) {
        let there: Vec<&str> = keys
            .iter()
            .copied()
            .filter(|key| value.get(*key).is_some_and(|value| !value.is_null()))
            .collect();
        match there.as_slice() {
            [] if !may_be_none => self.refuse(&format!("one of {} is missing", keys.join(", "))),
            [_, .., last] => self.refuse_at(last, &format!("only one of {} may be set", there.join(", "))),
            _ => {}
        }
    }

    fn config_map(&mut self, definition: &Definition) {
        self.below("config-map", |checker| {
            for key in definition.config_map.keys() {
                if let Err(why) = formats::config_map_key(key) {
                    checker.refuse_at(key, &why);
                }
            }
            let bytes: usize = definition.config_map.values().map(String::len).sum();
            if bytes > MAX_CONFIG_MAP_BYTES {
                checker.refuse(&format!(
                    "its values are {bytes} bytes long, and a ConfigMap holds at most {MAX_CONFIG_MAP_BYTES}"
                ));
            }
        });
    }
}

#[cfg(test)]
mod tests;
