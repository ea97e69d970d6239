//! The checkpoint store of a cluster: a Secret. The API server compares versions at every write.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::future::BoxFuture;
use serde_json::Value;
use sono_kube::{Kind, KubeError};
use sono_types::constants;

use super::{Shared, retry::patiently};
use crate::backend::{BackendError, CheckpointStore, CheckpointStoreError, StoredCheckpoint, Version};

pub(super) struct RunSecret {
    shared: Arc<Shared>,
}

impl RunSecret {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

fn failed(error: KubeError) -> CheckpointStoreError {
    if error.is_transient() {
        CheckpointStoreError::Failed(BackendError::new(error))
    } else {
        CheckpointStoreError::Refused(BackendError::new(error))
    }
}

fn version(secret: &Value) -> Result<Version, CheckpointStoreError> {
    let version = secret.pointer("/metadata/resourceVersion").and_then(Value::as_str);
    let version = version.ok_or_else(|| {
        let reason = "the API server returned the checkpoint without a resourceVersion";
        CheckpointStoreError::Failed(BackendError::new(reason))
    })?;
    Ok(Version(version.to_owned()))
}

/// Whether the object with this uid, the run's ConfigMap, owns the Secret: another user may have created a Secret with its name.
fn is_owned_by(secret: &Value, uid: &str) -> bool {
    let owners = secret.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    owners.into_iter().flatten().any(|owner| owner["uid"] == uid)
}

fn checkpoint(secret: &Value, uid: &str) -> Result<StoredCheckpoint, CheckpointStoreError> {
    let version = version(secret)?;
    if !is_owned_by(secret, uid) {
        return Ok(StoredCheckpoint { version, content: None });
    }
    let text = secret["data"][constants::RUN_SECRET_KEY].as_str().unwrap_or_default();
    let content = STANDARD
        .decode(text)
        .map_err(|error| CheckpointStoreError::Failed(BackendError::new(error)))?;
    Ok(StoredCheckpoint {
        version,
        content: Some(content),
    })
}

impl CheckpointStore for RunSecret {
    fn read(&self) -> BoxFuture<'_, Result<Option<StoredCheckpoint>, CheckpointStoreError>> {
        Box::pin(async {
            let Shared {
                cluster, config, owner, ..
            } = self.shared.as_ref();
            let namespace = Some(config.namespace.as_str());
            let get = || cluster.get(Kind::Secret, namespace, constants::RUN_SECRET);
            let found = patiently("reading the run's checkpoint", get).await;
            let found = found.map_err(failed)?;
            found.map(|found| checkpoint(&found, &owner.uid)).transpose()
        })
    }

    fn write<'a>(
        &'a self,
        content: &'a [u8],
        over: Option<&'a Version>,
    ) -> BoxFuture<'a, Result<Version, CheckpointStoreError>> {
        Box::pin(async move {
            let Shared {
                cluster, config, owner, ..
            } = self.shared.as_ref();
            let mut secret = sono_manifest::run_secret(owner, &config.namespace, content);
            let written = match over {
                None => match cluster.create(&secret).await {
                    Ok(object) => Some(object),
                    Err(error) if error.is_already_exists() => None,
                    Err(error) => return Err(failed(error)),
                },
                Some(Version(over)) => {
                    secret["metadata"]["resourceVersion"] = over.as_str().into();
                    cluster.replace(&secret).await.map_err(failed)?
                }
            };
            version(&written.ok_or(CheckpointStoreError::Changed)?)
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secret(owners: &Value) -> Value {
        json!({"metadata": {"resourceVersion": "7", "ownerReferences": owners},
            "data": {constants::RUN_SECRET_KEY: STANDARD.encode("content")}})
    }

    #[test]
    fn secret_of_another_owner_has_no_content() {
        let owner = |uid: &str| json!({"kind": "ConfigMap", "name": constants::CONFIG_MAP, "uid": uid});
        let found = |content: Option<&str>| {
            Ok(StoredCheckpoint {
                version: Version("7".to_owned()),
                content: content.map(|text| text.as_bytes().to_vec()),
            })
        };
        for (owners, content) in [
            (json!([owner("own")]), Some("content")),
            (json!([owner("other"), owner("own")]), Some("content")),
            (json!([owner("other")]), None),
            (json!([owner("own ")]), None),
            (json!([owner("")]), None),
            (json!([]), None),
            (Value::Null, None),
            (json!("own"), None),
            (json!([{"kind": "ConfigMap", "name": "own"}]), None),
        ] {
            assert_eq!(checkpoint(&secret(&owners), "own"), found(content), "{owners}");
        }
    }

    #[test]
    fn secret_without_version_is_an_error() {
        let nameless = json!({"metadata": {"ownerReferences": [{"uid": "own"}]}});
        assert!(matches!(
            checkpoint(&nameless, "own"),
            Err(CheckpointStoreError::Failed(_))
        ));
    }
}
