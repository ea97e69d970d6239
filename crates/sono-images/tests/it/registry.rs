//! A registry in memory: the parts of the distribution specification that clients use, on loopback.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::any,
};
use futures::stream;

#[derive(Default)]
pub(crate) struct Contents {
    /// By digest.
    pub(crate) blobs: BTreeMap<String, Bytes>,
    /// By `repository` and tag or digest; with the media type.
    pub(crate) manifests: BTreeMap<(String, String), (String, Bytes)>,
    /// Sends only half of what is left of a blob, this many times.
    pub(crate) cuts: usize,
    /// Answers 503, this many times.
    pub(crate) busy: usize,
    /// `Authorization` that every request must have.
    pub(crate) authorization: Option<String>,
    /// What was asked for: the method and the path.
    pub(crate) asked: Vec<String>,
    uploads: usize,
}

pub(crate) type Shared = Arc<Mutex<Contents>>;

/// Serves until the test ends. Returns `127.0.0.1:port`.
pub(crate) async fn serve(contents: Shared) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new()
        .route("/v2/{*path}", any(answer))
        .route("/v2/", any(root))
        .with_state(contents);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address.to_string()
}

async fn root(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    refusal(&shared, &headers).unwrap_or_else(|| StatusCode::OK.into_response())
}

fn refusal(shared: &Shared, headers: &HeaderMap) -> Option<Response> {
    let contents = shared.lock().unwrap();
    let wanted = contents.authorization.as_ref()?;
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    (given != Some(wanted)).then(|| {
        let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"test\"")];
        (StatusCode::UNAUTHORIZED, challenge).into_response()
    })
}

async fn answer(State(shared): State<Shared>, Path(path): Path<String>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if let Some(refusal) = refusal(&shared, &parts.headers) {
        return refusal;
    }
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let mut contents = shared.lock().unwrap();
    contents.asked.push(format!("{} {path}", parts.method));
    if contents.busy > 0 {
        contents.busy -= 1;
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let query = parts.uri.query().unwrap_or_default();
    if let Some((repository, name)) = path.split_once("/manifests/") {
        return manifests(&mut contents, &parts.method, repository, name, &parts.headers, body);
    }
    if let Some((repository, rest)) = path.split_once("/blobs/uploads/") {
        return uploads(&mut contents, &parts.method, repository, rest, query, body);
    }
    match path.split_once("/blobs/") {
        Some((_, digest)) => blob(&mut contents, &parts.method, digest, &parts.headers),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn manifests(
    contents: &mut Contents,
    method: &Method,
    repository: &str,
    name: &str,
    headers: &HeaderMap,
    body: Bytes,
) -> Response {
    let key = |name: &str| (repository.to_owned(), name.to_owned());
    if *method == Method::PUT {
        let media_type = headers[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        let digest = digest(&body);
        contents
            .manifests
            .insert(key(&digest), (media_type.clone(), body.clone()));
        contents.manifests.insert(key(name), (media_type, body));
        let location = format!("/v2/{repository}/manifests/{digest}");
        return (StatusCode::CREATED, [(header::LOCATION, location)]).into_response();
    }
    match contents.manifests.get(&key(name)) {
        Some((media_type, body)) => {
            let headers = [
                ("content-type", media_type.clone()),
                ("docker-content-digest", digest(body)),
            ];
            (headers, body.clone()).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn uploads(
    contents: &mut Contents,
    method: &Method,
    repository: &str,
    rest: &str,
    query: &str,
    body: Bytes,
) -> Response {
    if *method == Method::POST {
        contents.uploads += 1;
        let location = format!("/v2/{repository}/blobs/uploads/{}", contents.uploads);
        return (StatusCode::ACCEPTED, [(header::LOCATION, location)]).into_response();
    }
    assert!(!rest.is_empty(), "an upload without a session");
    let named = query.strip_prefix("digest=").unwrap().replace("%3A", ":");
    if digest(&body) != named {
        return StatusCode::BAD_REQUEST.into_response();
    }
    contents.blobs.insert(named.clone(), body);
    let location = format!("/v2/{repository}/blobs/{named}");
    (StatusCode::CREATED, [(header::LOCATION, location)]).into_response()
}

fn blob(contents: &mut Contents, method: &Method, digest: &str, headers: &HeaderMap) -> Response {
    let Some(blob) = contents.blobs.get(digest).cloned() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if *method == Method::HEAD {
        return StatusCode::OK.into_response();
    }
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    let start: usize = range
        .and_then(|range| range.strip_prefix("bytes=")?.split('-').next()?.parse().ok())
        .unwrap_or(0);
    let status = if start > 0 {
        StatusCode::PARTIAL_CONTENT
    } else {
        StatusCode::OK
    };
    let rest = blob.slice(start..);
    let length = [(header::CONTENT_LENGTH, rest.len())];
    if contents.cuts == 0 {
        return (status, length, rest).into_response();
    }
    contents.cuts -= 1;
    let half = rest.slice(..rest.len() / 2);
    let parts = [Ok(half), Err(std::io::Error::other("cut"))];
    (status, length, Body::from_stream(stream::iter(parts))).into_response()
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    let hash = Sha256::digest(bytes);
    let hex: Vec<String> = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{}", hex.concat())
}
