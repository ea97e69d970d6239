//! Images between a registry on loopback and a directory.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::{collections::BTreeSet, sync::Mutex};

use serde_json::{Value, json};
use sono_images::{
    Credentials, Inspected, Layout, Options, Platform, Platforms, Progress, Registry, inspect, pull, push,
};
use sono_testkit::{Contents, FakeRegistry, digest};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn filled() -> Contents {
    Contents::default().with_index("group/tool", "1.0")
}

async fn served(contents: Contents) -> (FakeRegistry, String) {
    let registry = FakeRegistry::serve(contents).await;
    let image = format!("{}/group/tool:1.0", registry.address());
    (registry, image)
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
async fn all_platforms_are_copied_unchanged() {
    let (source, image) = served(filled()).await;
    let digests = filled().blobs.into_keys().collect::<BTreeSet<_>>();
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::at(directory.path());
    let pulled = pull(&client(source.address()), &layout, &image, &Platforms::All, &quiet)
        .await
        .unwrap();
    assert_eq!((pulled.blobs_moved, pulled.blobs_skipped), (digests.len(), 0));

    let other = FakeRegistry::serve(Contents::default()).await;
    let target = format!("{}/mine/tool:2", other.address());
    let pushed = push(&client(other.address()), &layout, &image, &target, &quiet)
        .await
        .unwrap();
    assert_eq!(
        (&pushed.digest, pushed.bytes_moved),
        (&pulled.digest, pulled.bytes_moved)
    );
    let key = |repository: &str, name: &str| (repository.to_owned(), name.to_owned());
    {
        let (source, target) = (source.contents(), other.contents());
        assert_eq!(source.blobs, target.blobs);
        assert_eq!(
            source.manifests[&key("group/tool", "1.0")],
            target.manifests[&key("mine/tool", "2")]
        );
    }
    // Existing blobs are not pushed again.
    let again = push(&client(other.address()), &layout, &image, &target, &quiet)
        .await
        .unwrap();
    assert_eq!((again.blobs_moved, again.blobs_skipped), (0, digests.len()));
}

#[tokio::test]
async fn single_platform_becomes_a_plain_image() {
    let (source, image) = served(filled()).await;
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::at(directory.path());
    let registry = client(source.address());
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
        format!("{image} is available for linux/amd64, linux/arm64, but not for windows/amd64")
    );
}

#[tokio::test]
async fn two_of_three_platforms_are_an_index() {
    let (source, image) = served(filled()).await;
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::at(directory.path());
    let requested = only(&["linux/amd64", "linux/arm64"]);
    let pulled = pull(&client(source.address()), &layout, &image, &requested, &quiet)
        .await
        .unwrap();
    let index: Value = serde_json::from_slice(&layout.read(&pulled.digest).unwrap()).unwrap();
    let remaining = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["platform"]["architecture"]);
    assert_eq!(remaining.collect::<Vec<_>>(), ["amd64", "arm64"]);
}

#[tokio::test]
async fn broken_download_is_resumed() {
    let digests = filled().blobs.into_keys();
    let (source, image) = served(Contents { cuts: 3, ..filled() }).await;
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::at(directory.path());
    let retries = Mutex::new(0);
    let progress = |progress: Progress<'_>| {
        if let Progress::Retry { .. } = progress {
            *retries.lock().unwrap() += 1;
        }
    };
    pull(&client(source.address()), &layout, &image, &Platforms::All, &progress)
        .await
        .unwrap();
    assert_eq!(*retries.lock().unwrap(), 3);
    for name in digests {
        let path = layout.blob(&name);
        assert_eq!(digest(&fs_err::read(path).unwrap()), name);
    }
}

/// BUG 25: transient errors are retried.
#[tokio::test]
async fn busy_registry_is_retried() {
    let (source, image) = served(Contents { busy: 2, ..filled() }).await;
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::at(directory.path());
    pull(&client(source.address()), &layout, &image, &Platforms::All, &quiet)
        .await
        .unwrap();
}

#[tokio::test]
async fn logins_are_read_from_the_default_file() {
    // me:secret
    let (source, image) = served(Contents {
        authorization: Some("Basic bWU6c2VjcmV0".to_owned()),
        ..filled()
    })
    .await;
    let address = source.address().to_owned();
    let anonymous = inspect(&client(source.address()), &image).await.unwrap_err();
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
    let (source, image) = served(filled()).await;
    let registry = client(source.address());
    let index = inspect(&registry, &image).await.unwrap();
    assert_eq!(index.platforms, platforms(&["linux/amd64", "linux/arm64"]));

    // An image without an index names its platform in its configuration.
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::at(directory.path());
    let pulled = pull(&registry, &layout, &image, &only(&["linux/amd64"]), &quiet)
        .await
        .unwrap();
    let target = format!("{}/group/one:1.0", source.address());
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
    let mut contents = filled();
    for blob in contents.blobs.values_mut() {
        let mut bytes = blob.to_vec();
        bytes[0] ^= 1;
        *blob = bytes.into();
    }
    let (source, image) = served(contents).await;
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::at(directory.path());
    pull(&client(source.address()), &layout, &image, &Platforms::All, &quiet)
        .await
        .unwrap_err();
    assert_eq!(layout.stored().unwrap(), []);
}
