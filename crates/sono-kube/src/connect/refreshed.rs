//! A value from a file that is read again once a minute: service account tokens and authorities are rotated in a run.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Interval between reads of a file (as in client-go's cachingTokenSource).
const RELOAD_INTERVAL: Duration = Duration::from_mins(1);

/// The last value read from a file. A value without a file never changes.
#[derive(Debug)]
pub(super) struct Refreshed<T> {
    file: Option<PathBuf>,
    current: Mutex<(T, Instant)>,
}

impl<T: Clone> Refreshed<T> {
    /// `value` is used for the first minute.
    pub(super) fn new(value: T, file: Option<PathBuf>) -> Self {
        Self {
            file,
            current: Mutex::new((value, Instant::now())),
        }
    }

    /// The current value, which `read` gets from the file. If that fails, the last value remains for another minute.
    pub(super) fn get<E: fmt::Display>(&self, read: impl FnOnce(&Path) -> Result<T, E>) -> T {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &self.file
            && current.1.elapsed() >= RELOAD_INTERVAL
        {
            match read(file) {
                Ok(value) => current.0 = value,
                Err(error) => tracing::warn!(%error, file = %file.display(), "cannot read the file again"),
            }
            current.1 = Instant::now();
        }
        current.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn value_of_a_file_is_read_once_a_minute_and_remains_on_errors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("value");
        let read = |path: &Path| -> io::Result<String> { fs_err::read_to_string(path) };
        let value = Refreshed::new("first".to_owned(), Some(path.clone()));
        let fixed = Refreshed::new("fixed".to_owned(), None);
        fs_err::write(&path, "second").unwrap();
        assert_eq!(value.get(read), "first");
        tokio::time::advance(RELOAD_INTERVAL).await;
        assert_eq!(value.get(read), "second");
        fs_err::remove_file(&path).unwrap();
        assert_eq!(value.get(read), "second");
        tokio::time::advance(RELOAD_INTERVAL).await;
        assert_eq!(value.get(read), "second", "the file does not exist");
        fs_err::write(&path, "third").unwrap();
        assert_eq!(value.get(read), "second", "the next attempt is a minute later");
        tokio::time::advance(RELOAD_INTERVAL).await;
        assert_eq!(value.get(read), "third");
        assert_eq!(fixed.get(read), "fixed");
    }
}
