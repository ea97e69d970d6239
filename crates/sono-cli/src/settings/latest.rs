//! `--kubernetes-version latest`: the newest build of Kubernetes itself, which no release is yet (cli spec §4.2).

use std::time::Duration;

use crate::error::CliError;

/// Where its version stands.
const ADDRESS: &str = "https://storage.googleapis.com/k8s-release-dev/ci/latest.txt";
/// Where its images are.
pub(super) const CONFORMANCE: &str = "gcr.io/k8s-staging-ci-images/conformance";
/// How long the answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The version, as tags of images have it.
pub(crate) async fn latest() -> Result<String, CliError> {
    let what = || {
        CliError::new("the latest version of Kubernetes cannot be had")
            .details([ADDRESS.to_owned()])
            .hint("say which: --kubernetes-version v1.37.2")
    };
    let failed = |error: reqwest::Error| what().caused_by(&error.without_url());
    let client = reqwest::Client::builder().timeout(PATIENCE).build().map_err(failed)?;
    let answer = client
        .get(ADDRESS)
        .send()
        .await
        .and_then(reqwest::Response::error_for_status);
    let text = answer.map_err(failed)?.text().await.map_err(failed)?;
    tag(&text).ok_or_else(|| what().details(["the answer is no version".to_owned()]))
}

/// A tag knows no `+`.
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
    fn a_build_is_a_tag() {
        let version = tag("v1.38.0-alpha.1.12+0123456789abcd\n");
        assert_eq!(version.as_deref(), Some("v1.38.0-alpha.1.12_0123456789abcd"));
        for text in ["", "<html>", "v", "v1.2 and more"] {
            assert_eq!(tag(text), None, "{text}");
        }
    }
}
