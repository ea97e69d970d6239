//! One answer to one request.

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
    path::Place,
    store::{Store, is_selected},
    trouble::too_old,
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
        if shared.troubles.refuses_watch() {
            return status(&too_old());
        }
        return watch(shared, place, query);
    }
    let response = {
        let mut store = shared.store();
        match (method, place.name.as_deref(), place.part.as_deref()) {
            ("GET", Some(name), None) => found(place, name, store.get(&place.plural, place.namespace.as_deref(), name)),
            ("GET", Some(pod), Some("log")) => {
                let answer = log(&store, place, pod, query);
                let follows = query.get("follow").is_some_and(|value| value == "true");
                if follows && store.holds_logs {
                    held(answer)
                } else {
                    answer
                }
            }
            ("GET", None, None) => list(&mut store, place, query),
            ("POST", None, None) => create(&mut store, place, body),
            ("PUT", Some(name), None) => replace(&mut store, place, name, body),
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
    let mut answer = json_answer(code.unwrap_or(500), status);
    if let Some(seconds) = status.pointer("/details/retryAfterSeconds").and_then(Value::as_u64) {
        answer.headers_mut().insert("retry-after", seconds.into());
    }
    answer
}

/// A plain text.
pub(super) fn text(code: u16, text: String) -> Response {
    (StatusCode::from_u16(code).expect("a status code"), text).into_response()
}

/// How a log is kept whose lines have their own times.
pub(super) fn timed(container: &str) -> String {
    format!("{container} with times")
}

/// An answer that does not end: the container still runs.
fn held(answer: Response) -> Response {
    if answer.status() != StatusCode::OK {
        return answer;
    }
    let (parts, body) = answer.into_parts();
    let stream = body.into_data_stream().chain(stream::pending());
    let mut parts = parts;
    parts.headers.remove("content-length");
    Response::from_parts(parts, Body::from_stream(stream))
}

/// What a kubelet sends of lines that have their own times: those from `since` on, which it reads in whole seconds,
/// wherever they stand.
fn timed_log(log: &str, since: Option<&String>) -> Response {
    let since = since.map(|since| since.trim_end_matches('Z').chars().take(19).collect::<String>());
    let is_sent = |line: &&str| since.as_deref().is_none_or(|since| *line >= since);
    let sent: String = log.split_inclusive('\n').filter(is_sent).collect();
    sent.into_response()
}

/// How the log of the container before is kept.
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

fn found(place: &Place, name: &str, object: Option<&Value>) -> Response {
    object.map_or_else(|| not_found(&place.plural, name), |object| json_answer(200, object))
}

fn list(store: &mut Store, place: &Place, query: &BTreeMap<String, String>) -> Response {
    let number = |name: &str| query.get(name).and_then(|value| value.parse::<usize>().ok());
    let from = number("continue").unwrap_or_default();
    if from > 0 && store.expired_pages > 0 {
        store.expired_pages -= 1;
        return status(&failure(410, "Expired", "The provided continue parameter is too old"));
    }
    let items: Vec<&Value> = store
        .of(&place.plural)
        .filter(|item| is_selected(item, place.namespace.as_deref(), query))
        .filter(|item| {
            let version = item.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
            version.split_once('/').map_or("", |(group, _)| group) == place.group
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
    // As the API server has them: what the list says of its items does not stand in them.
    for fields in page.iter_mut().filter_map(Value::as_object_mut) {
        fields.remove("apiVersion");
        fields.remove("kind");
    }
    let mut metadata = json!({"resourceVersion": store.version().to_string()});
    if until < total {
        metadata["continue"] = until.to_string().into();
        metadata["remainingItemCount"] = (total - until).into();
    }
    let version = if place.group.is_empty() {
        "v1".to_owned()
    } else {
        format!("{}/v1", place.group)
    };
    json_answer(
        200,
        &json!({"kind": format!("{kind}List"), "apiVersion": version, "metadata": metadata, "items": page}),
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

/// As the real one: who names a version that is not the current one is refused.
fn replace(store: &mut Store, place: &Place, name: &str, body: &[u8]) -> Response {
    let Some(before) = store.get(&place.plural, place.namespace.as_deref(), name).cloned() else {
        return not_found(&place.plural, name);
    };
    let Ok(mut object) = serde_json::from_slice::<Value>(body) else {
        return status(&failure(400, "BadRequest", "the body is no JSON"));
    };
    let given = object.pointer("/metadata/resourceVersion").cloned();
    if given.is_some_and(|given| given != before["metadata"]["resourceVersion"]) {
        let message = format!(
            "Operation cannot be fulfilled on {} \"{name}\": the object has been modified; please apply your changes to the latest version and try again",
            place.plural
        );
        return status(&about(failure(409, "Conflict", &message), &place.plural, name));
    }
    for field in ["uid", "creationTimestamp"] {
        object["metadata"][field] = before["metadata"][field].clone();
    }
    json_answer(200, &store.put(object))
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

/// When a log's line was written: one in each second of a day.
fn line_time(at: usize) -> String {
    format!("2026-01-01T{:02}:{:02}:{:02}", at / 3600, at / 60 % 60, at % 60)
}

fn log(store: &Store, place: &Place, pod: &str, query: &BTreeMap<String, String>) -> Response {
    let container = query.get("container").map_or("", String::as_str);
    let is_previous = query.get("previous").is_some_and(|value| value == "true");
    let kept = if is_previous {
        previous(container)
    } else {
        container.to_owned()
    };
    let number = |name: &str| query.get(name).and_then(|value| value.parse::<usize>().ok());
    let namespace = place.namespace.as_deref().unwrap_or_default();
    if let Some(log) = store.log(namespace, pod, &timed(&kept)) {
        return timed_log(log, query.get("sinceTime"));
    }
    match store.log(namespace, pod, &kept) {
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
