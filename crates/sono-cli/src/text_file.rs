//! Text files supplied by users, in UTF-8 or UTF-16.

use std::{
    io::{self, Read as _},
    path::Path,
};

use sono_types::text::decode;

/// Reads a text file. Fails with the position of the first invalid byte.
pub(crate) fn read(file: &Path) -> io::Result<String> {
    text(&fs_err::read(file)?).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))
}

/// Reads text from `reader`, at most `limit` bytes.
pub(crate) fn read_from(reader: impl io::Read, limit: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    reader.take(limit).read_to_end(&mut bytes)?;
    text(&bytes)
}

/// Decodes the content of a text file.
pub(crate) fn text(bytes: &[u8]) -> io::Result<String> {
    decode(bytes)
        .map(std::borrow::Cow::into_owned)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
