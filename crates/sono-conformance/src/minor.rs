//! Minor versions of Kubernetes.

use std::{fmt, str::FromStr};

/// A minor version of Kubernetes, such as `v1.37`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Minor {
    /// Major version.
    pub major: u32,
    /// Minor version.
    pub minor: u32,
}

/// Error of a text that does not start with a minor version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid Kubernetes version `{0}`")]
pub struct InvalidMinor(String);

impl Minor {
    /// A minor version of Kubernetes 1.
    pub const fn of(minor: u32) -> Self {
        Self { major: 1, minor }
    }
}

impl fmt::Display for Minor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "v{}.{}", self.major, self.minor)
    }
}

impl FromStr for Minor {
    type Err = InvalidMinor;

    /// Parses `v1.37`, `1.37`, and versions with more parts such as `v1.37.2-gke.1`, of which the rest is ignored.
    fn from_str(text: &str) -> Result<Self, InvalidMinor> {
        let invalid = || InvalidMinor(text.chars().take(64).collect());
        let version = text.trim();
        let version = version.strip_prefix('v').unwrap_or(version);
        let (major, rest) = version.split_once('.').ok_or_else(invalid)?;
        let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        let (minor, rest) = rest.split_at(end);
        if !rest.is_empty() && !rest.starts_with(['.', '-', '+']) {
            return Err(invalid());
        }
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.len() <= 4 && digits.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| digits.parse().ok()).flatten().ok_or_else(invalid)
        };
        Ok(Self {
            major: number(major)?,
            minor: number(minor)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_with_any_rest_is_its_minor() {
        for text in [
            "v1.37",
            "1.37",
            "v1.37.2",
            "1.37.2-gke.1",
            "v1.37+k3s1",
            " v1.37.0\n",
            "v1.37-rc.1",
        ] {
            assert_eq!(text.parse(), Ok(Minor::of(37)), "{text}");
        }
        assert_eq!(Minor::of(37).to_string(), "v1.37");
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "", "v1", "1", "v1.", "v.37", "v1.x", "latest", "v1.37x", "v1.99999", "v-1.3", "v1x37",
        ] {
            assert!(text.parse::<Minor>().is_err(), "{text}");
        }
    }
}
