//! The client against the fake API.
#![expect(clippy::unwrap_used, reason = "these are tests")]

#[cfg(unix)]
mod kubeconfigs;
mod query;

use std::{collections::BTreeMap, pin::pin, time::Duration};

use futures::{AsyncReadExt as _, Stream, StreamExt as _};
use serde_json::{Value, json};
use sono_kube::{Cluster, Connection, Deleted, Kind, KubeError, LogOptions, WatchEvent};
use sono_testkit::{FakeApi, Trouble, forbidden};

pub(crate) const LIMIT: Duration = Duration::from_secs(10);

async fn connect(kubeconfig: &str) -> Cluster {
    let directory = std::env::temp_dir().join(format!("sono-kube-{:?}", std::thread::current().id()));
    fs_err::create_dir_all(&directory).unwrap();
    let path = directory.join(format!("{}", std::process::id()));
    fs_err::write(&path, kubeconfig).unwrap();
    let cluster = Cluster::connect(&Connection {
        kubeconfig: Some(path),
        context: None,
    })
    .await
    .unwrap();
    fs_err::remove_dir_all(&directory).unwrap();
    cluster
}

pub(crate) async fn fake() -> (FakeApi, Cluster) {
    let api = FakeApi::start();
    let cluster = connect(&api.kubeconfig()).await;
    (api, cluster)
}

pub(crate) fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"a": "b"}}, "spec": {"containers": []}})
}

async fn next(events: &mut (impl Stream<Item = Result<WatchEvent<Value>, KubeError>> + Unpin)) -> String {
    let event = tokio::time::timeout(LIMIT, events.next())
        .await
        .expect("no event arrived")
        .unwrap();
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
    match event {
        Ok(WatchEvent::Restarted(objects)) => {
            format!("all: {}", objects.iter().map(name).collect::<Vec<_>>().join(","))
        }
        Ok(WatchEvent::Applied(object)) => format!("applied {}", name(&object)),
        Ok(WatchEvent::Deleted(object)) => format!("deleted {}", name(&object)),
        Err(error) => format!("error: {error}"),
    }
}

/// BUG 41: only kinds that this crate does not know are discovered.
#[tokio::test]
async fn any_served_kind_is_created_and_deleted() {
    let (api, cluster) = fake().await;
    api.offer("example.org", "v1", "things", "Thing", true);
    let thing =
        json!({"apiVersion": "example.org/v1", "kind": "Thing", "metadata": {"name": "one", "namespace": "default"}});
    let collection = cluster.collection_of(&thing).await.unwrap();
    assert_eq!((collection.kind(), collection.is_namespaced()), ("Thing", true));
    cluster.create_in(&collection, Some("default"), &thing).await.unwrap();
    assert!(api.get("things", Some("default"), "one").is_some());
    let deleted = cluster.delete_in(&collection, Some("default"), "one").await.unwrap();
    assert_eq!(deleted, Deleted::Started);
    assert_eq!(api.get("things", Some("default"), "one"), None);

    let asked = api.requests().len();
    assert_eq!(cluster.collection_of(&pod("p")).await.unwrap(), Kind::Pod.into());
    assert_eq!(api.requests().len(), asked);
    let unknown = json!({"apiVersion": "example.org/v1", "kind": "Other"});
    assert_eq!(
        cluster.collection_of(&unknown).await.unwrap_err().to_string(),
        "unsupported kind `Other` (`example.org/v1`)"
    );
}

#[tokio::test]
async fn objects_are_created_read_annotated_and_deleted() {
    let (_api, cluster) = fake().await;
    assert_eq!((cluster.context(), cluster.user()), (Some("fake"), Some("tester")));
    cluster.create(&pod("p")).await.unwrap();
    let again = cluster.create(&pod("p")).await.unwrap_err();
    assert!(again.is_already_exists(), "{again}");
    let annotations = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    cluster
        .annotate(Kind::Pod, Some("default"), "p", &annotations)
        .await
        .unwrap();
    let read = cluster.get(Kind::Pod, Some("default"), "p").await.unwrap().unwrap();
    assert_eq!(read["metadata"]["annotations"], json!({"k": "v"}));
    assert_eq!(cluster.list(Kind::Pod, Some("default"), "a=b").await.unwrap().len(), 1);
    assert_eq!(cluster.list(Kind::Pod, None, "a=c").await.unwrap().len(), 0);
    assert_eq!(
        cluster.delete(Kind::Pod, Some("default"), "p", Some(1)).await.unwrap(),
        Deleted::Started
    );
    assert_eq!(
        cluster.delete(Kind::Pod, Some("default"), "p", Some(1)).await.unwrap(),
        Deleted::NotFound
    );
    assert_eq!(cluster.get(Kind::Pod, Some("default"), "p").await.unwrap(), None);
    let refused = cluster
        .delete_all(Kind::Pod, Some("default"), "", None)
        .await
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "cannot build the request for deleting pods with labels "
    );
}

#[tokio::test]
async fn deletion_of_many_objects_after_an_interruption_continues() {
    let (api, cluster) = fake().await;
    let names: Vec<String> = (0..250).map(|number| format!("p{number}")).collect();
    for name in &names {
        api.put(pod(name));
    }
    let all = async |labels| cluster.list(Kind::Pod, Some("default"), labels).await.unwrap().len();
    assert_eq!(all("a=b").await, 250);
    api.trouble(Trouble::Cut, 1);
    cluster
        .delete_all(Kind::Pod, Some("default"), "a=b", Some(1))
        .await
        .unwrap();
    assert_eq!(all("").await, 0);
}

#[tokio::test]
async fn missing_or_terminating_namespace_is_named() {
    let (api, cluster) = fake().await;
    let mut elsewhere = pod("p");
    elsewhere["metadata"]["namespace"] = "n".into();
    assert_eq!(
        cluster.create(&elsewhere).await.unwrap_err().to_string(),
        "namespaces `n` not found"
    );
    api.hold_namespaces();
    api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}));
    cluster.delete(Kind::Namespace, None, "n", None).await.unwrap();
    assert_eq!(
        cluster.create(&elsewhere).await.unwrap_err().to_string(),
        "namespace `n` is being deleted"
    );
}

#[tokio::test]
async fn watch_reports_changes_and_recovers_from_a_refusal() {
    let (api, cluster) = fake().await;
    api.put(pod("first"));
    api.fail(
        "GET",
        "/api/v1/namespaces/default/pods",
        forbidden("u", "list", "pods", Some("default")),
    );
    let mut events = pin!(cluster.watch(Kind::Pod, "default", "a=b"));
    assert_eq!(
        next(&mut events).await,
        "error: forbidden: user \"u\" cannot list resource \"pods\" in namespace \"default\""
    );
    api.clear_faults();
    assert_eq!(next(&mut events).await, "all: first");
    api.put(pod("second"));
    assert_eq!(next(&mut events).await, "applied second");
    api.remove("pods", Some("default"), "first");
    assert_eq!(next(&mut events).await, "deleted first");
}

#[tokio::test]
async fn object_can_be_watched_before_it_exists() {
    let (api, cluster) = fake().await;
    let mut events = pin!(cluster.watch_named(Kind::Pod, Some("default"), "p"));
    assert_eq!(next(&mut events).await, "all: ");
    api.put(pod("other"));
    api.put(pod("p"));
    assert_eq!(next(&mut events).await, "applied p");
    let mut namespaces = pin!(cluster.watch_cluster(Kind::Namespace, ""));
    assert_eq!(next(&mut namespaces).await, "all: default,kube-system");
}

#[tokio::test]
async fn logs_are_streamed() {
    let (api, cluster) = fake().await;
    api.put_log("default", "p", "c", "one\ntwo\n");
    let mut text = String::new();
    let mut log = cluster
        .pod_logs("default", "p", "c", &LogOptions::default())
        .await
        .unwrap();
    log.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "one\ntwo\n");
    let absent = cluster
        .pod_logs("default", "p", "d", &LogOptions::default())
        .await
        .err()
        .unwrap();
    assert_eq!(
        absent.to_string(),
        "reading the log of container d of pod `p` was refused (400): container \"d\" in pod \"p\" is waiting to start"
    );
}

#[tokio::test]
async fn a_closed_port_names_the_server() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let cluster = connect(&format!(
        "clusters: [{{name: c, cluster: {{server: 'http://{address}'}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: ''}}}}]\ncurrent-context: c\n"
    ))
    .await;
    let error = cluster.server_version().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot reach the cluster at http://{address}")
    );
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.starts_with("Connection refused"), "{cause}");
}

#[tokio::test]
async fn an_unknown_context_is_named() {
    let api = FakeApi::start();
    let directory = std::env::temp_dir().join(format!("sono-kube-context-{}", std::process::id()));
    fs_err::create_dir_all(&directory).unwrap();
    let path = api.write_kubeconfig(&directory);
    let connection = Connection {
        kubeconfig: Some(path),
        context: Some("nowhere".to_owned()),
    };
    let error = Cluster::connect(&connection).await.unwrap_err();
    fs_err::remove_dir_all(&directory).unwrap();
    assert_eq!(
        (
            error.to_string(),
            std::error::Error::source(&error).unwrap().to_string()
        ),
        (
            "cannot use the cluster configuration".to_owned(),
            "the kubeconfig has no context `nowhere`".to_owned()
        )
    );
}
