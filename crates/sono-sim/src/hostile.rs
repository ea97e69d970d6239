//! Hostile upload bodies. The aggregator must reject each with 400 and leave no files behind.

use std::io::Write as _;

use bytes::Bytes;
use serde::Serialize;
use sono_types::constants;

use crate::content::{Upload, archive};

/// Low limits of a simulated run, so that bodies above them are created quickly.
pub(crate) const MAX_BODY: u64 = 2 << 20;
pub(crate) const MAX_UNPACKED: u64 = 16 << 20;
pub(crate) const MAX_ENTRIES: u64 = 1000;

/// A kind of hostile body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Hostile {
    /// An archive with a name that escapes the directory.
    TarEscape,
    /// An archive with a link out of the directory and a name through it.
    TarThroughLink,
    /// An archive that unpacks to more than the limit.
    GzipBomb,
    /// An archive with too many entries.
    TarBomb,
    /// A truncated archive.
    TornArchive,
    /// A body with an archive's media type that is not an archive.
    NoArchive,
    /// A file name that escapes the directory.
    NameEscape,
    /// A body over the limit, with `Content-Length`.
    Oversized,
    /// A body over the limit, without `Content-Length`.
    OversizedInPieces,
}

const ALL: [Hostile; 9] = [
    Hostile::TarEscape,
    Hostile::TarThroughLink,
    Hostile::GzipBomb,
    Hostile::TarBomb,
    Hostile::TornArchive,
    Hostile::NoArchive,
    Hostile::NameEscape,
    Hostile::Oversized,
    Hostile::OversizedInPieces,
];

impl Hostile {
    /// Selects a kind by number.
    pub(crate) fn pick(number: u64) -> Self {
        let index = usize::try_from(number % ALL.len() as u64).unwrap_or_default();
        ALL[index]
    }

    /// Whether the request has a `Content-Length`.
    pub(crate) fn sends_length(self) -> bool {
        self != Self::OversizedInPieces
    }

    pub(crate) fn upload(self) -> anyhow::Result<Upload> {
        let packed = |body: Vec<u8>| Upload {
            body: body.into(),
            content_type: constants::GZIP_MIME,
            disposition: Some("attachment;filename=results.tar.gz".to_owned()),
            is_error: false,
        };
        let plain = |body: Bytes, name: &str| Upload {
            body,
            content_type: "",
            disposition: Some(format!("attachment;filename={name}")),
            is_error: false,
        };
        Ok(match self {
            Self::TarEscape => packed(archive(
                &[("good", b"x"), ("../../../../../../tmp/sono-sim-escape", b"x")],
                None,
            )?),
            Self::TarThroughLink => packed(archive(
                &[("out/../../../../../tmp/sono-sim-escape", b"x")],
                Some(("out", "/tmp")),
            )?),
            Self::GzipBomb => packed(bomb()?),
            Self::TarBomb => {
                let names: Vec<String> = (0..MAX_ENTRIES + 5).map(|number| format!("f{number}")).collect();
                let entries: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), b"".as_slice())).collect();
                packed(archive(&entries, None)?)
            }
            Self::TornArchive => {
                let mut whole = archive(&[("a", &[7; 4000]), ("b", &[9; 4000])], None)?;
                whole.truncate(whole.len() - 20);
                packed(whole)
            }
            Self::NoArchive => packed(b"this is not an archive, despite its media type".to_vec()),
            Self::NameEscape => plain(Bytes::from_static(b"x"), "\"../../../../../../tmp/sono-sim-escape\""),
            Self::Oversized | Self::OversizedInPieces => {
                let size = usize::try_from(MAX_BODY).unwrap_or_default() + 1;
                plain(vec![b'x'; size].into(), "large")
            }
        })
    }
}

/// An archive of a few kilobytes that unpacks to zeros above the limit.
fn bomb() -> anyhow::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let size = MAX_UNPACKED + (8 << 20);
    let mut header = tar::Header::new_gnu();
    header.set_path("zeros")?;
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    encoder.write_all(header.as_bytes())?;
    let block = vec![0; 1 << 20];
    for _ in 0..size >> 20 {
        encoder.write_all(&block)?;
    }
    encoder.write_all(&[0; 1024])?;
    Ok(encoder.finish()?)
}
