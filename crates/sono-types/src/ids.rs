//! Validated names, safe as path segments, URL segments and label values.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Error of an invalid name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The plugin's name is not an RFC 1123 subdomain.
    #[error(
        "invalid plugin name {0:?}; name must only include lowercase alphanumeric values '.' or '-'. This is due to Kubernetes requiring various values to follow RFC 1123 for valid subdomain names"
    )]
    Plugin(String),
    /// The plugin's name does not fit a label value (63 characters).
    #[error("plugin name {0:?} is longer than 63 characters, the limit of Kubernetes labels")]
    PluginTooLong(String),
    /// The plugin's name is `sonobuoy`, which names the aggregator in commands.
    #[error("plugin name \"sonobuoy\" is a reserved value")]
    Reserved,
    /// The run's identity cannot be part of a file name.
    #[error(
        "invalid run identity {0:?}; expected 1 to 200 characters of 0-9, A-Z, a-z, '.', '_' and '-', starting with a letter or digit"
    )]
    Run(String),
    /// The node's name cannot be a file name.
    #[error("invalid node name {0:?}")]
    Node(String),
}

/// A plugin's name: an RFC 1123 subdomain of at most 63 characters. It is used in URLs, labels, paths, object names and
/// certificate names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PluginName(String);

impl PluginName {
    /// Parses and validates a name.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        if name == "sonobuoy" {
            return Err(NameError::Reserved);
        }
        if !is_subdomain(name) {
            return Err(NameError::Plugin(name.to_owned()));
        }
        if name.len() > 63 {
            return Err(NameError::PluginTooLong(name.to_owned()));
        }
        Ok(Self(name.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether `name` is an RFC 1123 label, as namespaces require: at most 63 lower-case alphanumerics and inner dashes.
pub fn is_label(name: &str) -> bool {
    name.len() <= 63 && !name.contains('.') && is_subdomain(name)
}

/// Whether `name` is an RFC 1123 subdomain, as most Kubernetes objects require: labels of lower-case alphanumerics and inner
/// dashes, joined by dots, at most 253 characters.
pub fn is_subdomain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 253
        && name.split('.').all(|label| {
            let bytes = label.as_bytes();
            let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            bytes.first().is_some_and(alphanumeric)
                && bytes.last().is_some_and(alphanumeric)
                && bytes.iter().all(|byte| alphanumeric(byte) || *byte == b'-')
        })
}

/// A node's name, safe as a file name. Kubernetes nodes are named by RFC 1123 subdomains; a local run uses the host's name,
/// which may have capitals and underscores.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(String);

impl NodeName {
    /// Parses a name: 1 to 253 characters of `A-Z a-z 0-9 . _ -`, not starting with a dot.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if name.is_empty() || name.len() > 253 || name.starts_with('.') || !name.bytes().all(safe) {
            return Err(NameError::Node(name.to_owned()));
        }
        Ok(Self(name.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A run's identity, usually a UUID. It is part of the names of the run's directory, journal and archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunId(String);

impl RunId {
    /// Parses an identity: 1 to 200 characters of `0-9 A-Z a-z . _ -`, starting with a letter or digit.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let starts_well = text.starts_with(|first: char| first.is_ascii_alphanumeric());
        if !starts_well || text.len() > 200 || !text.bytes().all(is_plain) {
            return Err(NameError::Run(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The identity as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Target of a plugin's result: the cluster as a whole (a Job) or one node (a DaemonSet).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// One result for the whole cluster.
    Global,
    /// The result of one node.
    Node(NodeName),
}

impl Target {
    /// The target's name in paths, URLs and the status: `global` or the node's name.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Global => crate::constants::GLOBAL,
            Self::Node(node) => node.as_str(),
        }
    }

    /// The inverse of [`Target::as_str`].
    pub fn parse(name: &str) -> Result<Self, NameError> {
        if name == crate::constants::GLOBAL {
            Ok(Self::Global)
        } else {
            NodeName::parse(name).map(Self::Node)
        }
    }
}

/// Key of one result of a run: `<plugin>/<node or "global">`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ResultKey {
    /// The plugin.
    pub plugin: PluginName,
    /// The target.
    pub target: Target,
}

impl ResultKey {
    /// A key from its parts.
    pub fn new(plugin: PluginName, target: Target) -> Self {
        Self { plugin, target }
    }

    /// The inverse of its `Display`: `<plugin>/<node or "global">`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        // Names contain no slash.
        let (plugin, target) = text.split_once('/').ok_or_else(|| NameError::Plugin(text.to_owned()))?;
        Ok(Self::new(PluginName::parse(plugin)?, Target::parse(target)?))
    }
}

impl From<ResultKey> for String {
    fn from(key: ResultKey) -> Self {
        key.to_string()
    }
}

impl TryFrom<String> for ResultKey {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

/// Identifier of the objects of one plugin of one run (label `sonobuoy-run`): 16 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(String);

impl SessionId {
    /// An id from eight random bytes.
    pub fn from_random(bytes: [u8; 8]) -> Self {
        Self(format!("{:016x}", u64::from_be_bytes(bytes)))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! text_name {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.as_str())
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }
    };
}
text_name!(PluginName);
text_name!(NodeName);
text_name!(Target);
text_name!(SessionId);

macro_rules! parsed_name {
    ($name:ident) => {
        impl FromStr for $name {
            type Err = NameError;
            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::parse(name)
            }
        }
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(name: String) -> Result<Self, NameError> {
                Self::parse(&name)
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}
parsed_name!(PluginName);
parsed_name!(NodeName);

impl fmt::Display for ResultKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.plugin, self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugin_names_follow_rfc_1123() {
        for good in ["e2e", "cis-1.8", "a", "0", "a.b-c.d"] {
            assert_eq!(PluginName::parse(good).map(String::from), Ok(good.to_owned()));
        }
        for bad in ["", "-a", "a-", "A", "a..b", ".a", "a_b", "a/b", "..", "ä"] {
            assert_eq!(PluginName::parse(bad), Err(NameError::Plugin(bad.to_owned())));
        }
        assert_eq!(PluginName::parse("sonobuoy"), Err(NameError::Reserved));
        let long = "a".repeat(64);
        assert_eq!(PluginName::parse(&long), Err(NameError::PluginTooLong(long)));
    }

    #[test]
    fn node_names_are_safe_file_names() {
        for good in ["node1", "ip-10-0-0-1.ec2.internal", "My_Laptop"] {
            assert_eq!(NodeName::parse(good).map(String::from), Ok(good.to_owned()));
        }
        for bad in ["", ".", "..", "a/b", "a\\b", ".hidden", "a b", "a\0"] {
            assert_eq!(NodeName::parse(bad), Err(NameError::Node(bad.to_owned())));
        }
    }

    #[test]
    fn run_id_part_of_a_file_name_parses() {
        for good in ["12345678-90ab-4cde-8f01-234567890abc", "u", "run-1", "A.b_c"] {
            assert_eq!(RunId::parse(good).map(|id| id.as_str().to_owned()), Ok(good.to_owned()));
        }
        let long = "a".repeat(201);
        for bad in [
            "", ".", "..", "../a", "a/b", "/etc", ".a", "-a", "_a", "a b", "a\n", "ä", &long,
        ] {
            assert_eq!(RunId::parse(bad), Err(NameError::Run(bad.to_owned())), "{bad:?}");
        }
    }

    #[test]
    fn keys_read_as_plugin_and_target() {
        let key = |target| ResultKey::new(PluginName::parse("e2e").unwrap(), target);
        assert_eq!(key(Target::Global).to_string(), "e2e/global");
        assert_eq!(key(Target::parse("n1").unwrap()).to_string(), "e2e/n1");
        assert_eq!(Target::parse("global"), Ok(Target::Global));
    }

    #[test]
    fn session_ids_are_sixteen_digits() {
        assert_eq!(
            SessionId::from_random([0, 0, 0, 0, 0, 0, 1, 0xff]).as_str(),
            "00000000000001ff"
        );
    }
}
