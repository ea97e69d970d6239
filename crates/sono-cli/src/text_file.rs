//! Text files that people supply, in whatever encoding their tools write: all of them are read here.

use std::{
    io::{self, Read as _},
    path::Path,
};

use sono_types::text::decode;

/// The text of a file. Fails with the position of the first byte that is not text.
pub(crate) fn read(file: &Path) -> io::Result<String> {
    text(&fs_err::read(file)?).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))
}

/// The text of what `reader` holds, of at most `most` bytes.
pub(crate) fn read_from(reader: impl io::Read, most: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    reader.take(most).read_to_end(&mut bytes)?;
    text(&bytes)
}

/// The text of a file's bytes.
pub(crate) fn text(bytes: &[u8]) -> io::Result<String> {
    decode(bytes)
        .map(std::borrow::Cow::into_owned)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
