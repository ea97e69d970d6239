//! Reads and changes containers and pods of users, including those with unknown fields.

use serde_json::{Value, json};
use sono_types::constants;

/// The list at `key`, created if missing. `None` if `value` is not an object or has another type at `key`.
pub(crate) fn list_mut<'a>(value: &'a mut Value, key: &str) -> Option<&'a mut Vec<Value>> {
    let list = value.as_object_mut()?.entry(key).or_insert_with(|| json!([]));
    if list.is_null() {
        *list = json!([]);
    }
    list.as_array_mut()
}

/// The entries of the list at `key`.
pub(crate) fn each<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// The mutable entries of the list at `key`.
pub(crate) fn each_mut<'a>(value: &'a mut Value, key: &str) -> impl Iterator<Item = &'a mut Value> + use<'a> {
    value.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten()
}

/// Name of a list entry (a container, variable, volume or mount).
pub(crate) fn name(entry: &Value) -> &str {
    entry.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// Whether the container mounts this volume.
pub(crate) fn mounts(container: &Value, volume: &str) -> bool {
    each(container, "volumeMounts").any(|mount| name(mount) == volume)
}

/// Mounts the results volume at `directory`, by changing the existing mount or adding one.
pub(crate) fn mount_results(container: &mut Value, directory: &str) {
    let Some(mounts) = list_mut(container, "volumeMounts") else {
        return;
    };
    match mounts.iter_mut().find(|mount| name(mount) == constants::RESULTS_VOLUME) {
        Some(mount) => mount["mountPath"] = json!(directory),
        None => mounts.push(json!({ "name": constants::RESULTS_VOLUME, "mountPath": directory })),
    }
}

/// Mounts the results volume of the container also at the directory that old plugins use, unless that is mounted already.
pub(crate) fn mount_legacy_results(container: &mut Value) {
    let path = |mount: &Value| mount.get("mountPath").and_then(Value::as_str).map(str::to_owned);
    let is_mounted = each(container, "volumeMounts")
        .filter_map(path)
        .any(|path| path.trim_end_matches('/') == constants::LEGACY_RESULTS_DIR);
    if mounts(container, constants::RESULTS_VOLUME)
        && !is_mounted
        && let Some(mounts) = list_mut(container, "volumeMounts")
    {
        mounts.push(json!({ "name": constants::RESULTS_VOLUME, "mountPath": constants::LEGACY_RESULTS_DIR }));
    }
}

/// Sets variables and moves them to the front. An empty value removes the variable.
///
/// The user's variables may refer to them, as Kubernetes replaces `$(NAME)` only by earlier variables. The order of the
/// others does not change.
pub(crate) fn set_variables(container: &mut Value, variables: &[(&str, &str)]) {
    let Some(list) = list_mut(container, "env") else { return };
    list.retain(|variable| !variables.iter().any(|(name_set, _)| name(variable) == *name_set));
    let set = variables
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| json!({ "name": name, "value": value }));
    list.splice(0..0, set);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_variables_are_first_and_the_order_of_others_is_preserved() {
        let mut container = json!({ "env": [
            { "name": "Z", "value": "$(DIR)" }, { "name": "DIR", "value": "old" }, { "name": "GONE", "value": "x" },
            { "name": "A", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } },
        ] });
        set_variables(&mut container, &[("DIR", "/new"), ("GONE", "")]);
        assert_eq!(
            container,
            json!({ "env": [
                { "name": "DIR", "value": "/new" }, { "name": "Z", "value": "$(DIR)" },
                { "name": "A", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } },
            ] })
        );
    }

    #[test]
    fn results_mount_is_changed_or_added() {
        let mut container = json!({ "volumeMounts": [
            { "name": "a", "mountPath": "/a" }, { "name": "results", "mountPath": "/tmp/results", "subPath": "s" },
        ] });
        mount_results(&mut container, "/r");
        assert_eq!(
            container,
            json!({ "volumeMounts": [
                { "name": "a", "mountPath": "/a" }, { "name": "results", "mountPath": "/r", "subPath": "s" },
            ] })
        );
        let mut container = json!({ "volumeMounts": null });
        mount_results(&mut container, "/r");
        assert_eq!(
            container,
            json!({ "volumeMounts": [{ "name": "results", "mountPath": "/r" }] })
        );
    }

    #[test]
    fn legacy_results_directory_is_mounted() {
        let mounted = |mounts: Value| {
            let mut container = json!({ "volumeMounts": mounts });
            mount_legacy_results(&mut container);
            let again = container.clone();
            mount_legacy_results(&mut container);
            assert_eq!(container, again, "mounting is idempotent");
            let paths = each(&container, "volumeMounts").map(|mount| mount["mountPath"].as_str().unwrap().to_owned());
            paths.collect::<Vec<_>>().join(" ")
        };
        let results = json!({ "name": "results", "mountPath": "/r" });
        assert_eq!(mounted(json!([results])), "/r /tmp/results");
        assert_eq!(
            mounted(json!([{ "name": "results", "mountPath": "/tmp/results/" }])),
            "/tmp/results/"
        );
        assert_eq!(
            mounted(json!([results, { "name": "own", "mountPath": "/tmp/results" }])),
            "/r /tmp/results"
        );
        assert_eq!(mounted(json!([{ "name": "other", "mountPath": "/o" }])), "/o");
    }
}
