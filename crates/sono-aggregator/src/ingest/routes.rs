//! The HTTPS interface for workers (core §2.4): authorization, and the texts of refusals.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Extension, Router,
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
    routing,
};
use sono_run::{Refusal, ResultState};
use sono_types::{NodeName, PluginName, ProgressUpdate, ResultKey, Target, UploadLimits, constants, routes};

use crate::{
    backend::Backend,
    clock::Clock,
    connections::{Peer, Slot, UploadSlot},
    handle::CoordinatorHandle,
    ingest::{
        content_disposition,
        error::UploadError,
        resume::UploadPart,
        upload::{Head, Uploads},
    },
};

mod updates;

use updates::Update;
pub(crate) use updates::Updates;

/// The state of the handlers.
#[derive(Clone)]
pub(crate) struct Interface {
    pub(crate) coordinator: CoordinatorHandle,
    pub(crate) uploads: Uploads,
    pub(crate) limits: Arc<UploadLimits>,
    /// The budget of progress updates' bodies.
    pub(crate) updates: Updates,
    pub(crate) clock: Clock,
    /// If set, workers retain their results and query for them at this interval, because the results are lost with this pod.
    pub(crate) retention: Option<Duration>,
    /// The archive is complete, and workers can discard their results.
    pub(crate) over: Arc<AtomicBool>,
    /// Supplies the state of the plugins' containers.
    pub(crate) backend: Arc<dyn Backend>,
}

/// Time limit of requests without a result: they are small.
const SMALL_REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// The routes of the workers' interface.
pub(crate) fn router(interface: Interface) -> Router {
    Router::new()
        .route(routes::RESULTS_GLOBAL, routing::put(put_global).head(head_global))
        .route(routes::RESULTS_BY_NODE, routing::put(put_node).head(head_node))
        .route(routes::PROGRESS_GLOBAL, routing::post(post_global))
        .route(routes::PROGRESS_BY_NODE, routing::post(post_node))
        .fallback(|| async { text(StatusCode::NOT_FOUND, "404 page not found") })
        .layer(axum::middleware::from_fn(limit_small_requests))
        .layer(axum::middleware::map_request(only_clean_paths))
        .with_state(interface)
}

/// Results have limits of their own.
async fn limit_small_requests(request: Request, next: Next) -> Response {
    if request.method() == Method::PUT {
        return next.run(request).await;
    }
    match tokio::time::timeout(SMALL_REQUEST_LIMIT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => text(
            StatusCode::REQUEST_TIMEOUT,
            &format!("the request took longer than {} s", SMALL_REQUEST_LIMIT.as_secs()),
        ),
    }
}

/// Redirects paths with empty, `.` or `..` segments to their clean form, as Go's routers do.
async fn only_clean_paths(request: Request) -> Result<Request, Response> {
    match clean(request.uri().path()) {
        None => Ok(request),
        Some(path) => {
            let query = request.uri().query().map(|query| format!("?{query}"));
            let location = format!("{path}{}", query.unwrap_or_default());
            Err((StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, location)]).into_response())
        }
    }
}

/// The clean form of a path, if it differs.
fn clean(path: &str) -> Option<String> {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let mut clean = format!("/{}", segments.join("/"));
    if path.ends_with('/') && !segments.is_empty() {
        clean.push('/');
    }
    (clean != path).then_some(clean)
}

async fn put_global(
    State(interface): State<Interface>,
    Extension(peer): Extension<Arc<Peer>>,
    Extension(slot): Extension<Arc<Slot>>,
    Path(plugin): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    put(interface, &peer, slot, &plugin, None, &headers, body).await
}

async fn put_node(
    State(interface): State<Interface>,
    Extension(peer): Extension<Arc<Peer>>,
    Extension(slot): Extension<Arc<Slot>>,
    Path((node, plugin)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    put(interface, &peer, slot, &plugin, Some(&node), &headers, body).await
}

async fn head_global(
    State(interface): State<Interface>,
    Extension(peer): Extension<Arc<Peer>>,
    Path(plugin): Path<String>,
    headers: HeaderMap,
) -> Response {
    head(interface, &peer, &plugin, None, &headers).await
}

async fn head_node(
    State(interface): State<Interface>,
    Extension(peer): Extension<Arc<Peer>>,
    Path((node, plugin)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    head(interface, &peer, &plugin, Some(&node), &headers).await
}

async fn post_global(
    State(interface): State<Interface>,
    Extension(peer): Extension<Arc<Peer>>,
    Path(plugin): Path<String>,
    body: Body,
) -> Response {
    post(interface, &peer, &plugin, None, body).await
}

async fn post_node(
    State(interface): State<Interface>,
    Extension(peer): Extension<Arc<Peer>>,
    Path((node, plugin)): Path<(String, String)>,
    body: Body,
) -> Response {
    post(interface, &peer, &plugin, Some(&node), body).await
}

async fn put(
    interface: Interface,
    peer: &Peer,
    slot: Arc<Slot>,
    plugin: &str,
    node: Option<&str>,
    headers: &HeaderMap,
    body: Body,
) -> Response {
    let waits = headers.contains_key(header::EXPECT);
    let key = match key(peer, plugin, node, "result") {
        Ok(key) => key,
        Err(refused) => {
            interface.uploads.refused_identity();
            if !waits {
                interface.uploads.discard(body).await;
            }
            return refused;
        }
    };
    let value = |name: &str| header_text(headers, name);
    let head = Head {
        file_name: content_disposition::file_name(value(header::CONTENT_DISPOSITION.as_str())),
        content_type: value(header::CONTENT_TYPE.as_str()).unwrap_or_default().to_owned(),
        length: value(header::CONTENT_LENGTH.as_str()).and_then(|length| length.parse().ok()),
        is_error: headers.contains_key(routes::ERROR_HEADER),
        part: UploadPart::parse(value(routes::UPLOAD_HEADER), value(header::CONTENT_RANGE.as_str())),
        waits,
    };
    tracing::info!(
        plugin_name = plugin,
        node,
        method = "PUT",
        client_cert = plugin,
        "received request"
    );
    let (retention, received) = (interface.retention, key.clone());
    // A task of its own: an upload whose last byte has arrived is finished even if its client has disconnected.
    let upload = tokio::spawn(async move {
        interface
            .uploads
            .receive(received, head, body, UploadSlot::new(slot))
            .await
    });
    let error = match upload.await {
        Ok(Ok(())) => return with_retention(StatusCode::OK.into_response(), retention),
        Ok(Err(error)) => error,
        // This process is ending; the next one accepts the result.
        Err(error) if error.is_cancelled() => UploadError::Closed,
        // The task's ticket was dropped, so the ledger entry has ended.
        Err(error) => return text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    };
    let is_known = matches!(error, UploadError::Refused(Refusal::AlreadyReceived(_)));
    let answer = text(error.status(), &error.message(&key));
    with_retention(answer, retention.filter(|_| is_known))
}

/// Answers the queries of workers: how much of an interrupted body is stored ([`routes::UPLOAD_HEADER`]), the state of the
/// containers ([`routes::CONTAINERS_HEADER`]), and whether a retained result is still needed ([`routes::KEEP_HEADER`]).
async fn head(interface: Interface, peer: &Peer, plugin: &str, node: Option<&str>, headers: &HeaderMap) -> Response {
    let key = match key(peer, plugin, node, "result") {
        Ok(key) => key,
        Err(refused) => return refused,
    };
    if let Some(name) = header_text(headers, routes::UPLOAD_HEADER) {
        return match interface.uploads.received(&key, name) {
            Some(bytes) => [(routes::RECEIVED_HEADER, bytes.to_string())].into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        };
    }
    if headers.contains_key(routes::CONTAINERS_HEADER) {
        let state = interface.backend.containers(&key);
        return (StatusCode::NO_CONTENT, [(routes::CONTAINERS_HEADER, state.as_str())]).into_response();
    }
    let Some(retention) = interface.retention else {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    };
    let status = match interface.coordinator.result_state(key).await {
        Ok(Some(ResultState::Result)) => StatusCode::OK,
        Ok(Some(ResultState::Error)) => StatusCode::ACCEPTED,
        Ok(Some(ResultState::Missing)) => StatusCode::NOT_FOUND,
        Ok(None) => StatusCode::FORBIDDEN,
        Err(_) if interface.over.load(Ordering::Relaxed) => StatusCode::GONE,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, retention_header(retention)).into_response()
}

fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn retention_header(retention: Duration) -> [(&'static str, String); 1] {
    [(routes::KEEP_HEADER, retention.as_secs().to_string())]
}

/// Adds the retention header to the response for a stored result.
fn with_retention(answer: Response, retention: Option<Duration>) -> Response {
    match retention {
        Some(retention) => (retention_header(retention), answer).into_response(),
        None => answer,
    }
}

async fn post(interface: Interface, peer: &Peer, plugin: &str, node: Option<&str>, body: Body) -> Response {
    let key = match key(peer, plugin, node, "progress update for") {
        Ok(key) => key,
        Err(refused) => return refused,
    };
    let most = usize::try_from(interface.limits.max_progress_bytes).unwrap_or(usize::MAX);
    let Update { bytes, held } = match interface.updates.read(&key.plugin, body, most).await {
        Ok(update) => update,
        Err(unread) => return unread.status().into_response(),
    };
    let Ok(update) = ProgressUpdate::from_body(&bytes, &key, (interface.clock)()) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    drop(bytes);
    let taken = interface.coordinator.progress(key.clone(), update).await;
    drop(held);
    match taken {
        Ok(true) => StatusCode::OK.into_response(),
        Ok(false) => text(StatusCode::FORBIDDEN, &format!("progress update for {key} unexpected")),
        Err(closed) => text(StatusCode::SERVICE_UNAVAILABLE, &closed.to_string()),
    }
}

/// Requests that were refused because of their certificate, since this process started.
static REFUSED: AtomicU64 = AtomicU64::new(0);

/// Whether the refusal of this number is logged: the first ones, then fewer and fewer, because a client can cause any
/// number of them.
fn is_logged(count: u64) -> bool {
    count <= 20 || count.is_power_of_two()
}

/// The key that the path names, if the client's certificate is that plugin's (weakness W-11). Names that cannot be
/// expected are answered as unexpected.
#[expect(clippy::result_large_err, reason = "the error is the response itself")]
fn key(peer: &Peer, plugin: &str, node: Option<&str>, what: &str) -> Result<ResultKey, Response> {
    let target = node.map_or(constants::GLOBAL, |node| node);
    let unexpected = || text(StatusCode::FORBIDDEN, &format!("{what} {plugin}/{target} unexpected"));
    let name = PluginName::parse(plugin).map_err(|_| unexpected())?;
    let target = match node {
        None => Target::Global,
        Some(node) => Target::Node(NodeName::parse(node).map_err(|_| unexpected())?),
    };
    // Exact: `cis-1.8` is a valid plugin's name and no valid DNS name.
    if !peer.names.iter().any(|own| own == plugin) {
        let own = peer.names.join(", ");
        let count = REFUSED.fetch_add(1, Ordering::Relaxed) + 1;
        if is_logged(count) {
            tracing::warn!(
                client_cert = own,
                plugin_name = plugin,
                count,
                "refused: certificate of another plugin"
            );
        }
        return Err(text(
            StatusCode::FORBIDDEN,
            &format!("{what} {name}/{target} refused: the client certificate belongs to {own:?}"),
        ));
    }
    Ok(ResultKey::new(name, target))
}

fn text(status: StatusCode, message: &str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, format!("{message}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn small_request_that_takes_long_is_ended() {
        use tower::ServiceExt as _;
        let never = || async { std::future::pending::<()>().await };
        let app = Router::new()
            .route("/", routing::any(never))
            .layer(axum::middleware::from_fn(limit_small_requests));
        let ask = async |method| {
            let request = Request::builder().method(method).body(Body::empty()).unwrap();
            let answer = tokio::time::timeout(Duration::from_mins(1), app.clone().oneshot(request)).await;
            answer.ok().map(|answer| answer.unwrap().status())
        };
        for method in [Method::POST, Method::HEAD, Method::GET] {
            assert_eq!(ask(method).await, Some(StatusCode::REQUEST_TIMEOUT));
        }
        assert_eq!(ask(Method::PUT).await, None);
    }

    /// A plugin that requests results of other plugins cannot fill the log.
    #[test]
    fn refusals_are_logged_at_a_decreasing_rate() {
        let lines = (1..=1_000_000).filter(|count| is_logged(*count)).count();
        assert_eq!(lines, 20 + 15);
    }

    #[test]
    fn paths_are_cleaned_as_gos_routers_do() {
        for (path, expected) in [
            ("/api/v1/results/global/p", None),
            ("/api/v1/results/global/p/", None),
            ("/", None),
            ("/api//v1/results/global/p", Some("/api/v1/results/global/p")),
            ("/api/v1/results/by-node/../p", Some("/api/v1/results/p")),
            ("/api/./v1/", Some("/api/v1/")),
            ("/../../x", Some("/x")),
            ("//", Some("/")),
        ] {
            assert_eq!(clean(path).as_deref(), expected, "{path}");
        }
    }
}
