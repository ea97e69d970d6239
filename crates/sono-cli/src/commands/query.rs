//! `sono query`: the queries of a run, without a run (cli §16).

use std::{
    io,
    path::{Path, PathBuf},
};

use sono_bundle::pack_directory;
use sono_local::{SecretValues, query_cluster, system_clock};
use sono_types::{Config, exit};
use uuid::Uuid;

use crate::{
    args,
    error::CliError,
    output::Printer,
    settings::{configuration, connect},
};

/// gzip level, as in archives of runs.
const COMPRESSION_LEVEL: u32 = 6;

pub(super) async fn query(arguments: args::Query, printer: &Printer) -> Result<u8, CliError> {
    let args::Query {
        cluster,
        output,
        config,
        namespace,
        resources,
        namespaces,
        selector,
        redact_known,
    } = arguments;
    let secrets = if redact_known.eq_ignore_ascii_case("on") {
        SecretValues::Read
    } else {
        SecretValues::NotRead("--redact-known is not set")
    };
    let mut config = match config {
        Some(path) => configuration::read(&path, printer)?,
        None => Config::default(),
    };
    let output = output.or_else(|| Some(PathBuf::from(&config.query_dir)).filter(|path| !path.as_os_str().is_empty()));
    let output = output.unwrap_or_else(|| PathBuf::from(Uuid::new_v4().to_string()));
    config.resources = resources.or(config.resources);
    config.namespace = namespace.unwrap_or(config.namespace);
    config.filters.namespaces = namespaces.unwrap_or(config.filters.namespaces);
    config.filters.label_selector = selector.unwrap_or(config.filters.label_selector);
    #[cfg(unix)]
    // The files contain data of the cluster: only this user may read them.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let cluster = connect(&cluster).await?;
    if printer.is_terminal() {
        printer.note(&format!("querying {}; this can take a while", cluster.server_url()));
    }
    let written = |error: &io::Error| CliError::new(format!("cannot write `{}`", output.display())).caused_by(error);
    let is_archive = output.to_string_lossy().ends_with(".tar.gz");
    let problems = if is_archive {
        let parent = output.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = tempfile::Builder::new()
            .prefix(".sono-")
            .tempdir_in(parent.unwrap_or_else(|| Path::new(".")))
            .map_err(|error| written(&error))?;
        let found = directory.path().join("found");
        let problems = query_cluster(&cluster, &config, secrets, &found, &system_clock()).await;
        let packed = directory.path().join("packed");
        pack(&found, &packed)?;
        fs_err::rename(&packed, &output).map_err(|error| written(&error))?;
        problems
    } else {
        if output.is_dir()
            && fs_err::read_dir(&output)
                .map_err(|error| written(&error))?
                .next()
                .is_some()
        {
            return Err(CliError::new(format!("`{}` exists and is not empty", output.display()))
                .hint("choose another directory with --output"));
        }
        fs_err::create_dir_all(&output).map_err(|error| written(&error))?;
        query_cluster(&cluster, &config, secrets, &output, &system_clock()).await
    };
    for problem in &problems {
        printer.note(&format!("incomplete: {problem}"));
    }
    printer.path(&output)?;
    // Failed queries are recorded in `meta/query-time.json`.
    Ok(exit::SUCCESS)
}

fn pack(directory: &Path, target: &Path) -> Result<(), CliError> {
    let failed =
        |error: &(dyn std::error::Error + 'static)| CliError::new("cannot pack the query results").caused_by(error);
    let file = fs_err::File::create(target).map_err(|error| failed(&error))?;
    let (file, _) = pack_directory(directory, file, &[], COMPRESSION_LEVEL).map_err(|error| failed(&error))?;
    file.sync_all().map_err(|error| failed(&error))
}
