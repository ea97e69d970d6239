//! The values of the cluster's Secrets, to find them in everything that is packed.

use std::time::Duration;

use serde_json::Value;
use sono_kube::{
    Cluster,
    query::{QueryError, Rate, Reader, encode},
};
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
pub enum SecretValues {
    /// They are.
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

/// The values of Secrets at the start of a run.
#[derive(Debug, Default)]
pub enum AtStart {
    /// They were not read, because they are not searched or the process began later.
    #[default]
    NotRead,
    /// These.
    Values(KnownValues),
    /// They could not be read.
    Failed,
}

/// Reads the values at the start of a run.
pub(crate) async fn read_at_start(cluster: &Cluster, config: &Config, secrets: SecretValues) -> AtStart {
    if secrets != SecretValues::Read {
        return AtStart::NotRead;
    }
    match list(cluster, config).await {
        Ok(values) => AtStart::Values(values),
        Err(reason) => {
            tracing::warn!(reason, "values of Secrets at the start of the run are not known");
            AtStart::Failed
        }
    }
}

/// Reads the values of all Secrets and adds those of the start of a run. Values stay in memory: unlike other lists, responses
/// are not stored in files until they are parsed.
pub async fn read_known(cluster: &Cluster, config: &Config, secrets: SecretValues, at_start: AtStart) -> Known {
    if let SecretValues::NotRead(reason) = secrets {
        return Known::NotSearched(reason.to_owned());
    }
    match (list(cluster, config).await, at_start) {
        (Ok(values), AtStart::NotRead) => Known::Values(values),
        (Ok(mut values), AtStart::Values(earlier)) => {
            values.add_all(earlier);
            Known::Values(values)
        }
        (Ok(mut values), AtStart::Failed) => {
            values.not_all();
            Known::Values(values)
        }
        (Err(reason), AtStart::Values(mut values)) => {
            tracing::warn!(
                reason,
                "searching for the values of Secrets at the start of the run only"
            );
            values.not_all();
            Known::Values(values)
        }
        (Err(reason), AtStart::NotRead | AtStart::Failed) => Known::NotSearched(reason),
    }
}

/// All values, or the reason why they are not known.
async fn list(cluster: &Cluster, config: &Config) -> Result<KnownValues, String> {
    #[cfg(target_os = "linux")]
    without_core_dumps().map_err(|error| format!("cannot disable core dumps: {error}"))?;
    let rate = Rate::from_config(config.qps, config.burst);
    let failed = |error: &dyn std::error::Error| format!("cannot list Secrets: {}", error_chain(error));
    let reader = Reader::new(cluster, rate, &std::env::temp_dir()).map_err(|error| failed(&error))?;
    match tokio::time::timeout(LIMIT, read(&reader)).await {
        Ok(read) => read.map_err(|error| failed(&error)),
        Err(_) => Err(format!("cannot list Secrets within {} s", LIMIT.as_secs())),
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
