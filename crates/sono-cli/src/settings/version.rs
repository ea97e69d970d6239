//! `--kubernetes-version` (cli spec §4.2).

use crate::error::CliError;

/// The version to tell plugins; `None` is the cluster's own.
pub(super) fn wanted(given: &str) -> Result<Option<String>, CliError> {
    match given {
        "auto" => return Ok(None),
        "ignore" => return Ok(Some(given.to_owned())),
        "latest" => {
            return Err(CliError::new("--kubernetes-version latest is not supported")
                .hint("say which version: --kubernetes-version v1.37.2"));
        }
        _ => {}
    }
    let refused = || {
        CliError::new(format!("`{given}` is no version of Kubernetes"))
            .hint("such as v1.37.2; or auto, which is the cluster's, or ignore, which is none")
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
    Ok(Some(format!("v{numbers}{missing}{suffix}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_three_numbers() {
        let version = |given| wanted(given).unwrap_or_else(|error| Some(error.text()));
        assert_eq!(version("auto"), None);
        for (given, expected) in [
            ("v1.13", "v1.13.0"),
            ("v1", "v1.0.0"),
            ("v1.37.2-rc.1+x", "v1.37.2-rc.1+x"),
            ("ignore", "ignore"),
        ] {
            assert_eq!(version(given).as_deref(), Some(expected), "{given}");
        }
        for given in ["1.30", "", "v", "v1.11+", "v1.2.3.4", "v1.x", "latest"] {
            assert!(wanted(given).is_err(), "{given}");
        }
    }
}
