//! Streams that bring nothing for too long.

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

/// Output that brings nothing for so long counts as lost: the command hangs, with its disk for one.
pub(crate) const STALLED: Duration = Duration::from_mins(1);

/// A reader whose reads fail with [`io::ErrorKind::TimedOut`] when they bring nothing within a limit. Time between two reads does
/// not count.
pub(crate) struct Stalling<R> {
    inner: R,
    limit: Duration,
    /// Set while a read waits.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<R> Stalling<R> {
    pub(crate) fn new(inner: R, limit: Duration) -> Self {
        Self {
            inner,
            limit,
            deadline: None,
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Stalling<R> {
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
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, nothing_for(limit))))
            }
        }
    }
}

/// Why a stream counts as lost.
pub(crate) fn nothing_for(limit: Duration) -> String {
    format!("nothing came for {} s", limit.as_secs())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const LIMIT: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn read_without_bytes_ends_at_the_limit() {
        let (reader, mut writer) = tokio::io::simplex(64);
        let mut stream = Stalling::new(reader, LIMIT);
        writer.write_all(b"ab").await.unwrap();
        let mut bytes = [0; 8];
        assert_eq!(stream.read(&mut bytes).await.unwrap(), 2);
        // What the reader does meanwhile is no stall.
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
