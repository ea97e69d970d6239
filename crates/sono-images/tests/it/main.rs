//! Images between a registry on loopback and a directory.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod registry;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use registry::{Contents, Shared, digest, serve};
use serde_json::{Value, json};
use sono_images::{
    Credentials, Inspected, Layout, Options, Platform, Platforms, Progress, Registry, inspect, pull, push,
};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// An index for two platforms and an attestation; every image has a layer of its own, larger than a buffer.
fn filled() -> (Shared, BTreeSet<String>) {
    let mut contents = Contents::default();
    let mut entries = Vec::new();
    for (os, architecture) in [("linux", "amd64"), ("linux", "arm64"), ("unknown", "unknown")] {
        let config = json!({ "os": os, "architecture": architecture }).to_string();
        let layer = architecture.repeat(40_000);
        let described = |media_type: &str, text: &str| json!({ "mediaType": media_type, "digest": digest(text.as_bytes()), "size": text.len() });
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": described("application/vnd.oci.image.config.v1+json", &config),
            "layers": [described("application/vnd.oci.image.layer.v1.tar", &layer)],
        })
        .to_string();
        let mut entry = described(MANIFEST, &manifest);
        entry["platform"] = json!({ "os": os, "architecture": architecture });
        entries.push(entry);
        for text in [config, layer] {
            contents.blobs.insert(digest(text.as_bytes()), text.into());
        }
        let key = ("group/tool".to_owned(), digest(manifest.as_bytes()));
        contents.manifests.insert(key, (MANIFEST.to_owned(), manifest.into()));
    }
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries }).to_string();
    let key = |name: &str| ("group/tool".to_owned(), name.to_owned());
    contents
        .manifests
        .insert(key("1.0"), (INDEX.to_owned(), index.clone().into()));
    let digests = contents.blobs.keys().cloned().collect();
    (Arc::new(Mutex::new(contents)), digests)
}

fn client(address: &str) -> Registry {
    Registry::new(Options {
        plain_http: BTreeSet::from([address.to_owned()]),
        ..Options::default()
    })
    .unwrap()
}

fn only(platforms: &[&str]) -> Platforms {
    Platforms::Only(platforms.iter().map(|platform| platform.parse().unwrap()).collect())
}

fn quiet(_: Progress<'_>) {}

fn platforms(names: &[&str]) -> BTreeSet<Platform> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

#[tokio::test]
async fn all_platforms_come_and_go_unchanged() {
    let (source, digests) = filled();
    let address = serve(Arc::clone(&source)).await;
    let image = format!("{address}/group/tool:1.0");
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::at(directory.path());
    let pulled = pull(&client(&address), &layout, &image, &Platforms::All, &quiet)
        .await
        .unwrap();
    assert_eq!((pulled.blobs_moved, pulled.blobs_there), (digests.len(), 0));

    let empty = Shared::default();
    let other = serve(Arc::clone(&empty)).await;
    let target = format!("{other}/mine/tool:2");
    let pushed = push(&client(&other), &layout, &image, &target, &quiet).await.unwrap();
    assert_eq!(
        (&pushed.digest, pushed.bytes_moved),
        (&pulled.digest, pulled.bytes_moved)
    );
    let key = |repository: &str, name: &str| (repository.to_owned(), name.to_owned());
    {
        let (source, target) = (source.lock().unwrap(), empty.lock().unwrap());
        assert_eq!(source.blobs, target.blobs);
        assert_eq!(
            source.manifests[&key("group/tool", "1.0")],
            target.manifests[&key("mine/tool", "2")]
        );
    }
    // What is there is not sent again.
    let again = push(&client(&other), &layout, &image, &target, &quiet).await.unwrap();
    assert_eq!((again.blobs_moved, again.blobs_there), (0, digests.len()));
}

#[tokio::test]
async fn one_platform_is_an_image_of_its_own() {
    let (source, _) = filled();
    let address = serve(Arc::clone(&source)).await;
    let image = format!("{address}/group/tool:1.0");
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::at(directory.path());
    let registry = client(&address);
    let pulled = pull(&registry, &layout, &image, &only(&["linux/arm64"]), &quiet)
        .await
        .unwrap();
    let manifest: Value = serde_json::from_slice(&layout.read(&pulled.digest).unwrap()).unwrap();
    assert_eq!(manifest["mediaType"], MANIFEST);
    assert_eq!(layout.find(&image).unwrap().digest, pulled.digest);
    assert_eq!(pulled.blobs_moved, 2);

    let error = pull(&registry, &layout, &image, &only(&["windows/amd64"]), &quiet)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{image} is there for linux/amd64, linux/arm64, none of which is wanted (windows/amd64)")
    );
}

#[tokio::test]
async fn two_of_three_platforms_are_an_index() {
    let (source, _) = filled();
    let address = serve(Arc::clone(&source)).await;
    let image = format!("{address}/group/tool:1.0");
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::at(directory.path());
    let wanted = only(&["linux/amd64", "linux/arm64"]);
    let pulled = pull(&client(&address), &layout, &image, &wanted, &quiet).await.unwrap();
    let index: Value = serde_json::from_slice(&layout.read(&pulled.digest).unwrap()).unwrap();
    let kept = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["platform"]["architecture"]);
    assert_eq!(kept.collect::<Vec<_>>(), ["amd64", "arm64"]);
}

#[tokio::test]
async fn a_cut_connection_goes_on_where_it_stopped() {
    let (source, digests) = filled();
    source.lock().unwrap().cuts = 3;
    let address = serve(Arc::clone(&source)).await;
    let image = format!("{address}/group/tool:1.0");
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::at(directory.path());
    let again = Mutex::new(0);
    let progress = |progress: Progress<'_>| {
        if let Progress::Again { .. } = progress {
            *again.lock().unwrap() += 1;
        }
    };
    pull(&client(&address), &layout, &image, &Platforms::All, &progress)
        .await
        .unwrap();
    assert_eq!(*again.lock().unwrap(), 3);
    for digest in digests {
        let path = layout.blob(&digest);
        assert_eq!(registry::digest(&fs_err::read(path).unwrap()), digest);
    }
}

#[tokio::test]
async fn a_busy_registry_is_asked_again() {
    let (source, _) = filled();
    source.lock().unwrap().busy = 2;
    let address = serve(Arc::clone(&source)).await;
    let image = format!("{address}/group/tool:1.0");
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::at(directory.path());
    pull(&client(&address), &layout, &image, &Platforms::All, &quiet)
        .await
        .unwrap();
}

#[tokio::test]
async fn logins_are_those_of_the_usual_file() {
    let (source, _) = filled();
    // me:secret
    source.lock().unwrap().authorization = Some("Basic bWU6c2VjcmV0".to_owned());
    let address = serve(Arc::clone(&source)).await;
    let image = format!("{address}/group/tool:1.0");
    let anonymous = inspect(&client(&address), &image).await.unwrap_err();
    assert!(anonymous.is_denied(), "{anonymous:?}");

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.json");
    let file = json!({ "auths": { &address: { "auth": "bWU6c2VjcmV0" } } });
    fs_err::write(&path, file.to_string()).unwrap();
    let registry = Registry::new(Options {
        credentials: Credentials::read(&path).unwrap(),
        plain_http: BTreeSet::from([address.clone()]),
        ..Options::default()
    })
    .unwrap();
    let layout = Layout::at(directory.path().join("images"));
    pull(&registry, &layout, &image, &Platforms::All, &quiet).await.unwrap();
    push(
        &registry,
        &layout,
        &image,
        &format!("{address}/group/other:1.0"),
        &quiet,
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn inspecting_names_the_platforms() {
    let (source, _) = filled();
    let address = serve(Arc::clone(&source)).await;
    let image = format!("{address}/group/tool:1.0");
    let registry = client(&address);
    let index = inspect(&registry, &image).await.unwrap();
    assert_eq!(index.platforms, platforms(&["linux/amd64", "linux/arm64"]));

    // One image without an index says itself what it is for.
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::at(directory.path());
    let pulled = pull(&registry, &layout, &image, &only(&["linux/amd64"]), &quiet)
        .await
        .unwrap();
    let target = format!("{address}/group/one:1.0");
    push(&registry, &layout, &image, &target, &quiet).await.unwrap();
    assert_eq!(
        inspect(&registry, &target).await.unwrap(),
        Inspected {
            image: target,
            digest: pulled.digest,
            platforms: platforms(&["linux/amd64"]),
        }
    );
}

#[tokio::test]
async fn a_blob_with_other_bytes_is_refused() {
    let (source, _) = filled();
    for blob in source.lock().unwrap().blobs.values_mut() {
        let mut bytes = blob.to_vec();
        bytes[0] ^= 1;
        *blob = bytes.into();
    }
    let address = serve(Arc::clone(&source)).await;
    let image = format!("{address}/group/tool:1.0");
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::at(directory.path());
    pull(&client(&address), &layout, &image, &Platforms::All, &quiet)
        .await
        .unwrap_err();
    assert_eq!(layout.stored().unwrap(), []);
}
