//! JSON Schema of plugin definitions, for editors and other programs.
//!
//! Containers, volumes and podSpecs allow any fields, because Kubernetes may add new ones.

use serde_json::{Value, json};

use crate::{DriverKind, PluginAccount, ResultRedaction, lint::RESULT_FORMATS};

/// The schema (JSON Schema, draft 2020-12).
pub fn schema() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let any_case: Vec<String> = DriverKind::NAMES.iter().map(|name| any_case(name)).collect();
    let settings = json!({
        "driver": {
            "type": "string",
            "description": "Job: one pod and one result for the whole cluster. DaemonSet: one pod and one result for each node.",
            "anyOf": [
                { "enum": DriverKind::NAMES },
                { "pattern": format!("^({})$", any_case.join("|")) },
            ],
        },
        "plugin-name": {
            "type": "string",
            "description": "Name of the plugin: an RFC 1123 subdomain of at most 63 characters.",
            "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
            "maxLength": 63,
            "not": { "const": "sonobuoy" },
        },
        "result-format": {
            "type": "string",
            "description": "Format of the result files; e2e means junit, and any other value means raw.",
            "anyOf": [{ "enum": RESULT_FORMATS }, { "type": "string" }],
        },
        "result-files": {
            "type": "array",
            "items": { "type": "string" },
            "description": "Base names of the result files; by default all files with the format's usual extension.",
        },
        "result-redaction": {
            "description": "How secrets in the results are redacted. known, the default: values of Secrets. full: also by names and formats. off: not at all.",
            "enum": ResultRedaction::NAMES.iter().map(|name| json!(name)).chain([json!(false), json!(""), json!(null)]).collect::<Vec<_>>(),
        },
        "skip-cleanup": { "type": "boolean", "description": "Whether the plugin's pods remain after the run." },
                "description": text("Description of the plugin."),
                "source-url": text("URL of the plugin's source."),
        "order": { "type": "integer", "description": "Plugins start in groups of ascending order." },
        "plugin-account": {
            "description": "own: the service account of plugins, with read access. none: an account without permissions. By default the run decides.",
            "enum": PluginAccount::NAMES.iter().map(|name| json!(name)).chain([json!(""), json!(null)]).collect::<Vec<_>>(),
        },
    });
    let container = json!({
        "type": "object",
        "description": "The plugin's container: a Kubernetes Container (core/v1).",
        "required": ["name"],
        "properties": { "name": { "type": "string", "minLength": 1 }, "image": { "type": "string" } },
    });
    let open = |description: &str| json!({ "type": "object", "description": description });
    let top = json!({
        "apiVersion": { "enum": ["sonobuoy/v0", "", null] },
        "kind": { "enum": ["manifest", "", null] },
        "sonobuoy-config": {
            "type": "object",
            "description": "Name and settings of the plugin.",
            "required": ["driver", "plugin-name"],
            "properties": settings,
        },
        "spec": container,
        "extra-volumes": {
            "type": ["array", "null"],
            "items": open("A Kubernetes Volume (core/v1)."),
            "description": "Additional volumes of the pod.",
        },
        "podSpec": {
            "type": ["object", "null"],
            "description": "A Kubernetes PodSpec (core/v1) that completely replaces the driver's default; spec and the worker are added to its containers.",
        },
        "config-map": {
            "type": ["object", "null"],
            "additionalProperties": { "type": "string" },
            "description": "Files by name, mounted in the plugin's containers at SONOBUOY_CONFIG_DIR.",
        },
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Sonobuoy plugin definition",
        "type": "object",
        "required": ["sonobuoy-config", "spec"],
        "properties": top,
    })
}

/// Case-insensitive pattern for the name.
fn any_case(name: &str) -> String {
    let letter = |letter: char| format!("[{}{}]", letter.to_ascii_uppercase(), letter.to_ascii_lowercase());
    name.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{SETTINGS, TOP_LEVEL};

    fn names(properties: &Value) -> Vec<&str> {
        properties
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name.as_str())
            .collect()
    }

    fn sorted<'a>(names: &[&'a str]) -> Vec<&'a str> {
        let mut names = names.to_vec();
        names.sort_unstable();
        names
    }

    #[test]
    fn the_schema_has_all_keys_of_the_loader() {
        let schema = schema();
        assert_eq!(names(&schema["properties"]), sorted(TOP_LEVEL));
        assert_eq!(
            names(&schema["properties"]["sonobuoy-config"]["properties"]),
            sorted(SETTINGS)
        );
        assert_eq!(any_case("Job"), "[Jj][Oo][Bb]");
    }
}
