//! Retries of transient registry errors.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use sono_types::error_chain;

use crate::ImageError;

/// Retries per blob or manifest, after the first attempt.
const MAX_RETRIES: usize = 4;
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
        let mut delays = delays();
        loop {
            match operation().await {
                Ok(value) => return Ok(value),
                Err(error) => self.wait(&mut delays, error).await?,
            }
        }
    }

    /// Waits before the next attempt, or returns a permanent error or the last attempt's.
    pub(crate) async fn wait(&self, delays: &mut ExponentialBackoff, error: ImageError) -> Result<(), ImageError> {
        if !error.is_transient() {
            return Err(error);
        }
        let Some(delay) = delays.next() else {
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

/// The delays between attempts.
pub(crate) fn delays() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(FIRST_DELAY)
        .with_factor(2.0)
        .with_max_times(MAX_RETRIES)
        .build()
}
