//! Once more, where that may help.

use std::time::Duration;

use crate::ImageError;

/// How often a blob or a manifest is tried.
const TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// What happens meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress<'copy> {
    /// This many bytes more of a blob.
    Bytes { image: &'copy str, bytes: u64 },
    /// A try failed and another begins.
    Again { image: &'copy str, error: String },
}

/// Whose tries are told to whom.
#[derive(Clone, Copy)]
pub(crate) struct Trying<'copy> {
    pub(crate) image: &'copy str,
    pub(crate) progress: &'copy (dyn Fn(Progress<'_>) + Sync),
}

impl Trying<'_> {
    pub(crate) async fn again<Value, Doing>(&self, mut what: impl FnMut() -> Doing) -> Result<Value, ImageError>
    where
        Doing: Future<Output = Result<Value, ImageError>>,
    {
        let mut tries = Tries::new();
        loop {
            match what().await {
                Ok(value) => return Ok(value),
                Err(error) => self.pause(&mut tries, error).await?,
            }
        }
    }

    /// Waits before another try, or gives the error back.
    pub(crate) async fn pause(&self, tries: &mut Tries, error: ImageError) -> Result<(), ImageError> {
        if !error.is_transient() {
            return Err(error);
        }
        let Some(pause) = tries.next() else {
            return Err(error);
        };
        (self.progress)(Progress::Again {
            image: self.image,
            error: chain(&error),
        });
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

pub(crate) struct Tries {
    left: u32,
    pause: Duration,
}

impl Tries {
    pub(crate) fn new() -> Self {
        Self {
            left: TRIES - 1,
            pause: FIRST_PAUSE,
        }
    }

    fn next(&mut self) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        let pause = self.pause;
        self.pause *= 2;
        Some(pause)
    }
}

/// The error and its causes in one line.
fn chain(error: &ImageError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
