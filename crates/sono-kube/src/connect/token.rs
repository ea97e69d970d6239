//! A bearer token in a file, which is read again once a minute: tokens of service accounts change.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderValue, Request, header::AUTHORIZATION};
use kube::client::Body;
use tokio::time::Instant;
use tower::BoxError;

/// How long a token is used before its file is read again (client-go's cachingTokenSource).
const PERIOD: Duration = Duration::from_mins(1);

/// The token of a file. Cheap to clone.
#[derive(Clone)]
pub(super) struct TokenFile {
    path: PathBuf,
    current: Arc<Mutex<(HeaderValue, Instant)>>,
}

impl TokenFile {
    /// Reads the token. Where that fails, `otherwise` is used until it can be read.
    pub(super) fn read(path: PathBuf, otherwise: Option<&str>) -> io::Result<Self> {
        let header = match (token(&path), otherwise) {
            (Ok(header), _) => header,
            (Err(error), None) => return Err(error),
            (Err(_), Some(token)) => bearer(token)?,
        };
        Ok(Self {
            path,
            current: Arc::new(Mutex::new((header, Instant::now()))),
        })
    }

    /// Adds the token to the request: the last one, if the file can no longer be read.
    #[expect(clippy::unnecessary_wraps, reason = "the type of a filter")]
    pub(super) fn authorize(&self, mut request: Request<Body>) -> Result<Request<Body>, BoxError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.1.elapsed() >= PERIOD {
            if let Ok(header) = token(&self.path) {
                current.0 = header;
            }
            current.1 = Instant::now();
        }
        request.headers_mut().insert(AUTHORIZATION, current.0.clone());
        Ok(request)
    }
}

/// Blanks and line ends around the token do not belong to it.
fn token(path: &PathBuf) -> io::Result<HeaderValue> {
    let text = fs_err::read_to_string(path)?;
    if text.trim().is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{}: it is empty", path.display()),
        ));
    }
    bearer(&text)
}

/// The header of a token.
pub(super) fn bearer(token: &str) -> io::Result<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim())).map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "the token holds characters that no token has",
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}
