//! A run is identified by its ConfigMap: objects with another owner belong to another run and are not used.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use sono_aggregator::RunError;
use sono_manifest::DriverKind;
use sono_testkit::FakeApi;
use sono_types::{Config, constants};

use crate::{
    GLOBAL,
    backend::{plugin, within},
    put,
    taken_up::{self, Aggregator, NAMESPACE, aggregator_with, api, worker_of},
};

const POD: &str = "sonobuoy-p-job-0909090909090909";
/// The uid that [`api`] gives the ConfigMap.
const OWNER: &str = "1-2-3";

fn config(uuid: &str) -> Config {
    Config {
        aggregator_workload: constants::WORKLOAD_DEPLOYMENT.to_owned(),
        uuid: uuid.to_owned(),
        ..taken_up::config()
    }
}

async fn aggregator(config: Config, api: &FakeApi, root: &std::path::Path) -> Aggregator {
    aggregator_with(plugin("p", DriverKind::Job), config, api, root).await
}

async fn pod(api: &FakeApi) -> Value {
    let limit = std::time::Duration::from_secs(30);
    let there = api
        .wait_for("pods", Some(NAMESPACE), POD, limit, |pod| pod.is_some())
        .await;
    there.unwrap();
    api.get("pods", Some(NAMESPACE), POD).unwrap()
}

fn run_secret(api: &FakeApi) -> Value {
    api.get("secrets", Some(NAMESPACE), constants::RUN_SECRET).unwrap()
}

/// The content of the Secret.
fn content(secret: &Value) -> Value {
    let bytes = STANDARD
        .decode(secret["data"][constants::RUN_SECRET_KEY].as_str().unwrap())
        .unwrap();
    serde_json::from_slice(&sono_bundle::gunzip(bytes.as_slice(), 1 << 20).unwrap()).unwrap()
}

/// The CA that workers are given.
fn authority(pod: &Value) -> String {
    let containers = pod["spec"]["containers"].as_array().unwrap();
    let variables = containers
        .iter()
        .flat_map(|container| container["env"].as_array().into_iter().flatten());
    let named = |variable: &&Value| variable["name"] == "CA_CERT";
    variables.into_iter().find(named).unwrap()["value"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// The Secret of a run in another cluster, which may be the attacker's own. Its first version: a later one contains that the plugin's
/// pod exists, and the pod would not be created in the other cluster.
async fn foreign(uuid: &str) -> Value {
    let (api, folder) = (api(), tempfile::tempdir().unwrap());
    let run = aggregator(config(uuid), &api, folder.path()).await;
    pod(&api).await;
    let secret = api
        .versions("secrets", Some(NAMESPACE), constants::RUN_SECRET)
        .swap_remove(0);
    drop(run.stop);
    within(run.outcome).await.unwrap().unwrap_err();
    json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": secret["data"],
        "metadata": {"name": constants::RUN_SECRET, "namespace": NAMESPACE, "ownerReferences": secret["metadata"]["ownerReferences"]}})
}

/// Runs one plugin to its end; the identity of the run and the CA that its worker knew.
async fn run_to_its_end(api: &FakeApi, uuid: &str) -> (Value, String) {
    let folder = tempfile::tempdir().unwrap();
    let run = aggregator(config(uuid), api, folder.path()).await;
    let pod = pod(api).await;
    let kept = content(&run_secret(api));
    let client = worker_of(api, &pod["spec"]);
    let url = format!("https://{}{GLOBAL}", run.address);
    assert_eq!(put(&client, &url, &[], "result").await.0, 200);
    let finished = within(run.outcome).await.unwrap().unwrap();
    assert_eq!(finished.errors, 0);
    (kept["uuid"].clone(), authority(&pod))
}

/// A Secret created by another user or left by the last run: neither its CA nor its plugins are used.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secret_of_another_owner_is_never_adopted() {
    let others = [
        json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": constants::CONFIG_MAP, "uid": "9-9-9"}]),
        json!([]),
    ];
    for (uuid, expected) in [("", OWNER), ("run", "run")] {
        let planted = foreign(uuid).await;
        for owners in &others {
            let mut planted = planted.clone();
            planted["metadata"]["ownerReferences"] = owners.clone();
            let api = api();
            api.put(planted.clone());
            let (run, ca) = run_to_its_end(&api, uuid).await;
            assert_eq!(run, expected, "{owners}");
            assert_ne!(ca, content(&planted)["ca_certificate"], "{owners}");
            assert_eq!(run_secret(&api)["metadata"]["ownerReferences"][0]["uid"], OWNER);
        }
    }
}

/// A Secret that the run's own ConfigMap owns is continued, also by an aggregator whose configuration names no run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secret_of_the_own_config_map_is_continued() {
    for uuid in ["", "run"] {
        let planted = foreign(uuid).await;
        assert_eq!(planted["metadata"]["ownerReferences"][0]["uid"], OWNER);
        let api = api();
        api.put(planted.clone());
        let (_, ca) = run_to_its_end(&api, uuid).await;
        assert_eq!(ca, content(&planted)["ca_certificate"]);
    }
}

/// The journal of an earlier run on the volume, whose name lacks its run, is not continued.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nameless_journal_without_checkpoint_is_not_continued() {
    let (earlier, folder) = (api(), tempfile::tempdir().unwrap());
    let run = aggregator(config(""), &earlier, folder.path()).await;
    let first = authority(&pod(&earlier).await);
    run.stop.send(()).unwrap();
    assert!(matches!(within(run.outcome).await.unwrap(), Err(RunError::Stopped)));
    let root = folder.path().join("results");
    // As commit baf4e4a named it.
    fs_err::rename(root.join(format!(".sono-journal-{OWNER}")), root.join(".sono-journal")).unwrap();

    // With the checkpoint of the same run it is continued.
    let run = aggregator(config(""), &earlier, folder.path()).await;
    let second = authority(&pod(&earlier).await);
    assert_eq!(second, first);
    run.stop.send(()).unwrap();
    assert!(matches!(within(run.outcome).await.unwrap(), Err(RunError::Stopped)));
    assert!(!root.join(format!(".sono-journal-{OWNER}")).exists());

    let later = api();
    let run = aggregator(config(""), &later, folder.path()).await;
    assert_ne!(authority(&pod(&later).await), first);
    drop(run.stop);
    run.outcome.abort();
}
