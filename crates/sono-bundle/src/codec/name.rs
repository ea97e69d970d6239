//! Names of archive entries.

use std::fmt::Write;

/// Why a name is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameFault {
    #[error("has a \"..\" path component")]
    Parent,
    #[error("has a NUL byte")]
    Nul,
    #[error("is longer than {0} bytes")]
    Long(usize),
    #[error("has a path component of more than 255 bytes, which file systems do not support")]
    LongPart,
    #[error("is not a valid file name on this system")]
    Platform,
}

/// Normalises a name: relative, with `/`, without empty and `.` parts; the root is `""`. Leading slashes, as in
/// kube-bench's archives, are removed. Bytes that are not UTF-8 become `%XX`.
pub(crate) fn normalize(name: &[u8], max_bytes: usize) -> Result<String, NameFault> {
    if name.contains(&0) {
        return Err(NameFault::Nul);
    }
    if name.len() > max_bytes {
        return Err(NameFault::Long(max_bytes));
    }
    let text = to_text(name);
    // Backslashes are ordinary characters in Linux names, such as those of systemd units, but `..` next to one is
    // rejected.
    if text.split(['/', '\\']).any(|part| part == "..") {
        return Err(NameFault::Parent);
    }
    let parts: Vec<&str> = text
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if parts.iter().any(|part| part.len() > 255) {
        return Err(NameFault::LongPart);
    }
    if cfg!(windows)
        && parts
            .iter()
            .any(|part| part.contains(['\\', ':', '<', '>', '"', '|', '?', '*']))
    {
        return Err(NameFault::Platform);
    }
    Ok(parts.join("/"))
}

fn to_text(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            write!(text, "%{byte:02X}").expect("writing to a string cannot fail");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_relative_or_are_refused() {
        let cases: &[(&[u8], Result<&str, NameFault>)] = &[
            (b"a/b.txt", Ok("a/b.txt")),
            (b"./a//b/./c/", Ok("a/b/c")),
            (b"/etc/passwd", Ok("etc/passwd")),
            (b"///x", Ok("x")),
            (b".", Ok("")),
            (b"", Ok("")),
            (b"...", Ok("...")),
            (b"a..b", Ok("a..b")),
            (b"dev-disk-by\\x2dpath", Ok("dev-disk-by\\x2dpath")),
            (b"l\xe4rm", Ok("l%E4rm")),
            ("lärm".as_bytes(), Ok("lärm")),
            (b"..", Err(NameFault::Parent)),
            (b"../x", Err(NameFault::Parent)),
            (b"a/../../x", Err(NameFault::Parent)),
            (b"a/..", Err(NameFault::Parent)),
            (b"..\\x", Err(NameFault::Parent)),
            (b"a\\..\\x", Err(NameFault::Parent)),
            (b"a/..\\x", Err(NameFault::Parent)),
            (b"a\0b", Err(NameFault::Nul)),
        ];
        for (name, expected) in cases {
            assert_eq!(
                normalize(name, 64),
                expected.map(str::to_owned),
                "{}",
                String::from_utf8_lossy(name)
            );
        }
    }

    #[test]
    fn long_names_are_refused() {
        assert_eq!(normalize("a".repeat(65).as_bytes(), 64), Err(NameFault::Long(64)));
        assert_eq!(normalize("a".repeat(256).as_bytes(), 1024), Err(NameFault::LongPart));
        let deep = "a/".repeat(300);
        assert_eq!(
            normalize(deep.as_bytes(), 1024),
            Ok(deep.trim_end_matches('/').to_owned())
        );
    }
}
