//! Read timeouts for streams.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// Longest pause of a command's output. A longer one means that the command hangs, for example on its disk.
pub(crate) const STALL_TIMEOUT: Duration = Duration::from_mins(1);

/// A reader that fails a read with [`io::ErrorKind::TimedOut`] if no data arrives within `limit`. The time between two
/// reads does not count.
pub(crate) struct StallTimeout<R> {
    inner: R,
    limit: Duration,
    /// Set while a read is pending.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<R> StallTimeout<R> {
    pub(crate) fn new(inner: R, limit: Duration) -> Self {
        Self {
            inner,
            limit,
            deadline: None,
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for StallTimeout<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let ready @ Poll::Ready(_) = Pin::new(&mut self.inner).poll_read(context, buffer) {
            self.deadline = None;
            return ready;
        }
        let limit = self.limit;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(limit)));
        match deadline.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                deadline.as_mut().reset(Instant::now() + limit);
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, stall_message(limit))))
            }
        }
    }
}

/// The error message of a stalled stream.
pub(crate) fn stall_message(limit: Duration) -> String {
    format!("no data for {} s", limit.as_secs())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const LIMIT: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn read_without_bytes_ends_at_the_limit() {
        let (reader, mut writer) = tokio::io::simplex(64);
        let mut stream = StallTimeout::new(reader, LIMIT);
        writer.write_all(b"ab").await.unwrap();
        let mut bytes = [0; 8];
        assert_eq!(stream.read(&mut bytes).await.unwrap(), 2);
        // The time between two reads does not count.
        sleep(LIMIT * 2).await;
        writer.write_all(b"c").await.unwrap();
        assert_eq!(stream.read(&mut bytes).await.unwrap(), 1);
        for _ in 0..2 {
            let error = stream.read(&mut bytes).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        }
        writer.write_all(b"d").await.unwrap();
        assert_eq!(stream.read(&mut bytes).await.unwrap(), 1);
    }
}
