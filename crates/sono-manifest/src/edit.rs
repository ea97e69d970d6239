//! Small edits of Kubernetes objects as values.

use serde_json::{Value, json};

/// The list under `key`, made where there is none.
pub(crate) fn list<'a>(object: &'a mut Value, key: &str) -> &'a mut Vec<Value> {
    if !object.is_object() {
        *object = json!({});
    }
    let slot = &mut object[key];
    if !slot.is_array() {
        *slot = json!([]);
    }
    slot.as_array_mut().expect("made an array above")
}

/// The entries of a list, none where there is no list.
pub(crate) fn entries<'a>(object: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    object.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// The text under `key`, empty where there is none.
pub(crate) fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Sets a variable of a container: in its place where it is there, else at the end. The order is the author's, because
/// `$(NAME)` refers to variables that come before (sorting, as Sonobuoy does, breaks that: W-33).
pub(crate) fn set_env(container: &mut Value, name: &str, variable: Value) {
    let variables = list(container, "env");
    match variables.iter_mut().find(|other| text(other, "name") == name) {
        Some(other) => *other = variable,
        None => variables.push(variable),
    }
}

/// A variable with a value.
pub(crate) fn variable(name: &str, value: &str) -> Value {
    json!({ "name": name, "value": value })
}

/// Mounts the volume `name` at `path`: the first mount of that name is moved there, otherwise one is added.
pub(crate) fn mount(container: &mut Value, name: &str, path: &str) {
    let mounts = list(container, "volumeMounts");
    match mounts.iter_mut().find(|mount| text(mount, "name") == name) {
        Some(mount) => mount["mountPath"] = path.into(),
        None => mounts.push(json!({ "name": name, "mountPath": path })),
    }
}
