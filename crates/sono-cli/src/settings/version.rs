//! `--kubernetes-version` (cli spec §4.2).

use crate::error::CliError;

/// The version that plugins are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Version {
    /// The cluster's own.
    Cluster,
    /// The cluster's own, or none where there is no cluster.
    ClusterOrNone,
    /// The newest that Kubernetes' own builds have.
    Latest,
    /// This one.
    Given(String),
}

/// Stands for the cluster's version where there is none to ask, as it does with Sonobuoy.
pub(crate) const NO_VERSION: &str = "ignore";

/// Reads the flag.
pub(super) fn wanted(given: &str) -> Result<Version, CliError> {
    match given {
        "auto" => return Ok(Version::Cluster),
        NO_VERSION => return Ok(Version::ClusterOrNone),
        "latest" => return Ok(Version::Latest),
        _ => {}
    }
    let refused = || {
        CliError::new(format!("`{given}` is no version of Kubernetes"))
            .hint("such as v1.37.2; or auto, which is the cluster's, ignore, which is none where there is no cluster, or latest")
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
    Ok(Version::Given(format!("v{numbers}{missing}{suffix}")))
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
        assert_eq!(wanted("auto"), Ok(Version::Cluster));
        assert_eq!(wanted("ignore"), Ok(Version::ClusterOrNone));
        assert_eq!(wanted("latest"), Ok(Version::Latest));
        for (given, expected) in [
            ("v1.13", "v1.13.0"),
            ("v1", "v1.0.0"),
            ("v1.37.2-rc.1+x", "v1.37.2-rc.1+x"),
        ] {
            assert_eq!(wanted(given), Ok(Version::Given(expected.to_owned())), "{given}");
        }
        for given in ["1.30", "", "v", "v1.11+", "v1.2.3.4", "v1.x"] {
            assert!(wanted(given).is_err(), "{given}");
        }
    }
}
