//! `sono e2e`: names of the Kubernetes tests (cli §13).
//!
//! sono includes no lists, since they would not match the cluster's version. Results of the suite contain all names.

mod names;

use std::{
    io::{Read as _, stdin},
    path::Path,
    time::Duration,
};

use sono_bundle::{ArchiveError, Bundle, ReadError, ReadLimits, gunzip};
use sono_results::{Compatibility, read_result_file, visit_leaves};
use sono_types::{Item, ResultFormat, exit, layout};

use crate::{
    aggregator::text,
    args::{self, E2eMode},
    error::CliError,
    go_regex,
    output::{Printer, Text},
    settings::connect,
    text_file, trees,
    view::words::counted,
};

/// Maximum size of a list.
const MAX_LIST_BYTES: u64 = 256 << 20;
/// Time limit for fetching a list.
const TIMEOUT: Duration = Duration::from_mins(1);
const ONLINE: &str = "online";
const HINT: &str = "get an archive with a dry run: sono run -p e2e --plugin-env e2e.E2E_DRYRUN=true --wait, then sono retrieve; then list the tests: sono e2e --input ARCHIVE";

pub(super) fn e2e(arguments: args::E2e, printer: &Printer) -> Result<u8, CliError> {
    let args::E2e {
        cluster,
        input,
        mode,
        focus,
        skip,
        plugin,
        version,
        url,
        no_limits,
    } = arguments;
    let expression = |text: Option<String>, what: &str| {
        text.filter(|text| !text.is_empty())
            .map(|text| go_regex::compile(&format!("--{what}"), &text))
            .transpose()
    };
    let (focus, skip) = (expression(focus, "focus")?, expression(skip, "skip")?);
    let found = match (input.as_deref(), url) {
        (None | Some(ONLINE), Some(url)) => super::in_runtime(fetch(&url, version, &cluster))?,
        (Some(_), Some(_)) => return Err(CliError::new("--input conflicts with --url")),
        (None, None) => {
            return Err(CliError::new("no source of test names: --input is missing").hint(HINT));
        }
        (Some(ONLINE | "offline"), None) => {
            return Err(CliError::new("sono includes no list of Kubernetes tests, and --url is missing").hint(HINT));
        }
        (Some("-"), None) => {
            let read = text_file::read_from(stdin().lock(), MAX_LIST_BYTES);
            lines(&read.map_err(|error| CliError::new("cannot read standard input").caused_by(&error))?)
        }
        (Some(path), None) => read(Path::new(path), &plugin, no_limits)?,
    };
    let all = names::clean(found);
    if all.is_empty() {
        return Err(CliError::new("the input contains no names of tests").hint(HINT));
    }
    let is_selected = |name: &&String| {
        focus.as_ref().is_none_or(|focus| focus.is_match(name))
            && !skip.as_ref().is_some_and(|skip| skip.is_match(name))
    };
    let chosen: Vec<&str> = all.iter().filter(is_selected).map(String::as_str).collect();
    if chosen.is_empty() {
        printer.note(&format!("none of {} matches", counted(all.len() as u64, "test")));
    }
    let shown = match mode {
        E2eMode::Tests => Text::lines(chosen),
        E2eMode::Tags => Text::lines(names::tags(&chosen).into_keys()),
        E2eMode::TagCounts => {
            let counts = names::tags(&chosen).into_iter();
            Text::lines(counts.map(|(tag, count)| format!("{tag}:{count}")))
        }
    };
    printer.line(&shown)?;
    Ok(exit::SUCCESS)
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

fn leaves(tree: &Item) -> Vec<String> {
    let mut names = Vec::new();
    visit_leaves(tree, &mut |leaf| names.push(leaf.item.name.clone()));
    let mut names = names::clean(names);
    // The order of a suite is random.
    names.sort();
    names
}

/// Reads test names from an archive, a JUnit file or a list.
fn read(path: &Path, plugin: &str, no_limits: bool) -> Result<Vec<String>, CliError> {
    let what = format!("cannot read `{}`", path.display());
    let failed = |error: &(dyn std::error::Error + 'static)| CliError::new(&what).caused_by(error);
    let open = || fs_err::File::open(path).map_err(|error| failed(&error));
    let mut start = Vec::new();
    if !path.is_dir() {
        open()?
            .take(1)
            .read_to_end(&mut start)
            .map_err(|error| failed(&error))?;
        if start.first() != Some(&0x1f) {
            let mut bytes = Vec::new();
            open()?
                .take(MAX_LIST_BYTES)
                .read_to_end(&mut bytes)
                .map_err(|error| failed(&error))?;
            let text = text_file::text(&bytes).map_err(|error| failed(&error))?;
            return if text.trim_start().starts_with('<') {
                junit(&bytes).map_err(|reason| CliError::new(&what).details([reason]))
            } else {
                Ok(lines(&text))
            };
        }
    }
    let mut bundle = Bundle::open(path).map_err(|error| failed(&error))?;
    if no_limits {
        bundle = bundle.with_limits(ReadLimits::NONE);
    }
    let file = layout::results_file_named(plugin);
    let found = match trees::of_plugin(&bundle, plugin) {
        Err(ReadError::Archive {
            source: ArchiveError::NotTar | ArchiveError::Truncated,
            ..
        }) => return unpacked(open()?).map_err(|error| failed(&error)),
        found => found.map_err(|error| failed(&error))?,
    };
    let Some(files) = found else {
        return Err(CliError::new(&what)
            .details([format!("failed to find file \"{file}\" in archive")])
            .hint("select the plugin with the tests: --plugin NAME"));
    };
    let tree = files.tree().map_err(|error| failed(&error))?;
    Ok(leaves(&tree))
}

fn unpacked(reader: impl std::io::Read) -> Result<Vec<String>, ArchiveError> {
    let bytes = gunzip(reader, MAX_LIST_BYTES)?;
    Ok(lines(&String::from_utf8_lossy(&bytes)))
}

fn junit(bytes: &[u8]) -> Result<Vec<String>, String> {
    let (tree, problem) = read_result_file(ResultFormat::Junit, "", bytes, Compatibility::default());
    problem.map_or_else(|| Ok(leaves(&tree)), Err)
}

/// Fetches the list of a version.
async fn fetch(url: &str, version: Option<String>, cluster: &args::Cluster) -> Result<Vec<String>, CliError> {
    let version = match version {
        Some(version) if version != "auto" => version,
        _ => {
            let server = connect(cluster).await?.server_version().await?;
            let full = text(&server, "/gitVersion");
            // Remove vendor suffixes.
            let version = &full[..full.find(['-', '+']).unwrap_or(full.len())];
            // The server's text becomes part of a URL.
            if !version.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.') {
                return Err(
                    CliError::new(format!("invalid cluster version {full:?}")).hint("set a version with --version")
                );
            }
            version.to_owned()
        }
    };
    let address = format!("{}/{version}.gz", url.trim_end_matches('/'));
    let what = format!("cannot fetch the list of tests from `{address}`");
    let failed = |error: &(dyn std::error::Error + 'static)| CliError::new(&what).caused_by(error);
    let client = reqwest::Client::builder().timeout(TIMEOUT).build();
    let client = client.map_err(|error| failed(&error))?;
    let mut answer = client.get(&address).send().await.map_err(|error| failed(&error))?;
    let status = answer.status();
    if !status.is_success() {
        return Err(CliError::new(&what)
            .details([format!("the server returned {status}")])
            .hint("select another version with --version"));
    }
    let mut bytes = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(|error| failed(&error))? {
        bytes.extend_from_slice(&part);
        if bytes.len() as u64 > MAX_LIST_BYTES {
            return Err(CliError::new(&what).details([format!("the list exceeds {MAX_LIST_BYTES} bytes")]));
        }
    }
    unpacked(bytes.as_slice()).map_err(|error| failed(&error))
}
