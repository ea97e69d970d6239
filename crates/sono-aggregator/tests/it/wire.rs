//! Each row of core §2.4 and §2.11, as bytes on the wire.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use rustls::{
    ProtocolVersion,
    pki_types::{CertificateDer, UnixTime},
    time_provider::TimeProvider,
};
use serde_json::{Value, json};
use sono_manifest::DriverKind;
use sono_types::{RunStatus, UploadLimits, routes, status::plugin_status};

use crate::{
    GLOBAL, archive,
    backend::{Options, TestRun, plugin, within},
    put,
    raw::{Answer, connect, exchange},
    tree,
};

/// `head` and `body` to a node's result.
async fn send(run: &TestRun, node: &str, head: &[&str], body: &[u8]) -> (u16, String) {
    let line = format!("PUT /api/v1/results/by-node/{node}/p HTTP/1.1");
    let mut lines = vec![line.as_str()];
    lines.extend(head);
    let Answer { status, body, .. } = exchange(run, "p", &lines, body).await;
    (status, body)
}

fn stored(run: &TestRun) -> BTreeMap<String, String> {
    tree(&run.directory().join("plugins/p/results"))
}

#[tokio::test]
async fn routes_and_methods() {
    let run = TestRun::start(vec![plugin("p", DriverKind::Job)], UploadLimits::default()).await;
    for (line, status, body, location) in [
        ("PUT /api/v1/results/global/p/", 404, "404 page not found\n", None),
        ("PUT /api/v1/results/by-node/p", 404, "404 page not found\n", None),
        ("PUT /api/v1/results/by-node/a/b/p", 404, "404 page not found\n", None),
        ("PUT /", 404, "404 page not found\n", None),
        ("PUT /api/v1/info/global/p", 404, "404 page not found\n", None),
        ("GET /api/v1/results/global/p", 405, "", None),
        ("POST /api/v1/results/global/p", 405, "", None),
        ("POST /api/v1/results/by-node/n1/p", 405, "", None),
        ("PUT /api/v1/progress/global/p", 405, "", None),
        ("GET /api/v1/progress/by-node/n1/p", 405, "", None),
        (
            "PUT /api/v1//results/global/p",
            301,
            "",
            Some("/api/v1/results/global/p"),
        ),
        (
            "PUT /api/v1/results/by-node//p",
            301,
            "",
            Some("/api/v1/results/by-node/p"),
        ),
        (
            "PUT /api/v1/results/by-node/../p?a=b",
            301,
            "",
            Some("/api/v1/results/p?a=b"),
        ),
    ] {
        let request = format!("{line} HTTP/1.1");
        let answer = exchange(&run, "p", &[&request, "Content-Length: 0"], b"").await;
        assert_eq!(
            (answer.status, answer.body.as_str(), answer.header("location")),
            (status, body, location),
            "{line}"
        );
    }
}

#[tokio::test]
async fn bodies_come_sized_chunked_and_empty() {
    let run = TestRun::begin(Options {
        nodes: 6,
        ..Options::default()
    })
    .await;
    let ok = (200, String::new());
    assert_eq!(send(&run, "n1", &["Content-Length: 5"], b"sized").await, ok);
    let chunks = b"3\r\nchu\r\n4;x=y\r\nnked\r\n0\r\n\r\n";
    assert_eq!(send(&run, "n2", &["Transfer-Encoding: chunked"], chunks).await, ok);
    assert_eq!(
        send(&run, "n3", &["Content-Length: 0", "Content-Type: "], b"").await,
        ok
    );
    // A request with neither header has no body (RFC 9112 §6.3).
    assert_eq!(send(&run, "n4", &[], b"").await, ok);
    // A body with a content encoding is not unpacked.
    assert_eq!(
        send(
            &run,
            "n5",
            &["Content-Length: 2", "Content-Encoding: gzip"],
            b"\x1f\x8b"
        )
        .await,
        ok
    );
    let expected = [
        ("n1/result", "sized"),
        ("n2/result", "chunked"),
        ("n3/result", ""),
        ("n4/result", ""),
        ("n5/result", "\u{1f}\u{fffd}"),
    ];
    let expected = expected.map(|(name, text)| (name.to_owned(), text.to_owned()));
    assert_eq!(stored(&run), BTreeMap::from(expected));
}

#[tokio::test]
async fn file_names_follow_the_quoting_rules() {
    let rows = [
        ("attachment", "result"),
        ("attachment;filename=", "result"),
        ("attachment;filename=out.txt", "out.txt"),
        ("attachment; filename=\"with space (1).txt\"", "with space (1).txt"),
        ("attachment;filename=with space.txt", "result"),
        ("attachment;filename=a/b", "result"),
        ("attachment;filename*=UTF-8''na%C3%AFve.txt", "na\u{ef}ve.txt"),
        ("attachment;filename=\"open", "result"),
    ];
    let run = TestRun::begin(Options {
        nodes: rows.len() + 2,
        ..Options::default()
    })
    .await;
    let mut expected = BTreeMap::new();
    for (number, (header, name)) in rows.iter().enumerate() {
        let node = format!("n{}", number + 1);
        let header = format!("Content-Disposition: {header}");
        assert_eq!(
            send(&run, &node, &[&header, "Content-Length: 1"], b"x").await,
            (200, String::new()),
            "{header}"
        );
        expected.insert(format!("{node}/{name}"), "x".to_owned());
    }
    assert_eq!(stored(&run), expected);
    // Well formed and hostile (W-4).
    let hostile = r#"Content-Disposition: attachment;filename="../../escaped""#;
    let (status, text) = send(&run, "n9", &[hostile, "Content-Length: 1"], b"x").await;
    assert_eq!(
        (status, text.as_str()),
        (
            400,
            "error handling result p/n9: file name \"../../escaped\" contains '/'\n"
        )
    );
}

#[tokio::test]
async fn only_the_exact_content_type_is_unpacked() {
    let run = TestRun::begin(Options {
        nodes: 4,
        ..Options::default()
    })
    .await;
    let tar = archive(&[("deep/file.txt", "content")]);
    let length = format!("Content-Length: {}", tar.len());
    let ok = (200, String::new());
    let name = "Content-Disposition: attachment;filename=ignored.tar.gz";
    let gzip = ["Content-Type: application/gzip", name, length.as_str()];
    assert_eq!(send(&run, "n1", &gzip, &tar).await, ok);
    let parameter = ["Content-Type: application/gzip; x=y", name, length.as_str()];
    assert_eq!(send(&run, "n2", &parameter, &tar).await, ok);
    let other = ["Content-Type: application/x-gzip", length.as_str()];
    assert_eq!(send(&run, "n3", &other, &tar).await, ok);
    let names: Vec<String> = stored(&run).into_keys().collect();
    assert_eq!(names, ["n1/deep/file.txt", "n2/ignored.tar.gz", "n3/result"]);
}

#[tokio::test]
async fn refusals_are_plain_text() {
    let run = TestRun::begin(Options::default()).await;
    let put = "PUT /api/v1/results/by-node/n9/p HTTP/1.1";
    let answer = exchange(&run, "p", &[put, "Content-Length: 1"], b"x").await;
    assert_eq!((answer.status, answer.body.as_str()), (403, "result p/n9 unexpected\n"));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
}

/// The status row of one node, from the loopback listener.
async fn row(run: &TestRun, node: &str) -> Value {
    let url = format!("http://{}/api/v1/status", run.local);
    let status: Value = within(reqwest::Client::new().get(url).send())
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let rows = status["plugins"].as_array().cloned().unwrap_or_default();
    rows.into_iter().find(|row| row["node"] == node).unwrap_or_default()
}

#[tokio::test]
async fn progress_is_read_leniently_and_its_identity_is_the_servers() {
    let run = TestRun::begin(Options::default()).await;
    let post = async |node: &str, head: &[&str], body: &str| {
        let line = format!("POST /api/v1/progress/by-node/{node}/p HTTP/1.1");
        let length = format!("Content-Length: {}", body.len());
        let mut lines = vec![line.as_str(), length.as_str()];
        lines.extend(head);
        let answer = exchange(&run, "p", &lines, body.as_bytes()).await;
        (answer.status, answer.body)
    };
    let ok = (200, String::new());
    for bad in ["", "x", "[]", "{\"total\":\"3\"}", "{\"total\":"] {
        assert_eq!(post("n1", &[], bad).await, (400, String::new()), "{bad}");
    }
    assert_eq!(
        post("n9", &[], "{}").await,
        (403, "progress update for p/n9 unexpected\n".to_owned())
    );
    let e2e = r#"{"MSG":"m","total":7,"completed":2,"skipped":9,"failed":1,"failures":["x"],"name":"forged","node":"forged","timestamp":"0001-01-01T00:00:00Z"}{"msg":"later"}"#;
    assert_eq!(post("n1", &["Content-Type: application/json"], e2e).await, ok);
    assert_eq!(
        put(&run.client("p"), &run.url("/api/v1/results/by-node/n1/p"), &[], "done").await,
        ok
    );
    // Accepted also after the result; appended to the existing update.
    let more = r#"{"msg":"after","appendtotals":true,"appendcompleted":3,"appendfailing":["y"]}"#;
    assert_eq!(post("n1", &[], more).await, ok);
    let shown = async {
        loop {
            let row = row(&run, "n1").await;
            if row["progress"]["msg"] == "after" {
                return row;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut row = within(shown).await;
    let timestamp = row["progress"]["timestamp"].take();
    let age = run_age(timestamp.as_str().unwrap());
    assert!((-5..60).contains(&age), "{timestamp}");
    assert_eq!(
        row,
        json!({"plugin": "p", "node": "n1", "status": plugin_status::COMPLETE, "result-status": "", "result-counts": null,
            "progress": {"name": "p", "node": "n1", "timestamp": null, "msg": "after", "total": 11, "completed": 5, "failures": ["x", "y"]}})
    );
}

/// Seconds since that time.
fn run_age(timestamp: &str) -> i64 {
    let now = (sono_aggregator::system_clock())();
    now.duration_since(timestamp.parse().unwrap()).as_secs()
}

/// The negotiated parameters of a connection.
struct Agreed {
    version: Option<ProtocolVersion>,
    protocol: Option<Vec<u8>>,
    chain: Vec<CertificateDer<'static>>,
}

async fn agree(run: &TestRun, tls: rustls::ClientConfig) -> std::io::Result<Agreed> {
    let connection = connect(run, tls).await?;
    Ok(Agreed {
        version: connection.conn.protocol_version(),
        protocol: connection.conn.alpn_protocol().map(<[u8]>::to_vec),
        chain: connection.conn.peer_certificates().unwrap_or_default().to_vec(),
    })
}

#[tokio::test]
async fn server_shows_its_chain_and_offers_http_1_alone() {
    let run = TestRun::begin(Options::default()).await;
    let offer = async |protocols: &[&str]| {
        let mut tls = run.tls("p");
        tls.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        agree(&run, tls).await.unwrap()
    };
    let both = offer(&["h2", "http/1.1"]).await;
    assert_eq!(both.protocol.as_deref(), Some(b"http/1.1".as_slice()));
    assert_eq!(both.version, Some(ProtocolVersion::TLSv1_3));
    assert_eq!(both.chain.len(), 2, "leaf and CA");
    // Go's client with TLS settings of its own offers nothing.
    assert_eq!(reqwest_version(&run).await, reqwest::Version::HTTP_11);
}

async fn reqwest_version(run: &TestRun) -> reqwest::Version {
    let answer = run.client("p").head(run.url("/")).send();
    within(answer).await.unwrap().version()
}

/// W-30: certificates are valid from long before the run to long after it.
#[tokio::test]
async fn clients_with_wrong_clocks_are_accepted() {
    #[derive(Debug)]
    struct At(i64);
    impl TimeProvider for At {
        fn current_time(&self) -> Option<UnixTime> {
            let now = UnixTime::now().as_secs();
            Some(UnixTime::since_unix_epoch(Duration::from_secs(
                now.checked_add_signed(self.0)?,
            )))
        }
    }
    let run = TestRun::begin(Options::default()).await;
    for hours in [-12, 0, 49, 24 * 365] {
        let mut tls = run.tls("p");
        tls.time_provider = Arc::new(At(hours * 3600));
        assert!(agree(&run, tls).await.is_ok(), "{hours} h");
    }
}

/// W-22: hundreds of results and updates at once, while the status is read: one owner, no lock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_concurrent_uploads_while_the_status_is_read() {
    const NODES: usize = 200;
    let run = TestRun::begin(Options {
        nodes: NODES,
        ..Options::default()
    })
    .await;
    let client = run.client("p");
    let mut tasks = tokio::task::JoinSet::new();
    for number in 1..=NODES {
        let (client, node) = (client.clone(), format!("n{number}"));
        let result = run.url(&format!("/api/v1/results/by-node/{node}/p"));
        let progress = run.url(&format!("/api/v1/progress/by-node/{node}/p"));
        tasks.spawn(async move {
            let response = client.post(progress).body(r#"{"msg":"m","completed":1}"#).send().await;
            // Accepted until the run is over.
            assert!(response.unwrap().status().is_success());
            let sent = client.put(result).body(node).send().await.unwrap();
            assert_eq!(sent.status().as_u16(), 200);
        });
    }
    let reader = tokio::spawn({
        let url = format!("http://{}/api/v1/status", run.local);
        async move {
            let client = reqwest::Client::new();
            loop {
                let status: RunStatus = client.get(&url).send().await.unwrap().json().await.unwrap();
                if status.archive().is_some() {
                    return status;
                }
            }
        }
    });
    while let Some(done) = within(tasks.join_next()).await {
        done.unwrap();
    }
    let last = within(reader).await.unwrap();
    assert_eq!(last.rows().len(), NODES);
    assert!(last.rows().iter().all(|row| row.status == plugin_status::COMPLETE));
    assert_eq!(run.finished().await.0.unwrap().status, last);
}

/// A worker whose pod has no token queries the state of its sibling containers: of its own plugin only.
#[tokio::test]
async fn container_queries_are_answered_for_the_plugin_of_the_certificate() {
    let run = TestRun::start(
        vec![plugin("p", DriverKind::Job), plugin("q", DriverKind::Job)],
        UploadLimits::default(),
    )
    .await;
    let ask = async |client: &str, path: &str, asks: bool| {
        let mut request = run.client(client).head(run.url(path));
        if asks {
            request = request.header(routes::CONTAINERS_HEADER, "?");
        }
        let answer = within(request.send()).await.unwrap();
        let said = answer.headers().get(routes::CONTAINERS_HEADER).cloned();
        (
            answer.status().as_u16(),
            said.map(|said| said.to_str().unwrap().to_owned()),
        )
    };
    let said = |state: &str| Some(state.to_owned());
    assert_eq!(ask("p", GLOBAL, true).await, (204, said("succeeded")));
    assert_eq!(
        ask("p", "/api/v1/results/by-node/n1/p", true).await,
        (204, said("unknown"))
    );
    assert_eq!(ask("q", "/api/v1/results/global/q", true).await, (204, said("unknown")));
    assert_eq!(ask("q", GLOBAL, true).await, (403, None));
    // Workers that do not query get the same response as before.
    assert_eq!(ask("p", GLOBAL, false).await, (405, None));
}
