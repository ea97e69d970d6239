//! Version skew: files of commit baf4e4a are read by this program. `tests/fixtures/baf4e4a/README.md` describes the files.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use sono_aggregator::{FinishedRun, RunError};
use sono_manifest::{Definition, DriverKind};
use sono_testkit::FakeApi;
use sono_types::{Config, OverallStatus, SessionId, UploadLimits, constants, routes};

use crate::{
    backend::{plugin, within},
    put,
    taken_up::{self, Aggregator, aggregator_of_all, api, worker_with},
    tree,
};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/baf4e4a")
        .join(name)
}

/// The API server with the plugins' objects and the Secret of that time.
fn api_with(objects: &str) -> FakeApi {
    let api = api();
    for node in ["n1", "n2", "n3"] {
        api.put(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node, "labels": {}}, "spec": {}}));
    }
    let objects: Vec<Value> = serde_json::from_str(&fs_err::read_to_string(fixture(objects)).unwrap()).unwrap();
    for object in objects {
        api.put(object);
    }
    api
}

/// A volume with the files of that time, or an empty one.
fn volume(archive: Option<&str>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    if let Some(archive) = archive {
        let results = folder.path().join("results");
        fs_err::create_dir(&results).unwrap();
        let archive = fs_err::File::open(fixture(archive)).unwrap();
        sono_bundle::unpack_tar_gz(archive, &results, &UploadLimits::default()).unwrap();
    }
    folder
}

async fn start(api: &FakeApi, root: &Path) -> Aggregator {
    let config = Config {
        aggregator_workload: constants::WORKLOAD_DEPLOYMENT.to_owned(),
        ..taken_up::config()
    };
    let definitions: Vec<Definition> = vec![plugin("each", DriverKind::DaemonSet), plugin("one", DriverKind::Job)];
    aggregator_of_all(definitions, || SessionId::from_random([5; 8]), config, api, root).await
}

async fn ended(run: Aggregator) -> Result<FinishedRun, RunError> {
    within(run.outcome).await.unwrap()
}

/// A worker of that time: it has a certificate of the run's CA, which it trusts.
fn worker(api: &FakeApi, plural: &str, name: &str) -> reqwest::Client {
    let find = |plural: &str| {
        let mut objects = api.all(plural).into_iter();
        objects.find(|object| object["metadata"]["labels"][constants::PLUGIN_LABEL] == name)
    };
    let object = find(plural).unwrap();
    let spec = object.pointer("/spec/template/spec").unwrap_or_else(|| &object["spec"]);
    worker_with(
        api,
        spec,
        find("secrets").unwrap()["metadata"]["name"].as_str().unwrap(),
    )
}

fn url(run: &Aggregator, path: &str) -> String {
    format!("https://{}/api/v1/results/{path}", run.address)
}

/// The plugins' files of an archive, but for their definitions and item trees.
fn contents(archive: &Path) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let archive = fs_err::File::open(archive).unwrap();
    sono_bundle::unpack_tar_gz(archive, folder.path(), &UploadLimits::default()).unwrap();
    let mut files = tree(&folder.path().join("plugins"));
    files.retain(|name, _| name.contains("/results/") || name.contains("/errors/"));
    files
}

fn expected() -> BTreeMap<String, String> {
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    BTreeMap::from([
        file("each/results/n1/result", "small"),
        file("each/results/n2/big.txt", &"big ".repeat(1500)),
        file("each/errors/n3/error.json", r#"{"error":"no result here"}"#),
        file("one/results/global/result", "result of one"),
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn journal_of_baf4e4a_is_continued() {
    let (api, folder) = (api_with("running-objects.json"), volume(Some("running.tar.gz")));
    let run = start(&api, folder.path()).await;
    let (each, one) = (worker(&api, "daemonsets", "each"), worker(&api, "pods", "one"));
    let known = put(&each, &url(&run, "by-node/n1/each"), &[], "other").await;
    assert_eq!(known, (409, "result each/n1 already received\n".to_owned()));
    assert_eq!(put(&one, &url(&run, "global/one"), &[], "result of one").await.0, 200);
    let finished = ended(run).await.unwrap();
    assert_eq!(finished.status.status, OverallStatus::Complete);
    assert_eq!(contents(&finished.archive), expected());
    // Progress has a file of its own.
    let rows = finished.status.rows();
    let row = rows.iter().find(|row| row.plugin == "one").unwrap();
    assert_eq!(row.progress.as_ref().unwrap().failures, ["t1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoint_of_baf4e4a_is_continued_without_its_volume() {
    let (api, folder) = (api_with("running-objects.json"), volume(None));
    let run = start(&api, folder.path()).await;
    let (each, one) = (worker(&api, "daemonsets", "each"), worker(&api, "pods", "one"));
    let name = [("Content-Disposition", "attachment;filename=big.txt")];
    let error = [(routes::ERROR_HEADER, "1")];
    for (client, path, headers, body) in [
        (&each, "by-node/n1/each", &[][..], "small"),
        (&each, "by-node/n2/each", &name[..], &"big ".repeat(1500)),
        (&each, "by-node/n3/each", &error[..], r#"{"error":"no result here"}"#),
        (&one, "global/one", &[][..], "result of one"),
    ] {
        assert_eq!(
            put(client, &url(&run, path), headers, body.to_owned()).await.0,
            200,
            "{path}"
        );
    }
    let finished = ended(run).await.unwrap();
    let mut files = contents(&finished.archive);
    // The earlier aggregator recorded this error.
    let error = files.remove("each/errors/n3/error.json").unwrap();
    assert!(error.starts_with(r#"{"error":"no result here"#), "{error}");
    let mut expected = expected();
    expected.remove("each/errors/n3/error.json");
    assert_eq!(files, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sealed_run_of_baf4e4a_is_over() {
    let (api, folder) = (api_with("sealed-objects.json"), volume(Some("sealed.tar.gz")));
    let finished = ended(start(&api, folder.path()).await).await.unwrap();
    assert_eq!(finished.status.status, OverallStatus::Complete);
    assert_eq!(contents(&finished.archive), expected());

    let gone = ended(start(&api, volume(None).path()).await).await.unwrap();
    assert_eq!(gone.status.status, OverallStatus::Failed);
    let rows = gone.status.rows();
    assert_eq!(rows.len(), 4);
    assert!(
        rows.iter()
            .all(|row| row.error.starts_with("the archive was complete, but was lost"))
    );
}
