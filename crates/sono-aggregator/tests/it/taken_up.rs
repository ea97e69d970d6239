//! Drivers and status of a cluster, against a fake API: a run that is stopped and resumed.

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
};

use serde_json::{Value, json};
use sono_aggregator::{
    Backend as _, ClusterBackend, FinishedRun, LoopbackView, RunError, RunLog, Setup, execute_run, system_clock,
};
use sono_kube::{Cluster, Connection};
use sono_manifest::{Definition, DriverKind};
use sono_testkit::FakeApi;
use sono_types::{Config, OverallStatus, RunStatus, SessionId, UploadLimits, constants};
use tokio::{sync::oneshot, task::JoinHandle};

use crate::{
    GLOBAL,
    backend::{plugin, within},
    put,
};

pub(crate) const NAMESPACE: &str = constants::DEFAULT_NAMESPACE;

/// The API with the objects that `sono run` creates before the aggregator starts.
pub(crate) fn api() -> FakeApi {
    let api = FakeApi::start();
    let named = |name: &str| json!({"name": name, "namespace": NAMESPACE, "uid": "1-2-3"});
    api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}, "status": {"phase": "Active"}}));
    api.put(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": named(constants::CONFIG_MAP)}));
    let mut metadata = named(constants::AGGREGATOR_POD);
    metadata["labels"] = json!({constants::COMPONENT_LABEL: "aggregator"});
    api.put(
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": []},
        "status": {"podIP": "127.0.0.1"}}),
    );
    api
}

pub(crate) fn config() -> Config {
    Config {
        uuid: "run".to_owned(),
        // Tests here need no queries of the cluster.
        resources: Some(Vec::new()),
        ..Config::default()
    }
}

async fn cluster(api: &FakeApi, folder: &Path) -> Cluster {
    let connection = Connection {
        kubeconfig: Some(api.write_kubeconfig(folder)),
        context: None,
    };
    Cluster::connect(&connection).await.unwrap()
}

pub(crate) struct Aggregator {
    pub(crate) address: SocketAddr,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) outcome: JoinHandle<Result<FinishedRun, RunError>>,
}

/// An aggregator in this process, on `root`.
async fn aggregator(api: &FakeApi, root: &Path) -> Aggregator {
    aggregator_of(plugin("p", DriverKind::Job), api, root).await
}

/// An aggregator of one plugin in this process, on `root`.
pub(crate) async fn aggregator_of(definition: Definition, api: &FakeApi, root: &Path) -> Aggregator {
    aggregator_with(definition, config(), api, root).await
}

pub(crate) async fn aggregator_with(definition: Definition, config: Config, api: &FakeApi, root: &Path) -> Aggregator {
    let session = || SessionId::from_random([9; 8]);
    aggregator_of_all(vec![definition], session, config, api, root).await
}

pub(crate) async fn aggregator_of_all(
    definitions: Vec<Definition>,
    new_session: fn() -> SessionId,
    config: Config,
    api: &FakeApi,
    root: &Path,
) -> Aggregator {
    sono_tls::install_provider();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let clock = system_clock();
    let found = ClusterBackend::find(cluster(api, root).await, &config, Some("127.0.0.1"), Arc::clone(&clock)).await;
    let (backend, addresses) = found.unwrap();
    let setup = Setup {
        config,
        definitions,
        backend: Arc::new(backend),
        root: root.join("results"),
        listener,
        addresses,
        limits: UploadLimits::default(),
        clock,
        new_session,
        log: RunLog::new(system_clock()),
        reconcile: true,
        view: LoopbackView::default(),
    };
    let (stop, stopped) = oneshot::channel();
    let outcome = tokio::spawn(execute_run(setup, async {
        stopped.await.ok();
    }));
    Aggregator { address, stop, outcome }
}

const POD: &str = "sonobuoy-p-job-0909090909090909";
const SECRET: &str = "sonobuoy-plugin-p-0909090909090909";

fn worker(api: &FakeApi) -> reqwest::Client {
    worker_of(api, &api.get("pods", Some(NAMESPACE), POD).unwrap()["spec"])
}

/// The configuration of the worker in a pod like this.
pub(crate) fn worker_of(api: &FakeApi, spec: &Value) -> reqwest::Client {
    worker_with(api, spec, SECRET)
}

/// The same, with the certificate in that secret.
pub(crate) fn worker_with(api: &FakeApi, spec: &Value, secret: &str) -> reqwest::Client {
    let secret = api.get("secrets", Some(NAMESPACE), secret).unwrap();
    let containers = spec["containers"].as_array().unwrap();
    let sidecar = containers
        .iter()
        .find(|container| container["name"] == constants::WORKER_CONTAINER)
        .unwrap();
    let variables = sidecar["env"].as_array().unwrap();
    let ca = variables.iter().find(|variable| variable["name"] == "CA_CERT").unwrap();
    let text = |key: &str| secret_text(&secret, key);
    let tls = sono_tls::client_config(ca["value"].as_str().unwrap(), &text("tls.crt"), &text("tls.key")).unwrap();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .build()
        .unwrap()
}

/// A secret's value, given plain or encoded.
fn secret_text(secret: &Value, key: &str) -> String {
    use base64::Engine as _;
    if let Some(text) = secret.pointer("/stringData").and_then(|data| data.get(key)?.as_str()) {
        return text.to_owned();
    }
    let encoded = secret["data"][key].as_str().unwrap();
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(encoded).unwrap()).unwrap()
}

pub(crate) fn status(api: &FakeApi) -> RunStatus {
    let pod = api.get("pods", Some(NAMESPACE), constants::AGGREGATOR_POD).unwrap();
    let annotations = &pod["metadata"]["annotations"];
    serde_json::from_str(annotations[constants::STATUS_ANNOTATION].as_str().unwrap()).unwrap()
}

fn creations(api: &FakeApi, plural: &str) -> usize {
    let wanted = format!("POST /api/v1/namespaces/{NAMESPACE}/{plural}");
    api.requests().iter().filter(|request| **request == wanted).count()
}

/// A drain is a SIGTERM and cancels nothing. The next aggregator on the same volume adopts the plugin without starting it again, and
/// accepts its worker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_aggregator_leaves_its_plugins_to_the_next() {
    let (api, folder) = (api(), tempfile::tempdir().unwrap());
    let first = aggregator(&api, folder.path()).await;
    let running = |pod: Option<&Value>| {
        let text = pod.and_then(|pod| {
            pod.pointer("/metadata/annotations")?
                .get(constants::STATUS_ANNOTATION)?
                .as_str()
        });
        text.is_some_and(|text| text.contains(r#""plugin":"p""#))
    };
    let limit = std::time::Duration::from_secs(30);
    let aggregators = (Some(NAMESPACE), constants::AGGREGATOR_POD);
    api.wait_for("pods", Some(NAMESPACE), POD, limit, |pod| pod.is_some())
        .await
        .unwrap();
    api.wait_for("pods", aggregators.0, aggregators.1, limit, running)
        .await
        .unwrap();
    let worker = worker(&api);
    // The record of the launch follows the object; this test requires both.
    let journal = folder.path().join("results/.sono-journal-run");
    let recorded = async {
        while !fs_err::read_to_string(&journal).unwrap().contains("Launched") {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    within(recorded).await;
    first.stop.send(()).unwrap();
    assert!(matches!(within(first.outcome).await.unwrap(), Err(RunError::Stopped)));
    assert!(api.get("pods", Some(NAMESPACE), POD).is_some());
    assert!(api.get("secrets", Some(NAMESPACE), SECRET).is_some());
    assert_eq!(status(&api).status, OverallStatus::Running);

    let second = aggregator(&api, folder.path()).await;
    let url = format!("https://{}{GLOBAL}", second.address);
    assert_eq!(put(&worker, &url, &[], "content").await, (200, String::new()));
    let finished = within(second.outcome).await.unwrap().unwrap();
    assert_eq!(finished.status.status, OverallStatus::Complete);
    assert_eq!(status(&api), finished.status);
    assert_eq!(creations(&api, "pods"), 1);
    // The finished run is cleaned up, secrets included (W-45).
    assert!(api.get("pods", Some(NAMESPACE), POD).is_none());
    assert!(api.get("secrets", Some(NAMESPACE), SECRET).is_none());
}

/// Killed between the creation of a plugin's objects and its record: the objects are found and used.
#[tokio::test]
async fn existing_objects_are_adopted() {
    let (api, folder) = (api(), tempfile::tempdir().unwrap());
    let found = ClusterBackend::find(
        cluster(&api, folder.path()).await,
        &config(),
        Some("127.0.0.1"),
        system_clock(),
    )
    .await;
    let (backend, addresses) = found.unwrap();
    let authority = sono_tls::Authority::new((system_clock())()).unwrap();
    let launch = || {
        let definition = plugin("p", DriverKind::Job);
        let identity = authority.client((system_clock())(), &definition.name).unwrap();
        let launch = sono_aggregator::Launch {
            url: addresses.url.clone(),
            fallback_url: None,
            ca_pem: authority.certificate_pem().to_owned(),
            identity,
            deadline: None,
            expected: Vec::new(),
            discovers_targets: false,
            grace_until: None,
        };
        (backend.driver(definition, SessionId::from_random([9; 8])), launch)
    };
    for _ in 0..2 {
        let (driver, launch) = launch();
        assert_eq!(driver.run(&launch).await, Ok(()));
    }
    assert_eq!(creations(&api, "pods"), 2);
    let plugins = api.all("pods").into_iter().filter(|pod| pod["metadata"]["name"] == POD);
    assert_eq!(plugins.count(), 1);
}

/// An API server that is unavailable or busy during the start of a plugin does not fail the plugin (found by the simulation).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transient_creation_error_is_retried() {
    let (api, folder) = (api(), tempfile::tempdir().unwrap());
    let refusal = |code: u16, reason: &str| {
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code,
        "message": "in a moment"})
    };
    let path = |plural: &str| format!("/api/v1/namespaces/{NAMESPACE}/{plural}");
    api.fail_times("POST", &path("secrets"), refusal(409, "Conflict"), 1);
    api.fail_times("POST", &path("pods"), refusal(500, "InternalError"), 2);
    let run = aggregator(&api, folder.path()).await;
    let limit = std::time::Duration::from_secs(30);
    api.wait_for("pods", Some(NAMESPACE), POD, limit, |pod| pod.is_some())
        .await
        .unwrap();
    let url = format!("https://{}{GLOBAL}", run.address);
    assert_eq!(put(&worker(&api), &url, &[], "content").await, (200, String::new()));
    let finished = within(run.outcome).await.unwrap().unwrap();
    assert_eq!(
        finished.status.rows()[0].status,
        sono_types::status::plugin_status::COMPLETE
    );
}

/// A write of the status is retried after a conflict, or while the server is unavailable.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transient_status_error_is_retried() {
    let (api, folder) = (api(), tempfile::tempdir().unwrap());
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{}", constants::AGGREGATOR_POD);
    let conflict = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Conflict", "code": 409,
        "message": "the object has been modified"});
    api.fail_times("PATCH", &path, conflict, 1);
    let run = aggregator(&api, folder.path()).await;
    let limit = std::time::Duration::from_secs(30);
    let shown = |pod: Option<&Value>| {
        pod.is_some_and(|pod| pod["metadata"]["annotations"][constants::STATUS_ANNOTATION].is_string())
    };
    api.wait_for("pods", Some(NAMESPACE), constants::AGGREGATOR_POD, limit, shown)
        .await
        .unwrap();
    assert_eq!(status(&api).status, OverallStatus::Running);
    run.stop.send(()).unwrap();
    assert!(matches!(within(run.outcome).await.unwrap(), Err(RunError::Stopped)));
}
