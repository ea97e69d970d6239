//! Versions of Kubernetes, and the flag `--kubernetes-version` (cli §4.2).

use crate::error::CliError;

/// Kubernetes version for plugins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Version {
    /// Version of the cluster.
    Cluster,
    /// Version of the cluster, or none without a cluster.
    ClusterOrNone,
    /// Newest build of Kubernetes.
    Latest,
    /// Version set by the user.
    Exact(String),
}

/// Value for an unknown cluster version, as in Sonobuoy.
pub(crate) const NO_VERSION: &str = "ignore";

/// Parses the flag.
pub(crate) fn parse(given: &str) -> Result<Version, CliError> {
    match given {
        "auto" => return Ok(Version::Cluster),
        NO_VERSION => return Ok(Version::ClusterOrNone),
        "latest" => return Ok(Version::Latest),
        _ => {}
    }
    let refused = || {
        CliError::new(format!("invalid Kubernetes version `{given}`"))
            .hint("expected a version such as v1.37.2, or auto (the cluster's), ignore (the cluster's, if available) or latest")
    };
    let rest = given.strip_prefix('v').ok_or_else(refused)?;
    let end = rest.find(['-', '+']).unwrap_or(rest.len());
    let (numbers, suffix) = rest.split_at(end);
    let parts: Vec<&str> = numbers.split('.').collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if parts.len() > 3 || !parts.iter().all(is_number) || suffix.ends_with(['-', '+']) {
        return Err(refused());
    }
    let missing = ".0".repeat(3 - parts.len());
    Ok(Version::Exact(format!("v{numbers}{missing}{suffix}")))
}

/// The three numbers of `v1.37.2-gke.100`.
pub(crate) fn numbers(version: &str) -> Option<(u64, u64, u64)> {
    let rest = version.strip_prefix('v').unwrap_or(version);
    let end = rest.find(['-', '+']).unwrap_or(rest.len());
    let mut parts = rest[..end].split('.').map(|part| part.parse().ok());
    let numbers = (parts.next()??, parts.next()??, parts.next().unwrap_or(Some(0))?);
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_three_numbers() {
        assert_eq!(parse("auto"), Ok(Version::Cluster));
        assert_eq!(parse("ignore"), Ok(Version::ClusterOrNone));
        assert_eq!(parse("latest"), Ok(Version::Latest));
        for (given, expected) in [
            ("v1.13", "v1.13.0"),
            ("v1", "v1.0.0"),
            ("v1.37.2-rc.1+x", "v1.37.2-rc.1+x"),
        ] {
            assert_eq!(parse(given), Ok(Version::Exact(expected.to_owned())), "{given}");
        }
        for given in ["1.30", "", "v", "v1.11+", "v1.2.3.4", "v1.x"] {
            assert!(parse(given).is_err(), "{given}");
        }
    }
}
