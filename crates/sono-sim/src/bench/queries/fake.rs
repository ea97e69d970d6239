//! The fake API with this number of pods.

use serde_json::{Value, json};
use sono_testkit::FakeApi;

use super::objects;
use crate::content;

/// Number of nodes.
const NODES: usize = 100;
/// Number of lines in each pod's log.
const LINES: usize = 20;

pub(super) fn start(pods: usize) -> FakeApi {
    let api = FakeApi::start();
    for number in 0..NODES {
        let name = content::node(number);
        let proxy = format!("/api/v1/nodes/{name}/proxy");
        api.put_text(&format!("{proxy}/configz"), 200, r#"{"kubeletconfig":{"maxPods":110}}"#);
        api.put_text(&format!("{proxy}/healthz"), 200, "ok");
        api.put(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]}}));
    }
    for number in 0..objects::NAMESPACES {
        let mut namespace = objects::namespace(&objects::namespace_name(number));
        namespace["status"] = json!({"phase": "Active"});
        api.put(namespace);
    }
    let log = "{\"level\":\"info\",\"message\":\"request served\",\"path\":\"/\",\"status\":200}\n".repeat(LINES);
    for number in 0..pods {
        let mut pod = objects::pod(number, &content::node(number % NODES));
        pod["status"] = objects::status(number);
        pod["metadata"]["managedFields"] = managed_fields(&pod);
        let (namespace, name) = (objects::namespace_name(number), objects::pod_name(number));
        api.put(pod);
        api.put_log(&namespace, &name, objects::CONTAINER, &log);
    }
    api
}

/// The managed fields of an object, as the API server records them.
pub(in crate::bench) fn managed_fields(object: &Value) -> Value {
    let by = |manager: &str, part: &Value| {
        json!({"manager": manager, "operation": "Update", "apiVersion": "v1", "time": "2026-11-23T00:00:00Z",
            "fieldsType": "FieldsV1", "fieldsV1": fields(part)})
    };
    json!([
        by(
            "kube-controller-manager",
            &json!({"metadata": object["metadata"]["labels"], "spec": object["spec"]})
        ),
        by("kubelet", &json!({"status": object["status"]}))
    ])
}

fn fields(value: &Value) -> Value {
    match value {
        Value::Object(parts) => parts
            .iter()
            .map(|(name, part)| (format!("f:{name}"), fields(part)))
            .collect(),
        _ => json!({}),
    }
}
