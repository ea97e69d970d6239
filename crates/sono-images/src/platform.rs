//! Which of the images behind one name are wanted.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// An operating system and an architecture, in Go's words: `linux/arm64`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub struct Platform {
    pub os: String,
    pub architecture: String,
    /// `v7` of `linux/arm/v7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// Of one image, which platforms are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Platforms {
    All,
    /// Only these; a wanted platform without variant takes every variant.
    Only(BTreeSet<Platform>),
}

impl Platforms {
    pub fn want(&self, platform: &Platform) -> bool {
        match self {
            Self::All => true,
            Self::Only(wanted) => wanted.iter().any(|one| one.takes(platform)),
        }
    }
}

impl Platform {
    fn takes(&self, other: &Self) -> bool {
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

/// Not `os/architecture[/variant]`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no platform; write it like linux/arm64")]
pub struct NoPlatform(String);

impl FromStr for Platform {
    type Err = NoPlatform;

    fn from_str(text: &str) -> Result<Self, NoPlatform> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts.as_slice() {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some((*variant).to_owned())),
            _ => return Err(NoPlatform(text.to_owned())),
        };
        if os.is_empty() || architecture.is_empty() || variant.as_deref() == Some("") {
            return Err(NoPlatform(text.to_owned()));
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
    fn is_read_as_it_is_written() {
        for text in ["linux/amd64", "linux/arm/v7"] {
            assert_eq!(
                text.parse::<Platform>().map(|platform| platform.to_string()),
                Ok(text.to_owned())
            );
        }
        for text in ["linux", "linux/", "a/b/c/d", "/amd64"] {
            assert_eq!(text.parse::<Platform>(), Err(NoPlatform(text.to_owned())));
        }
    }

    #[test]
    fn without_a_variant_every_variant_is_wanted() {
        let only = |text: &str| Platforms::Only(BTreeSet::from([text.parse().unwrap()]));
        let seven = "linux/arm/v7".parse().unwrap();
        assert!(only("linux/arm").want(&seven));
        assert!(!only("linux/arm/v6").want(&seven));
        assert!(!only("linux/arm64").want(&seven));
        assert!(Platforms::All.want(&seven));
    }
}
