//! Rewrites an untrusted archive entry by entry, with constant memory.

use std::{
    io::{self, Read, Seek as _, SeekFrom, Write},
    ops::ControlFlow,
    path::Path,
};

use flate2::{Compression, write::GzEncoder};
use tar::{Builder, EntryType, Header};

use super::{
    gzip::{ArchiveError, Bounds, Kind, WalkError, walk_entries},
    name::normalize,
};
use crate::limits::ReadLimits;

/// Bytes of one file that stay in memory; more are in an unnamed temporary file.
const SPOOL_BYTES: usize = 1 << 20;
/// Longest name that is read: 1024 bytes of a result's own name, with a plugin and a node in front.
const MAX_NAME_BYTES: usize = 4096;

/// Why an archive cannot be rewritten.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// The archive cannot be read, or exceeds a limit.
    #[error("cannot read the archive")]
    Archive(#[source] ArchiveError),
    /// A file in it cannot be rewritten.
    #[error("cannot rewrite {name:?}")]
    Entry {
        /// The file.
        name: String,
        /// The error.
        source: io::Error,
    },
    /// The new archive cannot be written.
    #[error("cannot write the archive")]
    Write(#[source] io::Error),
}

/// A file that can be read twice: part of it may be in a temporary file.
pub type Spooled = tempfile::SpooledTempFile;

/// Decides the content of the new archive.
pub trait Rewrite {
    /// The new name of a file or directory.
    fn name(&mut self, name: &str) -> String;

    /// Writes the new content of a file to `out`; `false` leaves the file out. `content` is at its start.
    fn file(&mut self, name: &str, content: &mut Spooled, out: &mut Spooled) -> io::Result<bool>;

    /// Files at the end of the new archive, by name.
    fn last(&mut self) -> Vec<(String, Vec<u8>)>;
}

/// A spooled file of a new archive.
pub fn spooled() -> Spooled {
    tempfile::spooled_tempfile(SPOOL_BYTES)
}

/// Copies the `.tar.gz` in `reader` to `writer`. Links, special files and entries with names that lead out of the archive
/// are left out; returns them with their reason. `compression` is gzip's level.
pub fn rewrite_tar_gz<W: Write>(
    reader: impl Read,
    writer: W,
    limits: &ReadLimits,
    compression: u32,
    rewrite: &mut dyn Rewrite,
) -> Result<(W, Vec<(String, String)>), RewriteError> {
    let bounds = Bounds {
        max_bytes: limits.max_unpacked_bytes,
        max_announced: limits.max_unpacked_bytes,
        max_entries: limits.max_entries,
        ..Bounds::NONE
    };
    let mut builder = Builder::new(GzEncoder::new(writer, Compression::new(compression.min(9))));
    let mut left_out = Vec::new();
    walk_entries(reader, bounds, &mut |head, content| {
        let name = match (normalize(&head.name, MAX_NAME_BYTES), head.kind) {
            (Ok(name), Kind::File | Kind::Directory) => name,
            (Ok(name), Kind::Other(kind)) => {
                left_out.push((name, format!("it is a {kind}")));
                return Ok(ControlFlow::Continue(()));
            }
            (Err(fault), _) => {
                let shown = head.name.get(..200).unwrap_or(&head.name);
                left_out.push((String::from_utf8_lossy(shown).into_owned(), format!("its name {fault}")));
                return Ok(ControlFlow::Continue(()));
            }
        };
        if name.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        let entry = |source| RewriteError::Entry {
            name: name.clone(),
            source,
        };
        let mut header = Header::new_gnu();
        header.set_mode(head.mode);
        header.set_mtime(head.modified);
        if head.kind == Kind::Directory {
            header.set_entry_type(EntryType::Directory);
            header.set_size(0);
            append(&mut builder, &mut header, &rewrite.name(&name), &mut io::empty())?;
            return Ok(ControlFlow::Continue(()));
        }
        let (mut before, mut after) = (spooled(), spooled());
        io::copy(content, &mut before).map_err(entry)?;
        before.rewind().map_err(entry)?;
        if rewrite.file(&name, &mut before, &mut after).map_err(entry)? {
            let size = after.seek(SeekFrom::End(0)).map_err(entry)?;
            after.rewind().map_err(entry)?;
            header.set_size(size);
            append(&mut builder, &mut header, &rewrite.name(&name), &mut after)?;
        }
        Ok::<_, RewriteError>(ControlFlow::Continue(()))
    })
    .map_err(|error| match error {
        WalkError::Archive(error) => RewriteError::Archive(error),
        WalkError::Visitor(error) => error,
    })?;
    for (name, content) in rewrite.last() {
        let mut header = Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        append(&mut builder, &mut header, &name, &mut content.as_slice())?;
    }
    let writer = builder
        .into_inner()
        .and_then(GzEncoder::finish)
        .map_err(RewriteError::Write)?;
    Ok((writer, left_out))
}

fn append<W: Write>(
    builder: &mut Builder<W>,
    header: &mut Header,
    name: &str,
    content: &mut dyn Read,
) -> Result<(), RewriteError> {
    builder
        .append_data(header, Path::new(name), content)
        .map_err(RewriteError::Write)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Doubles the content of files and leaves out `gone`.
    #[derive(Default)]
    struct Doubled;

    impl Rewrite for Doubled {
        fn name(&mut self, name: &str) -> String {
            name.replace("secret", "x")
        }

        fn file(&mut self, name: &str, content: &mut Spooled, out: &mut Spooled) -> io::Result<bool> {
            io::copy(content, out)?;
            content.rewind()?;
            io::copy(content, out)?;
            Ok(name != "gone")
        }

        fn last(&mut self) -> Vec<(String, Vec<u8>)> {
            vec![("meta/last".to_owned(), b"end".to_vec())]
        }
    }

    fn packed(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, content) in entries {
            let mut header = Header::new_gnu();
            header.set_mode(0o640);
            header.set_mtime(7);
            header.set_size(content.len() as u64);
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            if name.ends_with("link") {
                header.set_entry_type(EntryType::Symlink);
                header.set_link_name("/etc/passwd").unwrap();
            }
            header.set_cksum();
            builder.append(&header, *content).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap()
    }

    /// The new archive, and the entries that are left out.
    type Rewritten = (Vec<u8>, Vec<(String, String)>);

    fn rewritten(archive: &[u8], limits: &ReadLimits) -> Result<Rewritten, RewriteError> {
        rewrite_tar_gz(archive, Vec::new(), limits, 1, &mut Doubled)
    }

    #[test]
    fn entries_are_rewritten_and_unsafe_ones_left_out() {
        let archive = packed(&[
            ("a/secret.txt", b"ab"),
            ("gone", b"x"),
            ("../out", b"x"),
            ("a/link", b""),
            ("/abs", b""),
        ]);
        let (bytes, left_out) = rewritten(&archive, &ReadLimits::DEFAULT).unwrap();
        let mut found = BTreeMap::new();
        walk_entries(bytes.as_slice(), Bounds::NONE, &mut |head, content| {
            let mut text = String::new();
            content.read_to_string(&mut text)?;
            found.insert(
                String::from_utf8(head.name.clone()).unwrap(),
                (text, head.mode, head.modified),
            );
            Ok::<_, io::Error>(ControlFlow::Continue(()))
        })
        .unwrap();
        let row = |name: &str, text: &str, mode, time| (name.to_owned(), (text.to_owned(), mode, time));
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            [
                row("a/x.txt", "abab", 0o640, 7),
                row("abs", "", 0o640, 7),
                row("meta/last", "end", 0o644, 0),
            ]
        );
        let left_out: Vec<(&str, &str)> = left_out
            .iter()
            .map(|(name, why)| (name.as_str(), why.as_str()))
            .collect();
        assert_eq!(
            left_out,
            [
                ("../out", "its name has a \"..\" path component"),
                ("a/link", "it is a symbolic link"),
            ]
        );
    }

    #[test]
    fn torn_and_large_archives_are_errors() {
        let archive = packed(&[("a", &vec![0; 100_000])]);
        let torn = rewritten(&archive[..archive.len() - 20], &ReadLimits::DEFAULT);
        assert!(
            matches!(torn, Err(RewriteError::Archive(ArchiveError::Truncated))),
            "{torn:?}"
        );
        let limits = ReadLimits {
            max_unpacked_bytes: 50_000,
            ..ReadLimits::DEFAULT
        };
        let large = rewritten(&archive, &limits);
        assert!(
            matches!(
                large,
                Err(RewriteError::Archive(ArchiveError::TooLarge { limit: 50_000 }))
            ),
            "{large:?}"
        );
        assert!(matches!(
            rewritten(b"text", &ReadLimits::DEFAULT),
            Err(RewriteError::Archive(ArchiveError::NotGzip))
        ));
    }
}
