//! `sono version`.

use serde::Serialize;
use sono_types::{constants, exit};

use crate::{
    aggregator::text,
    args::{self, VERSION, VersionOutput},
    error::CliError,
    output::{Format, Printer},
    settings::connect,
};

/// Commit of the source. Only `cargo xtask dist` sets it.
const COMMIT: Option<&str> = option_env!("SONO_COMMIT");

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions<'a> {
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'a str>,
    archive_format: &'a str,
    platform: &'a str,
    /// Version of the API server, if queried.
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<String>,
}

pub(super) fn version(arguments: &args::Version, printer: &Printer) -> Result<u8, CliError> {
    let args::Version { short, output, cluster } = arguments;
    if *short {
        printer.line(VERSION)?;
        return Ok(exit::SUCCESS);
    }
    // Query only a cluster selected by flags: the command must work offline.
    let asked = cluster.kubeconfig.is_some() || cluster.context.is_some();
    let server = asked.then(|| {
        super::in_runtime(async {
            let version = connect(cluster).await?.server_version().await?;
            Ok::<_, CliError>(text(&version, "/gitVersion").to_owned())
        })
    });
    let (api_version, failure) = match server {
        Some(Ok(version)) => (Some(version), None),
        Some(Err(error)) => (None, Some(error)),
        None => (None, None),
    };
    let versions = Versions {
        version: VERSION,
        commit: COMMIT,
        archive_format: constants::ARCHIVE_VERSION,
        platform: &format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
        api_version,
    };
    match output {
        Some(VersionOutput::Json) => {
            let text = serde_json::to_string(&versions);
            let text = text.map_err(|error| CliError::new("cannot write the version").caused_by(&error))?;
            printer.document(Format::Json, &(text + "\n"))?;
        }
        None => {
            let Versions {
                version,
                commit,
                archive_format,
                platform,
                api_version,
            } = versions;
            let server = api_version.as_deref().unwrap_or(if asked {
                "unknown"
            } else {
                "not queried; select a cluster with --kubeconfig or --context"
            });
            let lines = [
                ("sono version:", Some(version)),
                ("Commit:", commit),
                ("Archive format:", Some(archive_format)),
                ("Platform:", Some(platform)),
                ("API version:", Some(server)),
            ];
            for (word, value) in lines {
                if let Some(value) = value {
                    printer.line(&format!("{word:<15}  {value}"))?;
                }
            }
        }
    }
    if let Some(failure) = failure {
        printer.error(&failure);
    }
    Ok(exit::SUCCESS)
}
