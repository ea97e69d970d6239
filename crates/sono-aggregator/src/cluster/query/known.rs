//! The values of the cluster's Secrets, to find them in everything that queries store.

use std::time::Duration;

use serde_json::Value;
use sono_kube::query::{QueryError, Reader, encode};
use sono_redact::{Known, KnownValues};
use sono_types::{Config, error_chain};

/// Secrets in one response: each has at most 1 MiB, and a response 32 MiB.
const PAGE: usize = 24;
/// Most responses: far more Secrets than are searched.
const MAX_PAGES: usize = 4_000;
/// Time for all of them.
const LIMIT: Duration = Duration::from_mins(5);

/// Whether values of Secrets are read to search for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SecretValues {
    /// Read once, before the other queries.
    Read,
    /// Not read, for this reason.
    NotRead(&'static str),
}

impl SecretValues {
    /// Those of a run: they are read where the account of the aggregator may read them anyway.
    pub(crate) fn of_run(config: &Config) -> Self {
        if config.redact_known == "off" {
            Self::NotRead("`RedactKnown` is `off`")
        } else if config.aggregator_permissions == "clusterAdmin" {
            Self::Read
        } else {
            Self::NotRead("the aggregator's permissions do not include Secrets")
        }
    }
}

/// Reads the values. They stay in memory: unlike other lists, responses are not stored in files until they are parsed.
pub(super) async fn known(reader: &Reader, secrets: SecretValues) -> Known {
    if let SecretValues::NotRead(reason) = secrets {
        return Known::NotSearched(reason.to_owned());
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = without_core_dumps() {
        return Known::NotSearched(format!("cannot disable core dumps: {error}"));
    }
    match tokio::time::timeout(LIMIT, read(reader)).await {
        Ok(Ok(values)) => Known::Values(values),
        Ok(Err(error)) => Known::NotSearched(format!("cannot list Secrets: {}", error_chain(&error))),
        Err(_) => Known::NotSearched(format!("cannot list Secrets within {} s", LIMIT.as_secs())),
    }
}

/// A core dump would write the values to a disk.
#[cfg(target_os = "linux")]
fn without_core_dumps() -> rustix::io::Result<()> {
    let none = rustix::process::Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    rustix::process::setrlimit(rustix::process::Resource::Core, none)
}

async fn read(reader: &Reader) -> Result<KnownValues, QueryError> {
    let mut values = KnownValues::default();
    let mut next = String::new();
    for _ in 0..MAX_PAGES {
        let page = reader.json(&format!("/api/v1/secrets?limit={PAGE}{next}")).await?;
        for secret in page.get("items").and_then(Value::as_array).into_iter().flatten() {
            values.add_secret(secret);
        }
        match page.pointer("/metadata/continue").and_then(Value::as_str) {
            Some(token) if !token.is_empty() => next = format!("&continue={}", encode(token)),
            _ => return Ok(values),
        }
    }
    values.not_all();
    Ok(values)
}
