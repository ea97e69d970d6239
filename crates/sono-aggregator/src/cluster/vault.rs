//! The Secret of the run: what must outlive the aggregator's pod. The API server compares versions at every write.

use std::sync::{Arc, Mutex, PoisonError};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::future::BoxFuture;
use serde_json::Value;
use sono_kube::{Kind, KubeError};
use sono_types::constants;

use super::{Shared, patience::patiently};
use crate::{
    driver::{Vault, VaultError},
    upload::chain,
};

pub(super) struct RunSecret {
    shared: Arc<Shared>,
    /// Version that this process knows; `None` where there was no Secret.
    seen: Mutex<Option<String>>,
}

impl RunSecret {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            seen: Mutex::default(),
        }
    }

    fn see(&self, object: Option<&Value>) {
        let version = object.and_then(|object| object.pointer("/metadata/resourceVersion")?.as_str());
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = version.map(str::to_owned);
    }
}

fn failed(error: &KubeError) -> VaultError {
    if error.is_passing() {
        VaultError::Failed(chain(error))
    } else {
        VaultError::Refused(chain(error))
    }
}

impl Vault for RunSecret {
    fn read(&self) -> BoxFuture<'_, Result<Option<Vec<u8>>, VaultError>> {
        Box::pin(async {
            let cluster = &self.shared.cluster;
            let namespace = Some(self.shared.config.namespace.as_str());
            let get = || cluster.get(Kind::Secret, namespace, constants::RUN_SECRET);
            let found = patiently("reading what the run keeps", get).await;
            let found = found.map_err(|error| failed(&error))?;
            self.see(found.as_ref());
            let Some(found) = found else { return Ok(None) };
            let text = found["data"][constants::RUN_SECRET_KEY].as_str().unwrap_or_default();
            let bytes = STANDARD
                .decode(text)
                .map_err(|error| VaultError::Failed(error.to_string()))?;
            Ok(Some(bytes))
        })
    }

    fn write<'a>(&'a self, content: &'a [u8]) -> BoxFuture<'a, Result<(), VaultError>> {
        Box::pin(async move {
            let Shared {
                cluster, config, owner, ..
            } = self.shared.as_ref();
            let mut secret = sono_manifest::run_secret(owner, &config.namespace, content);
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let written = match seen {
                None => match cluster.create(&secret).await {
                    Ok(object) => Some(object),
                    Err(error) if error.is_already_exists() => None,
                    Err(error) => return Err(failed(&error)),
                },
                Some(version) => {
                    secret["metadata"]["resourceVersion"] = version.into();
                    cluster.replace(&secret).await.map_err(|error| failed(&error))?
                }
            };
            let written = written.ok_or(VaultError::Changed)?;
            self.see(Some(&written));
            Ok(())
        })
    }
}
