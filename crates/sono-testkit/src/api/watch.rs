//! Watches: changes as a stream of lines.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures::stream;

use super::{Shared, path::ResourcePath, store::is_selected};

pub(super) fn watch(shared: &Arc<Shared>, resource: &ResourcePath, query: &BTreeMap<String, String>) -> Response {
    let seen: u64 = query
        .get("resourceVersion")
        .and_then(|version| version.parse().ok())
        .unwrap_or_default();
    let (shared, resource, query) = (Arc::clone(shared), resource.clone(), query.clone());
    let (changes, ends) = (shared.changes.subscribe(), shared.troubles.ends.subscribe());
    let lines = stream::unfold((seen, changes, ends), move |(seen, mut changes, mut ends)| {
        let (shared, resource, query) = (Arc::clone(&shared), resource.clone(), query.clone());
        async move {
            loop {
                let (lines, last) = {
                    let store = shared.store();
                    let lines: Vec<String> = store
                        .since(seen)
                        .iter()
                        .filter(|change| change.plural == resource.plural)
                        .filter(|change| is_selected(&change.object, resource.namespace.as_deref(), &query))
                        // `type` precedes `object`, as in the API server's events.
                        .map(|change| format!("{{\"type\":\"{}\",\"object\":{}}}\n", change.kind, change.object))
                        .collect();
                    (lines.concat(), store.version())
                };
                if !lines.is_empty() {
                    return Some((Ok::<_, Infallible>(Bytes::from(lines)), (last, changes, ends)));
                }
                tokio::select! {
                    changed = changes.changed() => changed.ok()?,
                    _ = ends.changed() => return None,
                }
            }
        }
    });
    Response::builder()
        .header("content-type", "application/json")
        .body(Body::from_stream(lines))
        .expect("the headers are valid")
}
