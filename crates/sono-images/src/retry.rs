//! Retries of transient registry errors.

use std::time::Duration;

use crate::ImageError;
use sono_types::error_chain;

/// Attempts per blob or manifest.
const MAX_ATTEMPTS: u32 = 5;
const FIRST_DELAY: Duration = Duration::from_millis(250);

/// An event during a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress<'copy> {
    /// More bytes of a blob were transferred.
    Bytes { image: &'copy str, bytes: u64 },
    /// An attempt failed and will be retried.
    Retry { image: &'copy str, error: String },
}

/// Retries operations on an image and reports them.
#[derive(Clone, Copy)]
pub(crate) struct Retry<'copy> {
    pub(crate) image: &'copy str,
    pub(crate) progress: &'copy (dyn Fn(Progress<'_>) + Sync),
}

impl Retry<'_> {
    pub(crate) async fn run<Value, Operation>(
        &self,
        mut operation: impl FnMut() -> Operation,
    ) -> Result<Value, ImageError>
    where
        Operation: Future<Output = Result<Value, ImageError>>,
    {
        let mut attempts = Attempts::new();
        loop {
            match operation().await {
                Ok(value) => return Ok(value),
                Err(error) => self.wait(&mut attempts, error).await?,
            }
        }
    }

    /// Waits before the next attempt, or returns a permanent error or the last attempt's.
    pub(crate) async fn wait(&self, attempts: &mut Attempts, error: ImageError) -> Result<(), ImageError> {
        if !error.is_transient() {
            return Err(error);
        }
        let Some(delay) = attempts.next() else {
            return Err(error);
        };
        (self.progress)(Progress::Retry {
            image: self.image,
            error: error_chain(&error),
        });
        tokio::time::sleep(delay).await;
        Ok(())
    }
}

pub(crate) struct Attempts {
    left: u32,
    delay: Duration,
}

impl Attempts {
    pub(crate) fn new() -> Self {
        Self {
            left: MAX_ATTEMPTS - 1,
            delay: FIRST_DELAY,
        }
    }

    fn next(&mut self) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        let delay = self.delay;
        self.delay *= 2;
        Some(delay)
    }
}
