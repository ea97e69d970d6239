//! JSON outputs conform to their schemas in docs/schemas. Undeclared keys are errors, so that every key is
//! documented.

use serde_json::{Value, json};
use sono_testkit::FakeApi;

use crate::{retrieve, sono, with_cluster};

fn schema(name: &str) -> Value {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schemas");
    serde_json::from_str(&fs_err::read_to_string(format!("{directory}/{name}.json")).unwrap()).unwrap()
}

/// Deviations of `value` from a schema of the keywords that our schemas use.
fn deviations(value: &Value, schema: &Value, root: &Value, path: &str, found: &mut Vec<String>) {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let target = root.pointer(reference.trim_start_matches('#')).unwrap();
        return deviations(value, target, root, path, found);
    }
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        found.push(format!("{path}: {value} is not in the enum"));
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    match schema.get("type") {
        Some(Value::Array(kinds)) if !kinds.contains(&kind.into()) => found.push(format!("{path}: {kind}")),
        Some(Value::String(expected)) if expected != kind => found.push(format!("{path}: {kind}, not {expected}")),
        _ => {}
    }
    for item in value.as_array().into_iter().flatten() {
        deviations(item, &schema["items"], root, &format!("{path}[]"), found);
    }
    let Some(object) = value.as_object() else { return };
    for required in schema["required"].as_array().into_iter().flatten() {
        if !object.contains_key(required.as_str().unwrap()) {
            found.push(format!("{path}: {required} is missing"));
        }
    }
    for (key, value) in object {
        let path = format!("{path}.{key}");
        match (schema["properties"].get(key), &schema["additionalProperties"]) {
            (Some(property), _) => deviations(value, property, root, &path, found),
            (None, Value::Bool(true)) => {}
            (None, additional @ Value::Object(_)) => deviations(value, additional, root, &path, found),
            (None, _) => found.push(format!("{path} is not declared")),
        }
    }
}

pub(crate) fn check(name: &str, text: &str) {
    let (schema, value) = (schema(name), serde_json::from_str(text).unwrap());
    let mut found = Vec::new();
    deviations(&value, &schema, &schema, name, &mut found);
    assert_eq!(found, [""; 0], "{value:#}");
}

#[test]
fn deviation_from_a_schema_is_found() {
    let schema =
        json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}, "b": {"enum": [1]}}});
    let mut found = Vec::new();
    deviations(&json!({"b": 2, "c": 3}), &schema, &schema, "x", &mut found);
    assert_eq!(
        found,
        [
            "x: \"a\" is missing",
            "x.b: 2 is not in the enum",
            "x.c is not declared"
        ]
    );
    let mut found = Vec::new();
    deviations(&json!({"a": 1}), &schema, &schema, "x", &mut found);
    assert_eq!(found, ["x.a: integer, not string"]);
}

fn put_aggregator(api: &FakeApi, phase: &str, status: Option<&Value>) {
    let annotations = status.map(|status| json!({"sonobuoy.hept.io/status": status.to_string()}));
    api.put(json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "sonobuoy", "namespace": "sonobuoy", "annotations": annotations,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"component": "sonobuoy", "sonobuoy-component": "aggregator"}},
        "spec": {"nodeName": "node1", "containers": [{"name": "kube-sonobuoy", "image": "i"}]},
        "status": {"phase": phase, "startTime": "2026-01-01T00:00:00Z", "containerStatuses": [{"name": "kube-sonobuoy",
            "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}]}}));
}

#[test]
fn status_conforms_to_its_schema() {
    let api = FakeApi::start();
    put_aggregator(&api, "Pending", None);
    check("status", &with_cluster(&api, &["status", "-o", "json"]).stdout);
    let progress = json!({"name": "p", "node": "global", "timestamp": "2026-01-01T00:00:00Z", "msg": "m", "total": 2, "completed": 1, "failures": ["x"]});
    let status = json!({"status": "running", "plugins": [
            {"plugin": "p", "node": "global", "status": "running", "progress": progress},
            {"plugin": "q", "node": "n1", "status": "failed", "error": "gone"},
            {"plugin": "q", "node": "n2", "status": "complete", "result-status": "passed", "result-counts": {"passed": 1}}],
        "left-out": [{"plugin": "q", "count": 1, "nodes": ["n3"], "reason": "taint a:NoSchedule"}]});
    put_aggregator(&api, "Running", Some(&status));
    check("status", &with_cluster(&api, &["status", "-o", "json"]).stdout);
    check("list", &with_cluster(&api, &["list", "-o", "json"]).stdout);
}

#[test]
fn results_conform_to_their_schema() {
    let directory = tempfile::tempdir().unwrap();
    let tree = json!({"name": "p", "status": "failed", "items": [
        {"name": "a", "status": "failed", "meta": {"file": "results/global/a"}, "details": {"failure": "x", "n": 1}},
        {"name": "b", "status": "passed"}]});
    let health = json!({"node_health": {"total_nodes": 1, "healthy_nodes": 0, "details": [
            {"name": "n", "healthy": false, "ready": "False", "reason": "r", "message": "m"}]},
        "pod_health": {"total_nodes": 0, "healthy_nodes": 0}, "api_version": "v1.37.2",
        "error_summary": {"Errors": {"podlogs/a/b/logs/c.txt": 1}}});
    let archive = retrieve::packed(&[
        ("meta/clusterhealth.json", health.to_string().as_bytes()),
        ("meta/config.json", br#"{"UUID": "u"}"#),
        ("meta/info.json", br#"{"plugins": ["p"]}"#),
        ("plugins/p/sonobuoy_results.yaml", tree.to_string().as_bytes()),
    ]);
    fs_err::write(directory.path().join("a.tar.gz"), archive).unwrap();
    check(
        "results",
        &sono(directory.path(), &["results", "a.tar.gz", "-o", "json"]).stdout,
    );
}

#[test]
fn version_and_lint_conform_to_their_schemas() {
    let directory = tempfile::tempdir().unwrap();
    check("version", &sono(directory.path(), &["version", "-o", "json"]).stdout);
    fs_err::write(
        directory.path().join("p.yaml"),
        "sonobuoy-config: {driver: Jobb, plugin-name: p}\nspec: {image: i}\n",
    )
    .unwrap();
    let linted = sono(directory.path(), &["plugin", "lint", "p.yaml", "-o", "json"]).stdout;
    assert_ne!(linted, "[]\n");
    check("plugin-lint", &linted);
}

#[test]
fn conformance_check_conforms_to_its_schema() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("v1.37/acme");
    fs_err::create_dir_all(&folder).unwrap();
    fs_err::write(folder.join("README.md"), "# ACME\n").unwrap();
    fs_err::write(folder.join("junit_01.xml"), "<testsuites/>").unwrap();
    for (folder, mode) in [("v1.37/acme", "bot"), ("v1.37/acme", "strict"), ("v1.37", "bot")] {
        let checked = sono(
            directory.path(),
            &["conformance", "check", folder, "-m", mode, "-o", "json"],
        );
        assert_eq!(checked.code, 3);
        check("conformance-check", &checked.stdout);
    }
}

#[test]
fn diff_conforms_to_its_schema() {
    let directory = tempfile::tempdir().unwrap();
    crate::diff::write_runs(directory.path());
    let found = sono(directory.path(), &["diff", "a", "b", "-o", "json"]);
    assert_eq!(found.code, 3);
    check("diff", &found.stdout);
}

#[test]
fn history_and_waivers_conform_to_their_schemas() {
    let directory = tempfile::tempdir().unwrap();
    crate::diff::write_runs(directory.path());
    let output = |arguments: &[&str]| sono(directory.path(), arguments).stdout;
    assert_eq!(sono(directory.path(), &["history", "add", "a", "b"]).code, 0);
    check("history-list", &output(&["history", "list", "-o", "json"]));
    check("history-tests", &output(&["history", "show", "o", "-o", "json"]));
    check("history-tests", &output(&["history", "flakes", "-o", "json"]));
    let waiver = "waivers:\n- {id: a, plugin: e2e, test: works, because: x, owner: team, until: 2020-01-01}\n";
    fs_err::write(directory.path().join("w.yaml"), waiver).unwrap();
    check("waivers", &output(&["waivers", "unused", "w.yaml", "a", "-o", "json"]));
    let marked = output(&["results", "b", "--since", "latest", "--waivers", "w.yaml", "-o", "json"]);
    check("results", &marked);
}
