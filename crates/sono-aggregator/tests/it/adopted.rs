//! Takeover after the loss of an aggregator's pod with all its files: only the API server and the workers remain (W-1).

use std::{collections::BTreeMap, net::SocketAddr, path::Path, time::Duration};

use serde_json::{Value, json};
use sono_aggregator::{FinishedRun, RunError};
use sono_manifest::{Definition, DriverKind};
use sono_testkit::{FakeApi, forbidden};
use sono_types::{
    Config, OverallStatus, SessionId, UploadLimits, constants, error_chain, routes, status::plugin_status,
};
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use crate::{
    backend::{plugin, within},
    taken_up::{self, Aggregator, NAMESPACE, aggregator_of_all, api, status, worker_with},
    tree,
};

/// The address behind the Service, if any.
type Service = watch::Sender<Option<SocketAddr>>;

fn config() -> Config {
    Config {
        aggregator_workload: constants::WORKLOAD_DEPLOYMENT.to_owned(),
        ..taken_up::config()
    }
}

const NODES: [&str; 3] = ["n1", "n2", "n3"];

fn api_with_nodes() -> FakeApi {
    let api = api();
    for node in NODES {
        api.put(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node, "labels": {}}, "spec": {}}));
    }
    api
}

/// A DaemonSet and a Job in one order group, and a Job in the next.
fn definitions() -> Vec<Definition> {
    let later = Definition {
        order: 1,
        ..plugin("later", DriverKind::Job)
    };
    vec![
        plugin("each", DriverKind::DaemonSet),
        plugin("one", DriverKind::Job),
        later,
    ]
}

async fn aggregator(config: Config, api: &FakeApi, root: &Path) -> Aggregator {
    // As in a real run, session IDs distinguish the objects of different plugins.
    let session = || SessionId::from_random(uuid::Uuid::new_v4().as_u64_pair().0.to_be_bytes());
    aggregator_of_all(definitions(), session, config, api, root).await
}

/// The plugin's own object of this kind.
fn object(api: &FakeApi, plural: &str, definition: &Definition) -> Option<Value> {
    let mut objects = api.all(plural).into_iter();
    objects.find(|object| object["metadata"]["labels"][constants::PLUGIN_LABEL] == definition.name.as_str())
}

fn plural(definition: &Definition) -> &'static str {
    match definition.driver {
        DriverKind::Job => "pods",
        DriverKind::DaemonSet => "daemonsets",
    }
}

async fn start(api: &FakeApi, root: &Path, service: &Service) -> Aggregator {
    let aggregator = aggregator(config(), api, root).await;
    service.send_replace(Some(aggregator.address));
    aggregator
}

/// Loses the pod: the process ends without a shutdown, and its files are deleted.
async fn lose(aggregator: Aggregator, service: &Service) {
    service.send_replace(None);
    aggregator.outcome.abort();
    assert!(aggregator.outcome.await.unwrap_err().is_cancelled());
}

/// A client with the plugin's certificate, once its objects exist.
async fn client(api: &FakeApi, definition: &Definition) -> reqwest::Client {
    let there = async {
        loop {
            match object(api, plural(definition), definition) {
                Some(object) => return object,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    let object = within(there).await;
    let spec = object.pointer("/spec/template/spec").unwrap_or_else(|| &object["spec"]);
    let secret = self::object(api, "secrets", definition).unwrap();
    worker_with(api, spec, secret["metadata"]["name"].as_str().unwrap())
}

/// A worker: sends its result until it is accepted, retains it, and sends it again to an aggregator that lacks it. Returns how
/// often it was accepted.
async fn work(client: reqwest::Client, service: Service, path: String, body: String) -> usize {
    let mut service = service.subscribe();
    let mut taken = 0;
    loop {
        let address = service.wait_for(Option::is_some).await.unwrap().unwrap();
        let url = format!("https://{address}{path}");
        let is_held = match client.head(&url).send().await.map(|answer| answer.status().as_u16()) {
            Ok(200) => true,
            Ok(410) => return taken,
            Ok(404 | 202) => false,
            // The aggregator is being replaced, or has not started.
            Ok(_) | Err(_) => true,
        };
        if !is_held && let Ok(answer) = client.put(&url).body(body.clone()).send().await {
            let keeps = answer.headers().contains_key(routes::KEEP_HEADER);
            let status = answer.status().as_u16();
            assert_eq!(keeps, matches!(status, 200 | 409), "{status}");
            taken += usize::from(status == 200);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Workers of a plugin, which has ended with its result.
async fn workers(api: &FakeApi, definition: &Definition, service: &Service) -> JoinSet<usize> {
    let client = client(api, definition).await;
    let name = &definition.name;
    let paths: Vec<String> = match definition.driver {
        DriverKind::Job => vec![format!("/api/v1/results/global/{name}")],
        DriverKind::DaemonSet => NODES
            .map(|node| format!("/api/v1/results/by-node/{node}/{name}"))
            .to_vec(),
    };
    let mut tasks = JoinSet::new();
    for path in paths {
        let body = format!("result of {path}");
        tasks.spawn(work(client.clone(), service.clone(), path, body));
    }
    tasks
}

async fn until_complete(api: &FakeApi, wanted: usize) {
    let complete = |pod: Option<&Value>| {
        let annotations = pod.map(|pod| &pod["metadata"]["annotations"]);
        let text = annotations.and_then(|annotations| annotations[constants::STATUS_ANNOTATION].as_str());
        text.is_some_and(|text| text.matches(r#""status":"complete""#).count() >= wanted)
    };
    let limit = Duration::from_secs(30);
    api.wait_for("pods", Some(NAMESPACE), constants::AGGREGATOR_POD, limit, complete)
        .await
        .unwrap();
}

/// Results, errors and item trees of an archive.
fn contents(finished: &FinishedRun) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let archive = fs_err::File::open(&finished.archive).unwrap();
    sono_bundle::unpack_tar_gz(archive, folder.path(), &UploadLimits::default()).unwrap();
    let mut files = tree(&folder.path().join("plugins"));
    files.retain(|name, _| !name.ends_with("definition.json"));
    files
}

async fn collected(tasks: impl IntoIterator<Item = JoinSet<usize>>) -> Vec<usize> {
    let mut taken = Vec::new();
    for mut tasks in tasks {
        while let Some(done) = within(tasks.join_next()).await {
            taken.push(done.unwrap());
        }
    }
    taken
}

async fn done(outcome: JoinHandle<Result<FinishedRun, RunError>>) -> Result<FinishedRun, RunError> {
    within(outcome).await.unwrap()
}

/// An undisturbed run's archive.
async fn undisturbed() -> BTreeMap<String, String> {
    let (api, folder) = (api_with_nodes(), tempfile::tempdir().unwrap());
    let service = Service::default();
    let run = start(&api, folder.path(), &service).await;
    let mut tasks = Vec::new();
    for definition in definitions() {
        tasks.push(workers(&api, &definition, &service).await);
    }
    let finished = done(run.outcome).await.unwrap();
    assert_eq!(collected(tasks).await, [1, 1, 1, 1, 1]);
    contents(&finished)
}

/// W-1: the pod is lost in each phase of the run, with its files, and replaced each time. No plugin is started twice, every
/// result is sent again, and the archive equals that of an undisturbed run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_survives_the_loss_of_its_aggregators_pod_and_volume() {
    let api = api_with_nodes();
    let folders: Vec<tempfile::TempDir> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
    let service = Service::default();
    let definitions = definitions();
    let [each, one, later] = &definitions[..] else { panic!() };

    // With some results.
    let run = start(&api, folders[0].path(), &service).await;
    let first = workers(&api, each, &service).await;
    until_complete(&api, NODES.len()).await;
    lose(run, &service).await;

    // With all of a group, when the next one is started.
    let run = start(&api, folders[1].path(), &service).await;
    let second = workers(&api, one, &service).await;
    client(&api, later).await;
    lose(run, &service).await;

    // Before any result was sent again.
    let run = start(&api, folders[2].path(), &service).await;
    lose(run, &service).await;

    let run = start(&api, folders[3].path(), &service).await;
    let third = workers(&api, later, &service).await;
    let finished = done(run.outcome).await.unwrap();
    assert_eq!(finished.status.status, OverallStatus::Complete);
    assert_eq!(finished.errors, 0, "{:?}", finished.status);
    let taken = collected([first, second, third]).await;
    assert!(taken[..3].iter().all(|taken| *taken >= 2), "{taken:?}");
    for definition in &definitions {
        assert_eq!(object(&api, plural(definition), definition), None, "it is removed");
    }
    // The aggregator's own pod is the third.
    assert_eq!(
        (api.created_count("pods"), api.created_count("daemonsets")),
        (3, 1),
        "started twice"
    );
    assert_eq!(contents(&finished), undisturbed().await);
}

/// W-1: an aggregator that lost the run ends with the reason and removes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aggregator_that_lost_the_run_ends() {
    let api = api_with_nodes();
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let service = Service::default();
    let first = start(&api, one.path(), &service).await;
    let mut tasks = vec![workers(&api, &definitions()[0], &service).await];
    until_complete(&api, NODES.len()).await;
    // Both run, as on a node that does not respond: workers reach only the old one.
    let second = aggregator(config(), &api, other.path()).await;
    tasks.push(workers(&api, &definitions()[1], &service).await);
    let outcome = done(first.outcome).await;
    let Err(RunError::Superseded(reason)) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(reason.starts_with("another aggregator, "), "{reason}");
    assert!(reason.ends_with(" (epoch 2), has taken over the run"), "{reason}");
    // Restarted on its files, it detects that.
    let again = aggregator(config(), &api, one.path()).await;
    assert!(matches!(done(again.outcome).await, Err(RunError::Superseded(_))));

    service.send_replace(Some(second.address));
    tasks.push(workers(&api, &definitions()[2], &service).await);
    let finished = done(second.outcome).await.unwrap();
    assert_eq!(finished.errors, 0);
    collected(tasks).await;
    assert_eq!(
        (api.created_count("pods"), api.created_count("daemonsets")),
        (3, 1),
        "started twice"
    );
}

/// A sealed archive is lost with its pod: a new aggregator starts no plugin again, and reports the loss.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn archive_lost_with_its_pod_is_reported() {
    let api = api_with_nodes();
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let service = Service::default();
    let run = start(&api, one.path(), &service).await;
    let mut tasks = Vec::new();
    let mut labels = Value::Null;
    for definition in definitions() {
        tasks.push(workers(&api, &definition, &service).await);
        if let Some(pod) = object(&api, "pods", &definition) {
            labels = pod["metadata"]["labels"].clone();
        }
    }
    let finished = done(run.outcome).await.unwrap();
    collected(tasks).await;
    // On the same files the archive exists, and objects that a killed process did not remove are removed now.
    let left = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "left", "namespace": NAMESPACE,
        "labels": labels}, "spec": {"containers": []}});
    api.put(left.clone());
    let again = aggregator(config(), &api, one.path()).await;
    assert_eq!(done(again.outcome).await.unwrap().status, finished.status);
    assert_eq!(api.get("pods", Some(NAMESPACE), "left"), None);

    let requests = api.requests().len();
    api.put(left);
    let new = aggregator(config(), &api, other.path()).await;
    let gone = done(new.outcome).await.unwrap();
    assert_eq!(api.get("pods", Some(NAMESPACE), "left"), None);
    assert_eq!(gone.status.status, OverallStatus::Failed);
    assert_eq!(status(&api).status, OverallStatus::Failed);
    let reasons: Vec<&str> = gone.status.rows().iter().map(|row| row.error.as_str()).collect();
    assert_eq!(reasons.len(), 5);
    assert!(
        reasons
            .iter()
            .all(|reason| reason.starts_with("the archive was complete, but was lost"))
    );
    let pods = format!("POST /api/v1/namespaces/{NAMESPACE}/pods");
    assert!(!api.requests()[requests..].contains(&pods), "nothing is started");
}

/// An aggregator that cannot read the checkpoint would start plugins a second time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_checkpoint_prevents_the_start() {
    let api = api_with_nodes();
    let secret = format!("/api/v1/namespaces/{NAMESPACE}/secrets/{}", constants::RUN_SECRET);
    api.fail("GET", &secret, forbidden("a", "get", "secrets", Some(NAMESPACE)));
    let root = tempfile::tempdir().unwrap();
    let run = aggregator(config(), &api, root.path()).await;
    let error = error_chain(&done(run.outcome).await.unwrap_err());
    let hint = "--aggregator-workload deployment needs get, create and update on Secrets in the run's namespace: ";
    assert!(error.contains(hint), "{error}");
    assert!(error.contains("forbidden"), "{error}");
    // Only the aggregator's own pod.
    assert_eq!((api.created_count("pods"), api.created_count("daemonsets")), (1, 0));
    assert_eq!(status(&api).status, OverallStatus::Failed);
}

/// A plugin whose objects were lost as well is not started again: its result is an error with the reason.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugin_whose_objects_were_lost_with_the_aggregator_fails() {
    let api = api_with_nodes();
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let service = Service::default();
    let run = start(&api, one.path(), &service).await;
    let mut lost = workers(&api, &definitions()[1], &service).await;
    let mut tasks = vec![workers(&api, &definitions()[0], &service).await];
    // The next group has started, so all results of this one are stored.
    client(&api, &definitions()[2]).await;
    lose(run, &service).await;
    lost.abort_all();
    let pod = object(&api, "pods", &definitions()[1]).unwrap();
    let name = pod["metadata"]["name"].as_str().unwrap();
    api.remove("pods", Some(NAMESPACE), name).unwrap();

    let run = start(&api, other.path(), &service).await;
    tasks.push(workers(&api, &definitions()[2], &service).await);
    let finished = done(run.outcome).await.unwrap();
    collected(tasks).await;
    let rows = finished.status.rows();
    let failed: Vec<&str> = rows
        .iter()
        .filter(|row| row.status == plugin_status::FAILED)
        .map(|row| row.error.as_str())
        .collect();
    let expected = "the plugin's pod was deleted before it sent a result; see the namespace's Events for the cause, and run again (its result had been received, and was lost with the aggregator's pod)";
    assert_eq!(failed, [expected]);
    assert_eq!(api.created_count("pods"), 3, "started twice");
}

/// The answers to workers' queries, and the refusal in a run without a checkpoint.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_can_query_the_state_of_their_result() {
    let (api, folder) = (api_with_nodes(), tempfile::tempdir().unwrap());
    let service = Service::default();
    let run = start(&api, folder.path(), &service).await;
    let each = client(&api, &definitions()[0]).await;
    let url = |path: &str| format!("https://{}/api/v1/results/{path}", run.address);
    let ask = async |path: &str| {
        let answer = within(each.head(url(path)).send()).await.unwrap();
        let keep = answer
            .headers()
            .get(routes::KEEP_HEADER)
            .map(|keep| keep.to_str().unwrap().to_owned());
        (answer.status().as_u16(), keep)
    };
    let keep = || Some("2".to_owned());
    assert_eq!(ask("by-node/n1/each").await, (404, keep()));
    let put = |path: &str| each.put(url(path)).body("result").send();
    assert_eq!(within(put("by-node/n1/each")).await.unwrap().status(), 200);
    assert_eq!(ask("by-node/n1/each").await, (200, keep()));
    let error = each.put(url("by-node/n2/each")).header(routes::ERROR_HEADER, "1");
    assert_eq!(
        within(error.body(r#"{"error":"no"}"#).send()).await.unwrap().status(),
        200
    );
    assert_eq!(ask("by-node/n2/each").await, (202, keep()));
    assert_eq!(ask("by-node/n9/each").await, (403, keep()));
    assert_eq!(ask("global/one").await, (403, None));
    lose(run, &service).await;

    let (api, folder) = (api_with_nodes(), tempfile::tempdir().unwrap());
    let run = aggregator(taken_up::config(), &api, folder.path()).await;
    let each = client(&api, &definitions()[0]).await;
    let url = format!("https://{}/api/v1/results/by-node/n1/each", run.address);
    let answer = within(each.put(&url).body("result").send()).await.unwrap();
    assert_eq!(answer.headers().get(routes::KEEP_HEADER), None);
    assert_eq!(within(each.head(&url).send()).await.unwrap().status(), 405);
    assert_eq!(api.get("secrets", Some(NAMESPACE), constants::RUN_SECRET), None);
    drop(run.stop);
    run.outcome.abort();
}

/// An existing journal, on a volume or in the same pod, takes precedence: no result is collected again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn existing_journal_takes_precedence_over_the_checkpoint() {
    let (api, folder) = (api_with_nodes(), tempfile::tempdir().unwrap());
    let service = Service::default();
    let mut tasks = Vec::new();
    for definition in definitions() {
        let run = start(&api, folder.path(), &service).await;
        tasks.push(workers(&api, &definition, &service).await);
        let so_far = tasks.iter().map(JoinSet::len).sum();
        if so_far == NODES.len() + 2 {
            let finished = done(run.outcome).await.unwrap();
            assert_eq!(finished.errors, 0);
            break;
        }
        until_complete(&api, so_far).await;
        lose(run, &service).await;
    }
    assert_eq!(collected(tasks).await, [1, 1, 1, 1, 1]);
    assert_eq!(
        (api.created_count("pods"), api.created_count("daemonsets")),
        (3, 1),
        "started twice"
    );
}
