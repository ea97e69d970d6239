//! A bearer token in a file.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use http::{HeaderValue, Request, header::AUTHORIZATION};
use kube::client::Body;
use sono_types::text::decode;
use tower::BoxError;

use super::{read, refreshed::Refreshed};

/// The token in a file. Cheap to clone.
#[derive(Clone)]
pub(super) struct TokenFile(Arc<Refreshed<HeaderValue>>);

impl TokenFile {
    /// Reads the token. If that fails, `fallback` is used until the file is readable.
    pub(super) fn read(path: PathBuf, fallback: Option<&str>) -> io::Result<Self> {
        let header = match (token(&path), fallback) {
            (Ok(header), _) => header,
            (Err(error), None) => return Err(error),
            (Err(_), Some(token)) => bearer(token)?,
        };
        Ok(Self(Arc::new(Refreshed::new(header, Some(path)))))
    }

    /// Adds the token to a request: the last one, if the file is no longer readable.
    #[expect(clippy::unnecessary_wraps, reason = "the type of a filter")]
    pub(super) fn authorize(&self, mut request: Request<Body>) -> Result<Request<Body>, BoxError> {
        request.headers_mut().insert(AUTHORIZATION, self.0.get(token));
        Ok(request)
    }
}

/// Reads the token, without surrounding whitespace.
fn token(path: &Path) -> io::Result<HeaderValue> {
    // PowerShell's `kubectl create token NAME > FILE` writes UTF-16.
    let bytes = read(path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    let text = decode(&bytes)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display())))?;
    if text.trim().is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{}: it is empty", path.display()),
        ));
    }
    bearer(&text)
}

/// The `Authorization` header of a token.
pub(super) fn bearer(token: &str) -> io::Result<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim()))
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the token contains invalid characters"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_file_in_any_encoding_is_trimmed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let utf16: Vec<u8> = "\u{feff}abc\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for content in [b" abc\n".to_vec(), b"\xef\xbb\xbfabc".to_vec(), utf16] {
            fs_err::write(&path, &content).unwrap();
            assert_eq!(token(&path).unwrap(), "Bearer abc", "{content:?}");
        }
        let shown = path.display();
        for (content, reason) in [
            (&b" \n"[..], format!("{shown}: it is empty")),
            (b"a\nb", "the token contains invalid characters".to_owned()),
            (b"a\xff", format!("{shown}: byte 1 (line 1) is not UTF-8: 0xff")),
        ] {
            fs_err::write(&path, content).unwrap();
            assert_eq!(token(&path).unwrap_err().to_string(), reason);
        }
        let missing = token(&directory.path().join("none")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        assert!(
            missing.to_string().starts_with(directory.path().to_str().unwrap()),
            "{missing}"
        );
    }
}
