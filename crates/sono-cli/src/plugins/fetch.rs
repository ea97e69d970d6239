//! Reads plugin definitions from files, URLs, registries and standard input.

use std::{
    error::Error,
    io::{self, Read},
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::{Client, Url, redirect::Policy};
use sha2::{Digest as _, Sha256};

use super::ResolvedPlugin;
use crate::{args, error::CliError, output::Printer, registries, text_file};

/// Time limit of a request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum number of redirects.
const REDIRECTS: usize = 10;
/// Maximum size of a definition: that of a ConfigMap.
const MAX_BYTES: u64 = 1024 * 1024;
/// File name extensions of definitions.
const EXTENSIONS: [&str; 2] = [".yaml", ".yml"];

/// Text of a definition, and the name of its file in messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Document {
    pub(crate) file: String,
    pub(crate) text: String,
}

impl Document {
    /// SHA-256 of the text, in lower-case hexadecimal digits.
    pub(crate) fn sha256(&self) -> String {
        let digest = Sha256::digest(self.text.as_bytes());
        let digits: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        digits.concat()
    }
}

/// Access to URLs and registries.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Access<'a> {
    /// Whether plain HTTP to other machines is allowed.
    pub(crate) allow_http: bool,
    /// SHA-256 digests of allowed definitions; empty allows all.
    pub(crate) digests: &'a [String],
    /// Registries that are used over plain HTTP.
    pub(crate) insecure: &'a [String],
    /// PEM file with certificate authorities.
    pub(crate) authorities: Option<&'a Path>,
}

impl<'a> Access<'a> {
    /// Access by the flags. Called as `sonobuoy`, plain HTTP requires no flag.
    pub(crate) fn new(addresses: &'a args::Addresses, as_sonobuoy: bool) -> Self {
        let args::Addresses { allow_http, sha256 } = addresses;
        Self {
            allow_http: *allow_http || as_sonobuoy,
            digests: sha256,
            ..Self::default()
        }
    }

    /// Fails if a document has none of the digests.
    pub(crate) fn check(&self, found: ResolvedPlugin) -> Result<ResolvedPlugin, CliError> {
        if self.digests.is_empty() {
            return Ok(found);
        }
        let documents = match &found {
            ResolvedPlugin::Documents { documents, rename: _ } => documents.as_slice(),
            ResolvedPlugin::BuiltIn(_) => &[],
        };
        for document in documents {
            let digest = document.sha256();
            if !self.digests.contains(&digest) {
                let found = format!("found    {digest}");
                let expected = self.digests.iter().map(|digest| format!("expected {digest}"));
                return Err(CliError::new(format!(
                    "the SHA-256 of plugin `{}` differs from --sha256",
                    document.file
                ))
                .details(expected.chain([found]))
                .hint("review the definition before you trust its new digest"));
            }
        }
        Ok(found)
    }
}

/// Reason to reject a redirect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("more than {REDIRECTS} redirects")]
    TooMany,
    #[error("redirected from https to plain http, which anyone on the network path can change")]
    Downgrade,
    #[error("redirected to another machine over plain http, which requires --allow-http")]
    PlainHttp,
}

/// Reason to reject a redirect to `next` after the `previous` URLs, in their order.
fn refusal(previous: &[Url], next: &Url, allow_http: bool) -> Option<Refusal> {
    if previous.len() > REDIRECTS {
        Some(Refusal::TooMany)
    } else if next.scheme() == "https" {
        None
    } else if previous.iter().any(|url| url.scheme() == "https") {
        Some(Refusal::Downgrade)
    } else {
        (!allow_http && !is_loopback(next)).then_some(Refusal::PlainHttp)
    }
}

/// Whether the URL points to this machine.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

/// Reads standard input.
pub(crate) fn input() -> Result<Document, CliError> {
    let what = "cannot read a plugin from standard input";
    let text = read_text(io::stdin().lock(), what)?;
    if text.trim().is_empty() {
        return Err(CliError::new("standard input contains no plugin"));
    }
    let file = "standard input".to_owned();
    Ok(Document { file, text })
}

/// Reads a file.
pub(crate) fn file(path: &Path) -> Result<Document, CliError> {
    let file = path.display().to_string();
    let what = format!("cannot read the plugin `{file}`");
    let opened = fs_err::File::open(path).map_err(|error| CliError::new(&what).caused_by(&error))?;
    let text = read_text(opened, &what)?;
    Ok(Document { file, text })
}

/// The file `name`, or the definitions directly in the directory `name`.
pub(crate) fn files(name: &str) -> Result<Option<Vec<PathBuf>>, CliError> {
    let path = Path::new(name);
    if !path.is_dir() {
        return Ok(path.exists().then(|| vec![path.to_owned()]));
    }
    let listed = |error: &io::Error| CliError::new(format!("cannot list the plugins in `{name}`")).caused_by(error);
    let mut files = Vec::new();
    for entry in fs_err::read_dir(path).map_err(|error| listed(&error))? {
        let file = entry.map_err(|error| listed(&error))?.path();
        let is_yaml = file
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml");
        if is_yaml && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(CliError::new(format!(
            "no plugin found in `{name}`: no file ends in .yaml or .yml"
        )));
    }
    Ok(Some(files))
}

/// Fetches a URL.
pub(crate) async fn url(address: &str, access: Access<'_>, printer: &Printer) -> Result<Document, CliError> {
    let url =
        Url::parse(address).map_err(|error| CliError::new(format!("invalid URL `{address}`")).caused_by(&error))?;
    let file = without_login(&url);
    let what = format!("cannot fetch the plugin `{file}`");
    let failed = |error: reqwest::Error| {
        let failed = CliError::new(&what)
            .hint("if this machine cannot reach the URL, download the file elsewhere and pass its path");
        if error.is_timeout() {
            return failed.details([format!("no response within {} seconds", TIMEOUT.as_secs())]);
        }
        failed.caused_by(root(&error))
    };
    if url.scheme() == "http" && !is_loopback(&url) {
        if !access.allow_http {
            return Err(CliError::new(what)
                .details(["anyone on the network path can change a plugin that is sent over plain http".to_owned()])
                .hint("use an https URL, or --allow-http to fetch it anyway"));
        }
        printer.note(&format!(
            "warning: fetching `{file}` over plain http, which anyone on the network path can change"
        ));
    }
    let allow_http = access.allow_http;
    let redirects = Policy::custom(
        move |attempt| match refusal(attempt.previous(), attempt.url(), allow_http) {
            Some(refusal) => attempt.error(refusal),
            None => attempt.follow(),
        },
    );
    let client = Client::builder()
        .timeout(TIMEOUT)
        .redirect(redirects)
        .user_agent(concat!("sono/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(failed)?;
    let mut answer = client.get(url).send().await.map_err(failed)?;
    let status = answer.status();
    if status.is_client_error() || status.is_server_error() {
        return Err(CliError::new(what)
            .details([format!("unexpected HTTP response code {status}")])
            .hint("check the URL; for a local file, pass its path"));
    }
    let mut bytes = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(failed)? {
        bytes.extend_from_slice(&part);
        if bytes.len() as u64 > MAX_BYTES {
            return Err(too_large(&what));
        }
    }
    let text = decoded(&bytes, &what)?;
    if is_web_page(&text) {
        return Err(CliError::new(what)
            .details(["the response is a web page, not a file".to_owned()])
            .hint("on code hosting sites, use the `Raw` URL"));
    }
    Ok(Document { file, text })
}

/// Root cause of an HTTP client error.
fn root(error: &reqwest::Error) -> &(dyn Error + 'static) {
    let mut root: &(dyn Error + 'static) = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root
}

/// Fetches a file of an OCI artifact.
pub(crate) async fn artifact(name: &str, access: Access<'_>) -> Result<Document, CliError> {
    let Access {
        insecure, authorities, ..
    } = access;
    let client = registries::client(insecure, authorities, &[name.to_owned()])?;
    let file = format!("oci://{name}");
    let what = format!("cannot fetch the plugin `{file}`");
    let found = sono_images::artifact_file(&client, name, &EXTENSIONS, MAX_BYTES).await;
    let found = found.map_err(|error| CliError::new(&what).caused_by(&error))?;
    let text = decoded(&found.bytes, &what)?;
    Ok(Document { file, text })
}

fn read_text(reader: impl Read, what: &str) -> Result<String, CliError> {
    let mut bytes = Vec::new();
    let read = reader.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| CliError::new(what).caused_by(&error))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(too_large(what));
    }
    decoded(&bytes, what)
}

fn decoded(bytes: &[u8], what: &str) -> Result<String, CliError> {
    text_file::text(bytes).map_err(|error| {
        CliError::new(what)
            .details([format!("the definition is not text: {error}")])
            .hint("a definition is YAML; for a template: sono gen plugin")
    })
}

fn too_large(what: &str) -> CliError {
    let limit = format!(
        "the definition exceeds {} KiB, the size limit of a ConfigMap",
        MAX_BYTES / 1024
    );
    CliError::new(what).details([limit])
}

/// The URL without user and password, for messages.
fn without_login(url: &Url) -> String {
    let mut url = url.clone();
    if !url.username().is_empty() || url.password().is_some() {
        // Both fail only for URLs without a host, which have no login.
        url.set_username("").ok();
        url.set_password(None).ok();
    }
    url.to_string()
}

fn is_web_page(text: &str) -> bool {
    let start: String = text.trim_start().chars().take(15).collect();
    let start = start.to_ascii_lowercase();
    start.starts_with("<!doctype html") || start.starts_with("<html")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirect_is_rejected_if_it_is_less_secure() {
        let check = |addresses: &[&str], allow_http, expected| {
            let urls: Vec<Url> = addresses.iter().map(|address| Url::parse(address).unwrap()).collect();
            let (next, previous) = urls.split_last().unwrap();
            assert_eq!(refusal(previous, next, allow_http), expected, "{addresses:?}");
        };
        for allow_http in [false, true] {
            check(&["https://a/", "https://b/"], allow_http, None);
            check(&["http://127.0.0.1:1/", "http://localhost/"], allow_http, None);
            check(&["http://127.0.0.1/", "http://[::1]/"], allow_http, None);
            check(&["http://a/", "https://b/"], allow_http, None);
            check(&["https://a/", "http://a/"], allow_http, Some(Refusal::Downgrade));
            check(
                &["https://a/", "http://127.0.0.1/"],
                allow_http,
                Some(Refusal::Downgrade),
            );
            check(
                &["http://a/", "https://b/", "http://a/"],
                allow_http,
                Some(Refusal::Downgrade),
            );
            let many = ["https://a/"; REDIRECTS + 2];
            check(&many, allow_http, Some(Refusal::TooMany));
        }
        for next in [
            "http://a/",
            "http://127.0.0.1.nip.io/",
            "http://localhost.a/",
            "http://10.0.0.1/",
        ] {
            check(&["http://localhost/", next], false, Some(Refusal::PlainHttp));
            check(&["http://localhost/", next], true, None);
        }
    }

    #[test]
    fn login_is_removed_from_messages() {
        let url = Url::parse("https://me:secret@host/a.yaml").unwrap();
        assert_eq!(without_login(&url), "https://host/a.yaml");
    }
}
