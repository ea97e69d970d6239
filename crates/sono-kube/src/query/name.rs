//! Names of API groups, versions and resources in discovery documents. They become parts of URLs and of file names.

use std::{fmt, ops::Deref};

/// Maximum length of the names of a resource (group, version and plural) in bytes: together they are a file name.
pub(super) const MAX_BYTES: usize = 240;
/// Number of characters of an invalid name in a message.
const SHOWN: usize = 60;

/// A name that is one segment of a URL's path and a part of a file name: letters, digits, `-`, `_` and `.`, with a letter or
/// digit at both ends. Kubernetes itself allows only DNS names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ApiName(String);

/// The reason why a name is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiNameError {
    /// It is empty.
    #[error("a name is empty")]
    Empty,
    /// It has too many bytes.
    #[error("{name} is longer than {MAX_BYTES} bytes")]
    Long {
        /// The name, shortened and escaped.
        name: String,
    },
    /// It has other characters, or begins or ends with a punctuation character.
    #[error("{name} may contain letters, digits, `-`, `_` and `.` only, and must begin and end with a letter or digit")]
    Character {
        /// The name, shortened and escaped.
        name: String,
    },
    /// A group has a name that file names use for the core group, or for a separator.
    #[error("{name} is not the name of an API group or version")]
    Reserved {
        /// The name, shortened and escaped.
        name: String,
    },
}

impl ApiName {
    /// The core group, which has no name.
    pub fn core() -> Self {
        Self::default()
    }

    /// The plural of a resource.
    pub fn parse(name: &str) -> Result<Self, ApiNameError> {
        let shown = || shown(name);
        if name.is_empty() {
            return Err(ApiNameError::Empty);
        }
        if name.len() > MAX_BYTES {
            return Err(ApiNameError::Long { name: shown() });
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric();
        let bytes = name.as_bytes();
        let ends =
            bytes.first().is_some_and(|byte| is_plain(*byte)) && bytes.last().is_some_and(|byte| is_plain(*byte));
        let all = bytes.iter().all(|byte| is_plain(*byte) || b"-_.".contains(byte));
        if ends && all {
            Ok(Self(name.to_owned()))
        } else {
            Err(ApiNameError::Character { name: shown() })
        }
    }

    /// A group other than the core group, or a version. File names separate the three names by `_` and call the core group `core`.
    pub fn parse_group(name: &str) -> Result<Self, ApiNameError> {
        let parsed = Self::parse(name)?;
        if name == "core" || name.contains('_') {
            return Err(ApiNameError::Reserved { name: shown(name) });
        }
        Ok(parsed)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for ApiName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ApiName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The beginning of a name, quoted and escaped.
pub(super) fn shown(name: &str) -> String {
    let start: String = name.chars().take(SHOWN).collect();
    let rest = if start.len() < name.len() { "…" } else { "" };
    format!("`{}{rest}`", start.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_kubernetes_are_accepted() {
        for name in [
            "pods",
            "v1",
            "v2beta1",
            "rbac.authorization.k8s.io",
            "networkpolicies",
            "widgets.v2",
            "http_requests",
            "X",
            "a",
        ] {
            assert_eq!(ApiName::parse(name).unwrap().as_str(), name);
        }
        assert_eq!(ApiName::core().as_str(), "");
        assert_eq!(ApiName::parse_group("apps").unwrap().to_string(), "apps");
        assert!(ApiName::parse(&"a".repeat(MAX_BYTES)).is_ok());
    }

    #[test]
    fn names_with_another_meaning_in_paths_are_rejected() {
        for name in [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "/",
            "/etc",
            "a\\b",
            "%2e%2e",
            "%2F",
            "a%00",
            "a?b",
            "a#b",
            "a b",
            "a\0",
            "a\n",
            "\u{1b}[2J",
            "\u{9b}2J",
            "é",
            "\u{202e}",
            "-rf",
            "a-",
            ".a",
            "a.",
            "_a",
            "a:b",
            "a@b",
            "a;b",
            "*",
            "~",
        ] {
            assert!(ApiName::parse(name).is_err(), "{name:?}");
            assert!(ApiName::parse_group(name).is_err(), "{name:?}");
        }
        for name in ["core", "a_b"] {
            assert!(ApiName::parse_group(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn message_about_a_long_name_is_short_and_escaped() {
        let error = ApiName::parse(&"x\u{1b}".repeat(10_000)).unwrap_err().to_string();
        let start = "x\\u{1b}".repeat(SHOWN / 2);
        assert_eq!(error, format!("`{start}…` is longer than 240 bytes"));
        let error = ApiName::parse("..").unwrap_err().to_string();
        assert!(error.starts_with("`..` may contain"), "{error}");
    }
}
