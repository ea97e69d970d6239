//! Queries: discovery, pages, retries.

use std::{io, path::Path, time::Duration};

use serde_json::{Value, json};
use sono_kube::query::{Discovery, DiscoveryProblem, ListRequest, Probe, QueryError, Rate, Reader, Sink};
use sono_testkit::FakeApi;

use crate::{LIMIT, fake, pod};

#[derive(Default)]
struct Names(Vec<String>);

impl Sink for Names {
    fn restart(&mut self) -> io::Result<()> {
        self.0.clear();
        Ok(())
    }

    fn item(&mut self, item: Value) -> io::Result<()> {
        self.0.push(item["metadata"]["name"].as_str().unwrap().to_owned());
        Ok(())
    }
}

async fn reader() -> (FakeApi, Reader) {
    let (api, cluster) = fake().await;
    let scratch = std::env::temp_dir();
    let reader = Reader::new(&cluster, Rate::from_config(-1.0, 0), &scratch).unwrap();
    (api, reader)
}

fn pods() -> ListRequest {
    ListRequest {
        path: "/api/v1/pods".to_owned(),
        ..ListRequest::default()
    }
}

fn refusal(code: u16, wait: u64) -> Value {
    json!({"kind": "Status", "status": "Failure", "code": code, "message": "not now", "details": {"retryAfterSeconds": wait}})
}

fn parts(discovery: &Discovery) -> (Vec<String>, Vec<DiscoveryProblem>) {
    let name = |resource: &sono_kube::query::Resource| {
        let place = if resource.namespaced { "namespaced" } else { "cluster" };
        format!(
            "{} {} {} {place}",
            resource.api_version(),
            resource.plural,
            resource.kind
        )
    };
    (
        discovery.resources.iter().map(name).collect(),
        discovery.problems.clone(),
    )
}

/// W-17: an unavailable aggregated API is one problem; the rest is discovered, in both forms of discovery.
#[tokio::test]
async fn a_broken_api_is_one_problem() {
    let (api, reader) = reader().await;
    api.offer("apps", "v1", "deployments", "Deployment", true);
    api.offer("apps", "v1beta1", "deployments", "Deployment", true);
    api.offer("apps", "v1beta1", "relics", "Relic", false);
    api.offer("shop.example.com", "v1", "pods", "Pod", true);
    api.offer_broken("metrics.k8s.io", "v1beta1");
    let expected = (
        [
            "v1 configmaps ConfigMap namespaced",
            "v1 events Event namespaced",
            "v1 namespaces Namespace cluster",
            "v1 nodes Node cluster",
            "v1 pods Pod namespaced",
            "v1 secrets Secret namespaced",
            "v1 services Service namespaced",
            "apps/v1 deployments Deployment namespaced",
            "apps/v1beta1 relics Relic cluster",
            "shop.example.com/v1 pods Pod namespaced",
        ]
        .map(str::to_owned)
        .to_vec(),
        vec![DiscoveryProblem {
            part: "metrics.k8s.io/v1beta1".to_owned(),
            message: "reading /apis/metrics.k8s.io/v1beta1 was refused (503): the server is currently unable to handle the request".to_owned(),
        }],
    );
    assert_eq!(parts(&reader.discover().await), expected);
    let asked = api.requests().len();
    assert_eq!(asked, 3, "{:?}", api.requests());
    api.without_aggregated_discovery();
    assert_eq!(parts(&reader.discover().await), expected);
    assert!(api.requests().contains(&"GET /apis/apps/v1beta1".to_owned()));
}

#[tokio::test]
async fn lists_are_read_page_by_page() {
    let (api, reader) = reader().await;
    let names: Vec<String> = (0..1_203).map(|number| format!("p{number:04}")).collect();
    for name in &names {
        api.put(pod(name));
    }
    let (found, end) = reader.list(&pods(), Names::default()).await.unwrap();
    assert_eq!(found.0, names);
    assert_eq!(
        (end.kind.as_str(), end.metadata),
        ("PodList", json!({"resourceVersion": "1205"}))
    );
    let pages = ["", "&continue=500", "&continue=1000"].map(|rest| format!("GET /api/v1/pods?limit=500{rest}"));
    assert_eq!(api.queries(), pages);
    // The resourceVersion expires after the first page: the list restarts and has every item once.
    api.expire_pages(1);
    let (found, _) = reader.list(&pods(), Names::default()).await.unwrap();
    assert_eq!(found.0, names);
    assert_eq!(
        api.queries()[3..],
        ["?limit=500", "?limit=500&continue=500", ""].map(|rest| format!("GET /api/v1/pods{rest}"))
    );
}

#[tokio::test]
async fn busy_server_is_retried_and_a_broken_one_is_quoted() {
    let (api, reader) = reader().await;
    api.put(pod("p"));
    api.fail_times("GET", "/api/v1/pods", refusal(429, 0), 2);
    let (found, _) = tokio::time::timeout(LIMIT, reader.list(&pods(), Names::default()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.0, ["p"]);
    assert_eq!(api.requests().len(), 3);
    let said = |error: QueryError| error.to_string();
    api.fail("GET", "/api/v1/pods", refusal(500, 0));
    let error = reader.list(&pods(), Names::default()).await.map(|_| ()).unwrap_err();
    assert_eq!(said(error), "reading /api/v1/pods?limit=500 was refused (500): not now");
    assert_eq!(api.requests().len(), 4);
    api.clear_faults();
    api.fail("GET", "/api/v1/pods", refusal(429, 0));
    let error = reader.list(&pods(), Names::default()).await.map(|_| ()).unwrap_err();
    assert_eq!(said(error), "reading /api/v1/pods?limit=500 was refused (429): not now");
    assert_eq!(api.requests().len(), 8);
    api.put_text("/odd", 500, "plain words\n");
    assert_eq!(
        said(reader.json("/odd").await.unwrap_err()),
        "reading /odd was refused (500): plain words"
    );
    let probe = reader.probe("/odd").await.unwrap();
    assert_eq!((probe.status, probe.body), (500, b"plain words\n".to_vec()));
    api.put_text("/text", 200, "plain words");
    assert_eq!(
        said(reader.json("/text").await.unwrap_err()),
        "/text: the response is not JSON"
    );
    let expected = Probe {
        status: 200,
        body: b"plain words".to_vec(),
    };
    assert_eq!(reader.probe("/text").await.unwrap(), expected);
}

#[tokio::test]
async fn responses_are_streamed_and_cut() {
    let (api, reader) = reader().await;
    let text = "0123456789".repeat(100_000);
    api.put_text("/long", 200, &text);
    let mut whole = Vec::new();
    let read = reader
        .open("/long")
        .await
        .unwrap()
        .copy_to(&mut whole, u64::MAX)
        .await
        .unwrap();
    assert_eq!((read, whole.len()), ((1_000_000, true), 1_000_000));
    let mut part = Vec::new();
    let read = reader.open("/long").await.unwrap().copy_to(&mut part, 7).await.unwrap();
    assert_eq!((read, part.as_slice()), ((7, false), b"0123456".as_slice()));
}

#[tokio::test]
async fn unwritable_disk_is_reported() {
    let (_api, cluster) = fake().await;
    let reader = Reader::new(&cluster, Rate::from_config(-1.0, 0), Path::new("/nowhere")).unwrap();
    let error = reader.list(&pods(), Names::default()).await.map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "cannot store the response to /api/v1/pods on disk");
}

#[tokio::test]
async fn requests_respect_the_rate() {
    let (api, cluster) = fake().await;
    let rate = Rate {
        per_second: 20.0,
        burst: 1,
    };
    let reader = Reader::new(&cluster, rate, &std::env::temp_dir()).unwrap();
    let started = std::time::Instant::now();
    let all = futures::future::join_all((0..5).map(|_| reader.probe("/readyz"))).await;
    assert!(
        all.iter()
            .all(|probe| probe.as_ref().is_ok_and(|probe| probe.status == 200))
    );
    assert_eq!(api.requests().len(), 5);
    // One request at once, and four more at intervals of 50 ms.
    assert!(
        started.elapsed() >= Duration::from_millis(190),
        "{:?}",
        started.elapsed()
    );
}
