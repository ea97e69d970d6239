//! Offline validation of a plugin's pod and ConfigMap against the rules of the API server.
//!
//! The rules are those of Kubernetes' `pkg/apis/core/validation` that a definition can violate. The set is not complete; the
//! API server still checks the rest.

mod container;
mod formats;
mod pod;
mod volumes;

pub(crate) use formats::is_old_variable;
use serde_json::Value;
use sono_types::constants;

use crate::{Definition, containers, pod_spec::default_pod_spec, types::path_text};

/// Maximum of an `int32`.
const MAX_INT: i64 = 2_147_483_647;
/// Maximum size of all values of a ConfigMap, in bytes.
const MAX_CONFIG_MAP_BYTES: usize = 1 << 20;

/// A value that the API server would reject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Keys and decimal list indices.
    pub path: Vec<String>,
    /// Error message that starts with the field's name.
    pub message: String,
}

/// All values of the plugin's objects that the API server would reject. A missing image is not among them, because local
/// runs do not require one.
pub fn refused_by_api_server(definition: &Definition) -> Vec<Refused> {
    let mut checker = Checker::default();
    checker.config_map(definition);
    let default = default_pod_spec(definition.driver, constants::SERVICE_ACCOUNT);
    let pod_spec = definition.pod_spec.as_ref().unwrap_or(&default);
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

/// Collects violations together with their paths.
#[derive(Debug, Default)]
struct Checker {
    path: Vec<String>,
    found: Vec<Refused>,
}

impl Checker {
    /// Records a violation at the current path.
    fn refuse(&mut self, why: &str) {
        self.found.push(Refused {
            path: self.path.clone(),
            message: format!("{}: {why}", path_text(&self.path)),
        });
    }

    /// Records a violation at `key`.
    fn refuse_at(&mut self, key: &str, why: &str) {
        self.below(key, |checker| checker.refuse(why));
    }

    fn below<T>(&mut self, key: &str, check: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(key.to_owned());
        let checked = check(self);
        self.path.pop();
        checked
    }

    /// Checks the value at `key` if it exists.
    fn within(&mut self, key: &str, value: &Value, check: impl FnOnce(&mut Self, &Value)) {
        if let Some(value) = value.get(key).filter(|value| !value.is_null()) {
            self.below(key, |checker| check(checker, value));
        }
    }

    /// Checks each entry of the list at `key`.
    fn each(&mut self, key: &str, value: &Value, mut check: impl FnMut(&mut Self, &Value)) {
        self.below(key, |checker| {
            for (index, entry) in containers::each(value, key).enumerate() {
                checker.below(&index.to_string(), |checker| check(checker, entry));
            }
        });
    }

    /// Checks the format of the text at `key`.
    fn format(&mut self, key: &str, value: &Value, check: impl FnOnce(&str) -> Result<(), String>) {
        let Some(text) = value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()) else {
            return;
        };
        if let Err(why) = check(text) {
            self.refuse_at(key, &why);
        }
    }

    /// Checks the format of all texts in the list at `key`.
    fn texts(&mut self, key: &str, value: &Value, check: fn(&str) -> Result<(), String>) {
        self.each(key, value, |checker, text| {
            if let Err(why) = text.as_str().map_or(Ok(()), check) {
                checker.refuse(&why);
            }
        });
    }

    /// Checks that the value at `key` is neither missing nor empty.
    fn required(&mut self, key: &str, value: &Value) {
        let is_set = value
            .get(key)
            .is_some_and(|value| !value.is_null() && value.as_str() != Some(""));
        if !is_set && value.is_object() {
            self.refuse(&format!("{key} is missing"));
        }
    }

    /// Checks that the text at `key` is one of `allowed`.
    fn one_of(&mut self, key: &str, value: &Value, allowed: &[&str]) {
        self.format(key, value, |text| {
            if allowed.contains(&text) {
                Ok(())
            } else {
                Err(format!("`{text}` is not one of {}", allowed.join(", ")))
            }
        });
    }

    /// Checks that the number at `key` is within a range.
    fn range(&mut self, key: &str, value: &Value, min: i64, max: i64) {
        let number = value.get(key).and_then(Value::as_i64);
        if let Some(number) = number.filter(|number| !(min..=max).contains(number)) {
            let why = if max == MAX_INT {
                format!("must be a number of at least {min}, not {number}")
            } else {
                format!("must be a number from {min} to {max}, not {number}")
            };
            self.refuse_at(key, &why);
        }
    }

    /// Checks that exactly one of these keys is set, or at most one if `may_be_none`.
    fn only_one(&mut self, value: &Value, keys: &[&str], may_be_none: bool) {
        let present: Vec<&str> = keys
            .iter()
            .copied()
            .filter(|key| value.get(*key).is_some_and(|value| !value.is_null()))
            .collect();
        match present.as_slice() {
            [] if !may_be_none => self.refuse(&format!("one of {} is missing", keys.join(", "))),
            [_, .., last] => self.refuse_at(last, &format!("only one of {} may be set", present.join(", "))),
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
                    "its values have {bytes} bytes, more than the {MAX_CONFIG_MAP_BYTES} that a ConfigMap can hold"
                ));
            }
        });
    }
}

#[cfg(test)]
mod tests;
