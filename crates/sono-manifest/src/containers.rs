//! Reading and changing containers and pods that users wrote, without knowing all of their fields.

use serde_json::{Value, json};
use sono_types::constants;

/// The list at `key`, made when there is none. `None` when `value` is no object or holds something else at `key`.
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

/// The entries of the list at `key`, to be changed.
pub(crate) fn each_mut<'a>(value: &'a mut Value, key: &str) -> impl Iterator<Item = &'a mut Value> + use<'a> {
    value.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten()
}

/// What an entry of a list (a container, variable, volume, mount) is called.
pub(crate) fn name(entry: &Value) -> &str {
    entry.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// Whether the container mounts that volume.
pub(crate) fn mounts(container: &Value, volume: &str) -> bool {
    each(container, "volumeMounts").any(|mount| name(mount) == volume)
}

/// Mounts the results volume at `directory`: the mount that is there is pointed at it, or one is added.
pub(crate) fn mount_results(container: &mut Value, directory: &str) {
    let Some(mounts) = list_mut(container, "volumeMounts") else {
        return;
    };
    match mounts.iter_mut().find(|mount| name(mount) == constants::RESULTS_VOLUME) {
        Some(mount) => mount["mountPath"] = json!(directory),
        None => mounts.push(json!({ "name": constants::RESULTS_VOLUME, "mountPath": directory })),
    }
}

/// Mounts the results volume, where the container has it, where plugins of old look for it too, unless something is
/// mounted there.
pub(crate) fn mount_legacy_results(container: &mut Value) {
    let path = |mount: &Value| mount.get("mountPath").and_then(Value::as_str).map(str::to_owned);
    let is_there = each(container, "volumeMounts")
        .filter_map(path)
        .any(|path| path.trim_end_matches('/') == constants::LEGACY_RESULTS_DIR);
    if mounts(container, constants::RESULTS_VOLUME)
        && !is_there
        && let Some(mounts) = list_mut(container, "volumeMounts")
    {
        mounts.push(json!({ "name": constants::RESULTS_VOLUME, "mountPath": constants::LEGACY_RESULTS_DIR }));
    }
}

/// Sets variables, which stand in front: Kubernetes replaces `$(NAME)` only by variables that come before, so the
/// user's own may refer to these. Their order stays otherwise. An empty value removes the variable.
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
    fn set_variables_stand_in_front_and_the_rest_keeps_its_order() {
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
    fn the_results_mount_is_moved_or_made() {
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
    fn plugins_of_old_find_the_results_directory() {
        let mounted = |mounts: Value| {
            let mut container = json!({ "volumeMounts": mounts });
            mount_legacy_results(&mut container);
            let again = container.clone();
            mount_legacy_results(&mut container);
            assert_eq!(container, again, "twice is no more than once");
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
