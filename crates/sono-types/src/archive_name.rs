//! Validated archive file names.

use std::{fmt, str::FromStr};

/// Error of an invalid archive name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveNameError {
    /// The name is longer than file systems allow.
    #[error("is longer than {} bytes", ArchiveName::MAX_BYTES)]
    Long,
    /// The name has a character that paths, shells or terminals may interpret.
    #[error("has characters other than 0-9, A-Z, a-z, '.', '_' and '-'")]
    Character,
    /// The name would be a hidden file or look like a command-line option.
    #[error("starts with '.' or '-'")]
    Start,
    /// The name has another file extension.
    #[error("does not end in .tar.gz")]
    End,
}

/// The validated file name of an archive.
///
/// It is one path component of at most 255 bytes of `0-9 A-Z a-z . _ -` that ends in `.tar.gz` and starts with neither a
/// dot nor a hyphen. Text from a cluster (status annotation, tar entry, header) must be parsed into this type before it is
/// used as a path, an argument or a URL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArchiveName(String);

impl ArchiveName {
    /// Maximum length in bytes.
    pub const MAX_BYTES: usize = 255;

    /// Parses and validates a name.
    pub fn parse(name: &str) -> Result<Self, ArchiveNameError> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if name.len() > Self::MAX_BYTES {
            Err(ArchiveNameError::Long)
        } else if !name.bytes().all(is_plain) {
            Err(ArchiveNameError::Character)
        } else if name.starts_with(['.', '-']) {
            Err(ArchiveNameError::Start)
        } else if !name.ends_with(".tar.gz") {
            Err(ArchiveNameError::End)
        } else {
            Ok(Self(name.to_owned()))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ArchiveName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl AsRef<std::path::Path> for ArchiveName {
    fn as_ref(&self) -> &std::path::Path {
        self.0.as_ref()
    }
}

impl FromStr for ArchiveName {
    type Err = ArchiveNameError;
    fn from_str(name: &str) -> Result<Self, ArchiveNameError> {
        Self::parse(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archive_name_plain_component_parses() {
        let longest = format!("{}.tar.gz", "a".repeat(248));
        for good in [
            "202212081530_sonobuoy_3f4e7bd1-0000-4000-8000-1a2b3c4d5e6f.tar.gz",
            "partial_u.tar.gz",
            "A_b-c.1.tar.gz",
            "0.tar.gz",
            "a..tar.gz",
            "a.tar.gz.tar.gz",
            &longest,
        ] {
            assert_eq!(
                ArchiveName::parse(good).map(|name| name.to_string()),
                Ok(good.to_owned())
            );
        }
    }

    #[test]
    fn archive_name_anything_else_is_refused() {
        use ArchiveNameError::{Character, End, Long, Start};
        let long = format!("{}.tar.gz", "a".repeat(249));
        for (bad, why) in [
            ("", End),
            ("tar.gz", End),
            ("Makefile", End),
            ("a.tar.gz.sh", End),
            ("a.TAR.GZ", End),
            (".tar.gz", Start),
            (".bashrc.tar.gz", Start),
            ("..tar.gz", Start),
            ("-rf.tar.gz", Start),
            ("--file.tar.gz", Start),
            ("../a.tar.gz", Character),
            ("/a.tar.gz", Character),
            ("/../../../../home/u/.bashrc", Character),
            ("a/b.tar.gz", Character),
            ("a\\b.tar.gz", Character),
            ("C:a.tar.gz", Character),
            ("a b.tar.gz", Character),
            ("a\n.tar.gz", Character),
            ("a\0.tar.gz", Character),
            ("a\u{1b}[2J.tar.gz", Character),
            ("$(id).tar.gz", Character),
            ("ä.tar.gz", Character),
            ("a\u{202e}.tar.gz", Character),
            ("a.tar.gz ", Character),
            (long.as_str(), Long),
        ] {
            assert_eq!(ArchiveName::parse(bad), Err(why), "{bad:?}");
        }
    }
}
