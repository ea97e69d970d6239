//! One answer to one request.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::Body,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};

use super::{
    Shared,
    path::Place,
    store::{Store, is_selected},
    watch::watch,
};

pub(super) fn answer(
    shared: &Arc<Shared>,
    method: &str,
    place: &Place,
    query: &BTreeMap<String, String>,
    body: &[u8],
) -> Response {
    let is_watch = query.get("watch").is_some_and(|value| value == "true" || value == "1");
    if method == "GET" && place.name.is_none() && is_watch {
        return watch(shared, place, query);
    }
    let response = {
        let mut store = shared.store();
        match (method, place.name.as_deref(), place.part.as_deref()) {
            ("GET", Some(name), None) => found(place, name, store.get(&place.plural, place.namespace.as_deref(), name)),
            ("GET", Some(pod), Some("log")) => log(&store, place, pod, query),
            ("GET", None, None) => list(&store, place, query),
            ("POST", None, None) => create(&mut store, place, body),
            ("PATCH", Some(name), None) => patch(&mut store, place, name, body),
            ("DELETE", Some(name), None) => found(
                place,
                name,
                store.delete(&place.plural, place.namespace.as_deref(), name).as_ref(),
            ),
            ("DELETE", None, None) => delete_all(&mut store, place, query),
            _ => status(&failure(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            )),
        }
    };
    shared.changed();
    response
}

/// What lies outside of the collections.
pub(super) fn other(path: &str) -> Response {
    match path {
        "/version" => json_answer(
            200,
            &json!({"major": "1", "minor": "37", "gitVersion": "v1.37.2", "platform": "linux/amd64"}),
        ),
        "/apis" => json_answer(200, &json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": []})),
        "/readyz" | "/healthz" | "/livez" => "ok".into_response(),
        _ => status(&failure(
            404,
            "NotFound",
            "the server could not find the requested resource",
        )),
    }
}

/// A `Status` as an answer; its `code` is the HTTP status.
pub(super) fn status(status: &Value) -> Response {
    let code = status
        .get("code")
        .and_then(Value::as_u64)
        .and_then(|code| u16::try_from(code).ok());
    json_answer(code.unwrap_or(500), status)
}

fn json_answer(code: u16, value: &Value) -> Response {
    Response::builder()
        .status(StatusCode::from_u16(code).expect("a status code"))
        .header("content-type", "application/json")
        .body(Body::from(value.to_string()))
        .expect("the headers are valid")
}

fn failure(code: u16, reason: &str, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "reason": reason, "code": code, "message": message})
}

fn about(mut failure: Value, kind: &str, name: &str) -> Value {
    failure["details"] = json!({"kind": kind, "name": name});
    failure
}

fn not_found(plural: &str, name: &str) -> Response {
    let message = format!("{plural} \"{name}\" not found");
    status(&about(failure(404, "NotFound", &message), plural, name))
}

fn found(place: &Place, name: &str, object: Option<&Value>) -> Response {
    object.map_or_else(|| not_found(&place.plural, name), |object| json_answer(200, object))
}

fn list(store: &Store, place: &Place, query: &BTreeMap<String, String>) -> Response {
    let mut items = store.all(&place.plural);
    items.retain(|item| is_selected(item, place.namespace.as_deref(), query));
    let version = if place.group.is_empty() {
        "v1".to_owned()
    } else {
        format!("{}/v1", place.group)
    };
    json_answer(
        200,
        &json!({"kind": "List", "apiVersion": version,
            "metadata": {"resourceVersion": store.version().to_string()}, "items": items}),
    )
}

fn create(store: &mut Store, place: &Place, body: &[u8]) -> Response {
    let Ok(mut object) = serde_json::from_slice::<Value>(body) else {
        return status(&failure(400, "BadRequest", "the body is no JSON"));
    };
    let name = object
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    if let Some(namespace) = place.namespace.as_deref() {
        if store.get("namespaces", None, namespace).is_none() {
            return not_found("namespaces", namespace);
        }
        if store.is_terminating(namespace) {
            let message = format!(
                "{} \"{name}\" is forbidden: unable to create new content in namespace {namespace} because it is being terminated",
                place.plural
            );
            let mut refusal = about(failure(403, "Forbidden", &message), &place.plural, &name);
            refusal["details"]["causes"] = json!([{"reason": "NamespaceTerminating",
                "message": format!("namespace {namespace} is being terminated"), "field": "metadata.namespace"}]);
            return status(&refusal);
        }
        object["metadata"]["namespace"] = namespace.into();
    }
    if store.get(&place.plural, place.namespace.as_deref(), &name).is_some() {
        let message = format!("{} \"{name}\" already exists", place.plural);
        return status(&about(failure(409, "AlreadyExists", &message), &place.plural, &name));
    }
    if place.plural == "namespaces" {
        object["status"] = json!({"phase": "Active"});
    }
    json_answer(201, &store.put(object))
}

fn patch(store: &mut Store, place: &Place, name: &str, body: &[u8]) -> Response {
    let Some(mut object) = store.get(&place.plural, place.namespace.as_deref(), name).cloned() else {
        return not_found(&place.plural, name);
    };
    let Ok(patch) = serde_json::from_slice::<Value>(body) else {
        return status(&failure(400, "BadRequest", "the body is no JSON"));
    };
    merge(&mut object, patch);
    json_answer(200, &store.put(object))
}

/// RFC 7396.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Some(fields) = target.as_object_mut() else { return };
    for (name, value) in patch {
        if value.is_null() {
            fields.remove(&name);
        } else {
            merge(fields.entry(name).or_insert(Value::Null), value);
        }
    }
}

fn delete_all(store: &mut Store, place: &Place, query: &BTreeMap<String, String>) -> Response {
    let mut objects = store.all(&place.plural);
    objects.retain(|object| is_selected(object, place.namespace.as_deref(), query));
    for object in &objects {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str);
        store.delete(
            &place.plural,
            text("/metadata/namespace"),
            text("/metadata/name").unwrap_or_default(),
        );
    }
    json_answer(
        200,
        &json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": objects}),
    )
}

fn log(store: &Store, place: &Place, pod: &str, query: &BTreeMap<String, String>) -> Response {
    let container = query.get("container").map_or("", String::as_str);
    match store.log(place.namespace.as_deref().unwrap_or_default(), pod, container) {
        Some(log) => log.to_owned().into_response(),
        None => status(&failure(
            400,
            "BadRequest",
            &format!("container \"{container}\" in pod \"{pod}\" is waiting to start"),
        )),
    }
}
