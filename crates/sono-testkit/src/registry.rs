//! An in-memory registry on loopback: the parts of the distribution specification that clients use.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::any,
};
use futures::stream;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Contents and faults of a registry.
#[derive(Debug, Default)]
pub struct Contents {
    /// Blobs by digest, for all repositories.
    pub blobs: BTreeMap<String, Bytes>,
    /// Manifests with media types, by repository and tag or digest.
    pub manifests: BTreeMap<(String, String), (String, Bytes)>,
    /// Number of blob responses that are cut after half of their bytes.
    pub cuts: usize,
    /// Number of requests that are answered with 503.
    pub busy: usize,
    /// `Authorization` header that every request must have.
    pub authorization: Option<String>,
    /// Number of upload sessions so far.
    pub uploads: usize,
    /// Fixed responses by path below `/v2/`, such as `group/tool/manifests/1.0`.
    pub fixed: BTreeMap<String, Fixed>,
}

/// A response that does not depend on the contents.
#[derive(Debug, Clone)]
pub struct Fixed {
    /// HTTP status.
    pub status: u16,
    /// Header fields; values may have any bytes that HTTP permits.
    pub headers: Vec<(&'static str, Vec<u8>)>,
    /// Body.
    pub body: Bytes,
}

impl Fixed {
    fn response(&self) -> Response {
        let mut response = Response::new(Body::from(self.body.clone()));
        *response.status_mut() = StatusCode::from_u16(self.status).expect("the test's status is valid");
        for (name, value) in &self.headers {
            let value = HeaderValue::from_bytes(value).expect("the test's header is valid");
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
        response
    }
}

/// A registry on loopback.
#[derive(Debug)]
pub struct FakeRegistry {
    address: String,
    contents: Arc<Mutex<Contents>>,
}

impl FakeRegistry {
    /// Serves `contents` until the test's runtime ends.
    pub async fn serve(contents: Contents) -> Self {
        let contents = Arc::new(Mutex::new(contents));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let router = Router::new()
            .route("/v2/{*path}", any(answer))
            .route("/v2/", any(root))
            .with_state(Arc::clone(&contents));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, contents }
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The current contents.
    pub fn contents(&self) -> MutexGuard<'_, Contents> {
        lock(&self.contents)
    }
}

type Shared = Arc<Mutex<Contents>>;

fn lock(contents: &Mutex<Contents>) -> MutexGuard<'_, Contents> {
    contents.lock().expect("nothing panics while it holds the lock")
}

impl Contents {
    /// Adds an index for two platforms and an attestation. Each image has its own layer, larger than a buffer.
    #[must_use]
    pub fn with_index(mut self, repository: &str, tag: &str) -> Self {
        let mut entries = Vec::new();
        for (os, architecture) in [("linux", "amd64"), ("linux", "arm64"), ("unknown", "unknown")] {
            let config = json!({ "os": os, "architecture": architecture }).to_string();
            let layer = architecture.repeat(40_000);
            let manifest = json!({
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
                "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
            })
            .to_string();
            let mut entry = descriptor(MANIFEST, &manifest);
            entry["platform"] = json!({ "os": os, "architecture": architecture });
            entries.push(entry);
            for text in [config, layer] {
                self.blobs.insert(digest(text.as_bytes()), text.into());
            }
            self.put(repository, &digest(manifest.as_bytes()), MANIFEST, manifest);
        }
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries }).to_string();
        self.put(repository, tag, INDEX, index);
        self
    }

    /// Adds an artifact with these files, each under its name.
    #[must_use]
    pub fn with_artifact(mut self, repository: &str, tag: &str, files: &[(&str, &str)]) -> Self {
        let config = "{}";
        self.blobs.insert(digest(config.as_bytes()), config.into());
        let layers: Vec<Value> = files
            .iter()
            .map(|(name, content)| {
                self.blobs
                    .insert(digest(content.as_bytes()), (*content).to_owned().into());
                let mut layer = descriptor("application/yaml", content);
                layer["annotations"] = json!({ "org.opencontainers.image.title": name });
                layer
            })
            .collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": "application/vnd.sono.plugin",
            "config": descriptor("application/vnd.oci.empty.v1+json", config),
            "layers": layers,
        });
        self.put(repository, tag, MANIFEST, manifest.to_string());
        self
    }

    /// Adds a manifest of a media type, whatever it contains.
    #[must_use]
    pub fn with_manifest(mut self, repository: &str, tag: &str, media_type: &str, manifest: &Value) -> Self {
        self.put(repository, tag, media_type, manifest.to_string());
        self
    }

    /// Adds a fixed response.
    #[must_use]
    pub fn with_fixed(mut self, path: &str, fixed: Fixed) -> Self {
        self.fixed.insert(path.to_owned(), fixed);
        self
    }

    fn put(&mut self, repository: &str, name: &str, media_type: &str, text: String) {
        let key = (repository.to_owned(), name.to_owned());
        self.manifests.insert(key, (media_type.to_owned(), text.into()));
    }
}

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn descriptor(media_type: &str, text: &str) -> Value {
    json!({ "mediaType": media_type, "digest": digest(text.as_bytes()), "size": text.len() })
}

async fn root(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    refusal(&shared, &headers).unwrap_or_else(|| StatusCode::OK.into_response())
}

fn refusal(shared: &Shared, headers: &HeaderMap) -> Option<Response> {
    let contents = lock(shared);
    let required = contents.authorization.as_ref()?;
    let actual = text(headers, &header::AUTHORIZATION);
    (actual != Some(required)).then(|| {
        let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"test\"")];
        (StatusCode::UNAUTHORIZED, challenge).into_response()
    })
}

async fn answer(State(shared): State<Shared>, Path(path): Path<String>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if let Some(refusal) = refusal(&shared, &parts.headers) {
        return refusal;
    }
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let mut contents = lock(&shared);
    if let Some(fixed) = contents.fixed.get(&path) {
        return fixed.response();
    }
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
        let media_type = text(headers, &header::CONTENT_TYPE).unwrap_or_default().to_owned();
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
    if rest.is_empty() {
        return StatusCode::NOT_FOUND.into_response();
    }
    let named = query.trim_start_matches("digest=").replace("%3A", ":");
    if digest(&body) != named {
        return StatusCode::BAD_REQUEST.into_response();
    }
    contents.blobs.insert(named.clone(), body);
    let location = format!("/v2/{repository}/blobs/{named}");
    (StatusCode::CREATED, [(header::LOCATION, location)]).into_response()
}

fn text<'headers>(headers: &'headers HeaderMap, name: &HeaderName) -> Option<&'headers str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn blob(contents: &mut Contents, method: &Method, digest: &str, headers: &HeaderMap) -> Response {
    let Some(blob) = contents.blobs.get(digest).cloned() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if *method == Method::HEAD {
        return StatusCode::OK.into_response();
    }
    let range = text(headers, &header::RANGE);
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

/// `sha256:…` of bytes.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}
