//! `--kubernetes-version latest`: the newest unreleased build of Kubernetes (cli §4.2).

use std::time::Duration;

use crate::error::CliError;

/// URL of the version of the newest build.
const URL: &str = "https://storage.googleapis.com/k8s-release-dev/ci/latest.txt";
/// Repository of the conformance images of builds.
pub(super) const CONFORMANCE: &str = "gcr.io/k8s-staging-ci-images/conformance";
/// Time limit of the request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Fetches the version of the newest build, in the form of an image tag.
pub(crate) async fn latest() -> Result<String, CliError> {
    let what = || {
        CliError::new("cannot look up the latest Kubernetes version")
            .details([URL.to_owned()])
            .hint("set the version: --kubernetes-version v1.37.2")
    };
    let failed = |error: reqwest::Error| what().caused_by(&error.without_url());
    let client = reqwest::Client::builder().timeout(TIMEOUT).build().map_err(failed)?;
    let answer = client
        .get(URL)
        .send()
        .await
        .and_then(reqwest::Response::error_for_status);
    let text = answer.map_err(failed)?.text().await.map_err(failed)?;
    tag(&text).ok_or_else(|| what().details(["the response is not a version".to_owned()]))
}

/// Converts a version to an image tag, which cannot contain `+`.
fn tag(text: &str) -> Option<String> {
    let version = text.trim();
    let is_version = version
        .strip_prefix('v')
        .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
    (is_version && version.len() < 128 && !version.contains(char::is_whitespace)).then(|| version.replacen('+', "_", 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_version_becomes_a_tag() {
        let version = tag("v1.38.0-alpha.1.12+0123456789abcd\n");
        assert_eq!(version.as_deref(), Some("v1.38.0-alpha.1.12_0123456789abcd"));
        for text in ["", "<html>", "v", "v1.2 and more"] {
            assert_eq!(tag(text), None, "{text}");
        }
    }
}
