//! The response to one request.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::Body,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::{
    Shared,
    path::ResourcePath,
    store::{Store, is_selected},
    trouble::too_old,
    watch::watch,
};

pub(super) fn answer(
    shared: &Arc<Shared>,
    method: &str,
    resource: &ResourcePath,
    query: &BTreeMap<String, String>,
    body: &[u8],
) -> Response {
    let is_watch = query.get("watch").is_some_and(|value| value == "true" || value == "1");
    if method == "GET" && resource.name.is_none() && is_watch {
        if shared.troubles.refuses_watch() {
            return status(&too_old());
        }
        return watch(shared, resource, query);
    }
    let response = {
        let mut store = shared.store();
        match (method, resource.name.as_deref(), resource.subresource.as_deref()) {
            ("GET", Some(name), None) => found(
                resource,
                name,
                store.get(&resource.plural, resource.namespace.as_deref(), name),
            ),
            ("GET", Some(pod), Some("log")) => {
                let answer = log(&store, resource, pod, query);
                let follows = query.get("follow").is_some_and(|value| value == "true");
                if follows && store.holds_logs {
                    endless(answer)
                } else {
                    answer
                }
            }
            ("GET", None, None) => list(&mut store, resource, query),
            ("POST", None, None) => create(&mut store, resource, body),
            ("PUT", Some(name), None) => replace(&mut store, resource, name, body),
            ("PATCH", Some(name), None) => patch(&mut store, resource, name, body),
            ("DELETE", Some(name), None) => found(
                resource,
                name,
                store
                    .delete(&resource.plural, resource.namespace.as_deref(), name)
                    .as_ref(),
            ),
            ("DELETE", None, None) => delete_all(&mut store, resource, query),
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

/// Responses to paths outside of collections, such as `/version`.
pub(super) fn not_in_a_collection(path: &str) -> Response {
    match path {
        "/version" => json_answer(
            200,
            &json!({"major": "1", "minor": "37", "gitVersion": "v1.37.2", "platform": "linux/amd64"}),
        ),
        "/readyz" | "/healthz" | "/livez" => "ok".into_response(),
        _ => status(&failure(
            404,
            "NotFound",
            "the server could not find the requested resource",
        )),
    }
}

/// A `Status` as a response; its `code` is the HTTP status.
pub(super) fn status(status: &Value) -> Response {
    let code = status
        .get("code")
        .and_then(Value::as_u64)
        .and_then(|code| u16::try_from(code).ok());
    let mut answer = json_answer(code.unwrap_or(500), status);
    if let Some(seconds) = status.pointer("/details/retryAfterSeconds").and_then(Value::as_u64) {
        answer.headers_mut().insert("retry-after", seconds.into());
    }
    answer
}

/// A plain-text response.
pub(super) fn text(code: u16, text: String) -> Response {
    (StatusCode::from_u16(code).expect("a status code"), text).into_response()
}

/// Key of a container's log with a time in each line.
pub(super) fn timed(container: &str) -> String {
    format!("{container} with times")
}

/// Makes the response endless, as for a running container.
fn endless(answer: Response) -> Response {
    if answer.status() != StatusCode::OK {
        return answer;
    }
    let (parts, body) = answer.into_parts();
    let stream = body.into_data_stream().chain(stream::pending());
    let mut parts = parts;
    parts.headers.remove("content-length");
    Response::from_parts(parts, Body::from_stream(stream))
}

/// Selects the lines from `since` on, as a kubelet does: it compares whole seconds, and lines may be in any order.
fn timed_log(log: &str, since: Option<&String>) -> Response {
    let since = since.map(|since| since.trim_end_matches('Z').chars().take(19).collect::<String>());
    let is_sent = |line: &&str| since.as_deref().is_none_or(|since| *line >= since);
    let sent: String = log.split_inclusive('\n').filter(is_sent).collect();
    sent.into_response()
}

/// Key of the log of a container's previous instance.
pub(super) fn previous(container: &str) -> String {
    format!("{container} before")
}

pub(super) fn json_answer(code: u16, value: &Value) -> Response {
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

fn found(resource: &ResourcePath, name: &str, object: Option<&Value>) -> Response {
    object.map_or_else(|| not_found(&resource.plural, name), |object| json_answer(200, object))
}

fn list(store: &mut Store, resource: &ResourcePath, query: &BTreeMap<String, String>) -> Response {
    let number = |name: &str| query.get(name).and_then(|value| value.parse::<usize>().ok());
    let from = number("continue").unwrap_or_default();
    if from > 0 && store.expired_pages > 0 {
        store.expired_pages -= 1;
        return status(&failure(410, "Expired", "The provided continue parameter is too old"));
    }
    let items: Vec<&Value> = store
        .of(&resource.plural)
        .filter(|item| is_selected(item, resource.namespace.as_deref(), query))
        .filter(|item| {
            let version = item.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
            version.split_once('/').map_or("", |(group, _)| group) == resource.group
        })
        .collect();
    let total = items.len();
    let until = number("limit")
        .filter(|limit| *limit > 0)
        .map_or(total, |limit| (from + limit).min(total));
    let kind = items
        .first()
        .and_then(|item| item.get("kind")?.as_str())
        .unwrap_or_default()
        .to_owned();
    let mut page: Vec<Value> = items.into_iter().take(until).skip(from).cloned().collect();
    // As in the API server's lists, items have no `apiVersion` and `kind` of their own.
    for fields in page.iter_mut().filter_map(Value::as_object_mut) {
        fields.remove("apiVersion");
        fields.remove("kind");
    }
    let mut metadata = json!({"resourceVersion": store.version().to_string()});
    if until < total {
        metadata["continue"] = until.to_string().into();
        metadata["remainingItemCount"] = (total - until).into();
    }
    let version = if resource.group.is_empty() {
        "v1".to_owned()
    } else {
        format!("{}/v1", resource.group)
    };
    json_answer(
        200,
        &json!({"kind": format!("{kind}List"), "apiVersion": version, "metadata": metadata, "items": page}),
    )
}

fn create(store: &mut Store, resource: &ResourcePath, body: &[u8]) -> Response {
    let Ok(mut object) = serde_json::from_slice::<Value>(body) else {
        return status(&failure(400, "BadRequest", "the body is not JSON"));
    };
    if resource.plural == "selfsubjectaccessreviews" {
        // It is not stored. The user has all permissions unless a test refuses one.
        object["status"] = json!({"allowed": true});
        return json_answer(201, &object);
    }
    let name = object
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    if let Some(namespace) = resource.namespace.as_deref() {
        if store.get("namespaces", None, namespace).is_none() {
            return not_found("namespaces", namespace);
        }
        if store.is_terminating(namespace) {
            let message = format!(
                "{} \"{name}\" is forbidden: unable to create new content in namespace {namespace} because it is being terminated",
                resource.plural
            );
            let mut refusal = about(failure(403, "Forbidden", &message), &resource.plural, &name);
            refusal["details"]["causes"] = json!([{"reason": "NamespaceTerminating",
                "message": format!("namespace {namespace} is being terminated"), "field": "metadata.namespace"}]);
            return status(&refusal);
        }
        object["metadata"]["namespace"] = namespace.into();
    }
    if store
        .get(&resource.plural, resource.namespace.as_deref(), &name)
        .is_some()
    {
        let message = format!("{} \"{name}\" already exists", resource.plural);
        return status(&about(failure(409, "AlreadyExists", &message), &resource.plural, &name));
    }
    if resource.plural == "namespaces" {
        object["status"] = json!({"phase": "Active"});
    }
    json_answer(201, &store.put(object))
}

/// Replaces an object. Fails with 409 if the request has another resource version than the stored object.
fn replace(store: &mut Store, resource: &ResourcePath, name: &str, body: &[u8]) -> Response {
    let Some(before) = store
        .get(&resource.plural, resource.namespace.as_deref(), name)
        .cloned()
    else {
        return not_found(&resource.plural, name);
    };
    let Ok(mut object) = serde_json::from_slice::<Value>(body) else {
        return status(&failure(400, "BadRequest", "the body is not JSON"));
    };
    let requested = object.pointer("/metadata/resourceVersion").cloned();
    if requested.is_some_and(|requested| requested != before["metadata"]["resourceVersion"]) {
        let message = format!(
            "Operation cannot be fulfilled on {} \"{name}\": the object has been modified; please apply your changes to the latest version and try again",
            resource.plural
        );
        return status(&about(failure(409, "Conflict", &message), &resource.plural, name));
    }
    for field in ["uid", "creationTimestamp"] {
        object["metadata"][field] = before["metadata"][field].clone();
    }
    json_answer(200, &store.put(object))
}

fn patch(store: &mut Store, resource: &ResourcePath, name: &str, body: &[u8]) -> Response {
    let Some(mut object) = store
        .get(&resource.plural, resource.namespace.as_deref(), name)
        .cloned()
    else {
        return not_found(&resource.plural, name);
    };
    let Ok(patch) = serde_json::from_slice::<Value>(body) else {
        return status(&failure(400, "BadRequest", "the body is not JSON"));
    };
    merge(&mut object, patch);
    json_answer(200, &store.put(object))
}

/// JSON merge patch (RFC 7396).
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

fn delete_all(store: &mut Store, resource: &ResourcePath, query: &BTreeMap<String, String>) -> Response {
    let mut objects = store.all(&resource.plural);
    objects.retain(|object| is_selected(object, resource.namespace.as_deref(), query));
    for object in &objects {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str);
        store.delete(
            &resource.plural,
            text("/metadata/namespace"),
            text("/metadata/name").unwrap_or_default(),
        );
    }
    json_answer(
        200,
        &json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": objects}),
    )
}

/// Time of the line with index `at`: one line for each second of a day.
fn line_time(at: usize) -> String {
    format!("2026-01-01T{:02}:{:02}:{:02}", at / 3600, at / 60 % 60, at % 60)
}

fn log(store: &Store, resource: &ResourcePath, pod: &str, query: &BTreeMap<String, String>) -> Response {
    let container = query.get("container").map_or("", String::as_str);
    let is_previous = query.get("previous").is_some_and(|value| value == "true");
    let key = if is_previous {
        previous(container)
    } else {
        container.to_owned()
    };
    let number = |name: &str| query.get(name).and_then(|value| value.parse::<usize>().ok());
    let namespace = resource.namespace.as_deref().unwrap_or_default();
    if let Some(log) = store.log(namespace, pod, &timed(&key)) {
        return timed_log(log, query.get("sinceTime"));
    }
    match store.log(namespace, pod, &key) {
        Some(log) => {
            let lines: Vec<&str> = log.split_inclusive('\n').collect();
            let first = [
                number("tailLines").map(|tail| lines.len().saturating_sub(tail)),
                number("sinceSeconds").map(|seconds| lines.len().saturating_sub(seconds)),
                query.get("sinceTime").map(|time| {
                    let early = |at: &usize| line_time(*at).as_str() < time.trim_end_matches('Z');
                    (0..lines.len()).take_while(early).count()
                }),
            ];
            let first = first.into_iter().flatten().max().unwrap_or_default();
            let timestamps = query.get("timestamps").is_some_and(|value| value == "true");
            let shown = lines.iter().enumerate().skip(first);
            let text: String = shown
                .map(|(at, line)| {
                    if timestamps {
                        format!("{}.5Z {line}", line_time(at))
                    } else {
                        (*line).to_owned()
                    }
                })
                .collect();
            let end = number("limitBytes").map_or(text.len(), |limit| limit.min(text.len()));
            text[..end].to_owned().into_response()
        }
        None if is_previous => status(&failure(
            400,
            "BadRequest",
            &format!("previous terminated container \"{container}\" in pod \"{pod}\" not found"),
        )),
        None => status(&failure(
            400,
            "BadRequest",
            &format!("container \"{container}\" in pod \"{pod}\" is waiting to start"),
        )),
    }
}
