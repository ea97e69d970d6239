//! An end for connections that move no byte.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

/// A stream that fails once no byte has moved for a while. What has arrived is read before the time is looked at, so that a busy
/// machine ends no connection.
#[derive(Debug)]
pub(super) struct Quiet<S> {
    stream: S,
    limit: Duration,
    silence: Pin<Box<Sleep>>,
}

impl<S> Quiet<S> {
    pub(super) fn new(stream: S, limit: Duration) -> Self {
        let silence = Box::pin(tokio::time::sleep(limit));
        Self { stream, limit, silence }
    }

    pub(super) fn get_ref(&self) -> &S {
        &self.stream
    }

    /// From now on it may be quiet for that long.
    pub(super) fn allow(&mut self, limit: Duration) {
        self.limit = limit;
        self.silence.as_mut().reset(Instant::now() + limit);
    }

    /// Passes on the stream's answer. Bytes start the time again.
    fn watch<T>(&mut self, context: &mut Context<'_>, moved: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match moved {
            Poll::Ready(moved) => {
                self.silence.as_mut().reset(Instant::now() + self.limit);
                Poll::Ready(moved)
            }
            Poll::Pending => match self.silence.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                Poll::Pending => Poll::Pending,
            },
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Quiet<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let moved = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.watch(context, moved)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Quiet<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let moved = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, moved)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Flushing moves no bytes of its own accord.
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let moved = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(context, moved)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn connection_that_moves_nothing_ends_and_another_stays() {
        let (stream, mut other) = duplex(16);
        let mut quiet = Quiet::new(stream, Duration::from_secs(1));
        quiet.allow(Duration::from_mins(1));
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(59)).await;
            other.write_all(b"x").await.unwrap();
            assert_eq!(quiet.read_u8().await.unwrap(), b'x');
        }
        let began = Instant::now();
        let error = quiet.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_that_arrived_in_time_are_read_late() {
        let (stream, mut other) = duplex(16);
        let mut quiet = Quiet::new(stream, Duration::from_secs(1));
        other.write_all(b"x").await.unwrap();
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(quiet.read_u8().await.unwrap(), b'x');
    }
}
