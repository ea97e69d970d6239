use std::{
    collections::VecDeque,
    net::Ipv4Addr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::header,
    response::IntoResponse,
};
use axum_server::tls_rustls::{RustlsConfig, from_tcp_rustls};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};

use super::*;

const LIMIT: Duration = Duration::from_secs(30);

/// The response to one request.
enum Answer {
    Status(u16),
    Json(Value),
    /// A watch that sends these chunks and then ends.
    Pieces(Vec<String>),
    /// A watch that sends these chunks and stays open.
    Open(Vec<String>),
}

#[derive(Clone, Default)]
struct Api {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    /// Path, query and token of each request.
    asked: Arc<Mutex<Vec<(String, String)>>>,
}

async fn answer(State(api): State<Api>, request: Request) -> impl IntoResponse {
    let token = request.headers()[header::AUTHORIZATION].to_str().unwrap().to_owned();
    api.asked.lock().unwrap().push((request.uri().to_string(), token));
    let next = api.answers.lock().unwrap().pop_front();
    let pieces = |pieces: Vec<String>| futures::stream::iter(pieces.into_iter().map(Ok::<_, io::Error>));
    match next {
        Some(Answer::Status(status)) => StatusCode::from_u16(status).unwrap().into_response(),
        Some(Answer::Json(value)) => axum::Json(value).into_response(),
        Some(Answer::Pieces(list)) => Body::from_stream(pieces(list)).into_response(),
        Some(Answer::Open(list)) => Body::from_stream(pieces(list).chain(futures::stream::pending())).into_response(),
        None => Body::from_stream(futures::stream::pending::<io::Result<String>>()).into_response(),
    }
}

/// Serves these responses, follows the pod until each of `states` was seen in turn, and returns the requests.
async fn check(answers: Vec<Answer>, states: &[ContainersState]) -> Vec<(String, String)> {
    sono_tls::install_provider();
    let now = crate::system_clock();
    let authority = sono_tls::Authority::new(now).unwrap();
    let identity = authority.server(now, &["127.0.0.1".to_owned()]).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap(),
        )
        .unwrap();
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let api = Api::default();
    api.answers.lock().unwrap().extend(answers);
    let app = Router::new().fallback(answer).with_state(api.clone());
    let serving = tokio::spawn(
        from_tcp_rustls(listener, RustlsConfig::from_config(Arc::new(config)))
            .unwrap()
            .serve(app.into_make_service()),
    );

    let directory = tempfile::tempdir().unwrap();
    let server = Server {
        url,
        token: directory.path().join("token"),
        ca: directory.path().join("ca.crt"),
    };
    fs_err::write(&server.token, "secret\n").unwrap();
    fs_err::write(&server.ca, authority.certificate_pem()).unwrap();
    let pod = OwnPod {
        namespace: "ns".to_owned(),
        name: "p".to_owned(),
        container: "sonobuoy-worker".to_owned(),
    };
    let (state, mut seen) = watch::channel(ContainersState::Unknown);
    let waiting = async {
        for expected in states {
            seen.wait_for(|state| state == expected).await.unwrap();
        }
    };
    tokio::select! {
        error = follow(&server, &pod, &state) => panic!("gave up: {error}"),
        waited = time::timeout(LIMIT, waiting) => waited.expect("the state did not change in time"),
    }
    serving.abort();
    api.asked.lock().unwrap().clone()
}

fn pod(code: Option<i64>) -> Value {
    let state = code.map_or_else(
        || json!({"running": {}}),
        |code| json!({"terminated": {"exitCode": code}}),
    );
    json!({
        "kind": "Pod",
        "spec": {"containers": [{"name": "plugin"}, {"name": "sonobuoy-worker"}]},
        "status": {"containerStatuses": [{"name": "plugin", "state": state}]},
    })
}

fn event(kind: &str, object: &Value) -> String {
    format!("{}\n", json!({"type": kind, "object": object}))
}

fn watching() -> (String, String) {
    (
        "/api/v1/namespaces/ns/pods?watch=1&fieldSelector=metadata.name%3Dp&timeoutSeconds=240&resourceVersion=0"
            .to_owned(),
        "Bearer secret".to_owned(),
    )
}

#[tokio::test]
async fn events_update_the_state() {
    let whole = event("ADDED", &pod(None)) + &event("MODIFIED", &pod(Some(0)));
    // The stream may be split anywhere.
    let (first, second) = whole.split_at(whole.len() / 3);
    let asked = check(
        vec![Answer::Open(vec![first.to_owned(), second.to_owned()])],
        &[ContainersState::Succeeded],
    )
    .await;
    assert_eq!(asked, [watching()]);
}

#[tokio::test]
async fn ended_watch_is_reopened() {
    let asked = check(
        vec![
            Answer::Pieces(vec![event("ADDED", &pod(None))]),
            Answer::Status(500),
            Answer::Pieces(vec![event(
                "ERROR",
                &json!({"kind": "Status", "status": "Failure", "code": 410}),
            )]),
            Answer::Open(vec![event("ADDED", &pod(Some(1)))]),
        ],
        &[ContainersState::Running, ContainersState::Failed],
    )
    .await;
    assert_eq!(asked, [watching(), watching(), watching(), watching()]);
}

#[tokio::test]
async fn account_without_watch_permission_polls() {
    let asked = check(
        vec![Answer::Status(403), Answer::Json(pod(Some(0)))],
        &[ContainersState::Succeeded],
    )
    .await;
    assert_eq!(
        asked,
        [
            watching(),
            ("/api/v1/namespaces/ns/pods/p".to_owned(), "Bearer secret".to_owned())
        ]
    );
}

#[tokio::test]
async fn missing_account_ends_following() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server {
        url: "https://127.0.0.1:1".to_owned(),
        token: directory.path().join("token"),
        ca: directory.path().join("ca.crt"),
    };
    let pod = OwnPod {
        namespace: "ns".to_owned(),
        name: "p".to_owned(),
        container: "sonobuoy-worker".to_owned(),
    };
    let (state, seen) = watch::channel(ContainersState::Unknown);
    let error = time::timeout(LIMIT, follow(&server, &pod, &state)).await.unwrap();
    assert!(error.is_final(), "{error}");
    assert_eq!(*seen.borrow(), ContainersState::Unknown);
}
