//! Platforms of images, and which of them are requested.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// An operating system and architecture in Go's notation: `linux/arm64`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub struct Platform {
    pub os: String,
    pub architecture: String,
    /// For example `v7` in `linux/arm/v7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// The requested platforms of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Platforms {
    All,
    /// Only these. A platform without variant includes every variant.
    Only(BTreeSet<Platform>),
}

impl Platforms {
    pub fn includes(&self, platform: &Platform) -> bool {
        match self {
            Self::All => true,
            Self::Only(requested) => requested.iter().any(|one| one.includes(platform)),
        }
    }
}

impl Platform {
    fn includes(&self, other: &Self) -> bool {
        self.os == other.os
            && self.architecture == other.architecture
            && (self.variant.is_none() || self.variant == other.variant)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            os,
            architecture,
            variant,
        } = self;
        write!(formatter, "{os}/{architecture}")?;
        match variant {
            Some(variant) => write!(formatter, "/{variant}"),
            None => Ok(()),
        }
    }
}

/// Text that is not `os/architecture[/variant]`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid platform `{0}`; expected OS/ARCHITECTURE, such as linux/arm64")]
pub struct InvalidPlatform(String);

impl FromStr for Platform {
    type Err = InvalidPlatform;

    fn from_str(text: &str) -> Result<Self, InvalidPlatform> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts.as_slice() {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some((*variant).to_owned())),
            _ => return Err(InvalidPlatform(text.to_owned())),
        };
        if os.is_empty() || architecture.is_empty() || variant.as_deref() == Some("") {
            return Err(InvalidPlatform(text.to_owned()));
        }
        Ok(Self {
            os: (*os).to_owned(),
            architecture: (*architecture).to_owned(),
            variant,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platform_round_trips_as_text() {
        for text in ["linux/amd64", "linux/arm/v7"] {
            assert_eq!(
                text.parse::<Platform>().map(|platform| platform.to_string()),
                Ok(text.to_owned())
            );
        }
        for text in ["linux", "linux/", "a/b/c/d", "/amd64"] {
            assert_eq!(text.parse::<Platform>(), Err(InvalidPlatform(text.to_owned())));
        }
    }

    #[test]
    fn platform_without_variant_includes_every_variant() {
        let only = |text: &str| Platforms::Only(BTreeSet::from([text.parse().unwrap()]));
        let seven = "linux/arm/v7".parse().unwrap();
        assert!(only("linux/arm").includes(&seven));
        assert!(!only("linux/arm/v6").includes(&seven));
        assert!(!only("linux/arm64").includes(&seven));
        assert!(Platforms::All.includes(&seven));
    }
}
