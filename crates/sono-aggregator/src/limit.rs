//! A cap on the number of connections, those beyond it wait before their TLS handshake; and an end for those that move
//! no byte any more, of whatever HTTP version (HTTP/2 servers have no such limit of their own).

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum_server::accept::Accept;
use sono_types::UploadLimits;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep},
};

/// Accepts a connection when there is room for it.
#[derive(Debug, Clone)]
pub(crate) struct LimitedAcceptor {
    room: Arc<Semaphore>,
    patience: Duration,
    idle: Duration,
}

impl LimitedAcceptor {
    pub(crate) fn new(limits: &UploadLimits) -> Self {
        Self {
            room: Arc::new(Semaphore::new(limits.max_connections.min(Semaphore::MAX_PERMITS))),
            patience: limits.handshake_timeout,
            idle: limits.connection_idle,
        }
    }
}

impl<S: Send + 'static> Accept<TcpStream, S> for LimitedAcceptor {
    type Stream = Counted;
    type Service = S;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Counted, S)>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let (room, patience, idle) = (Arc::clone(&self.room), self.patience, self.idle);
        Box::pin(async move {
            // Results are acknowledged with a few bytes; waiting to fill a packet would only add latency.
            stream.set_nodelay(true)?;
            let permit = tokio::time::timeout(patience, room.acquire_owned())
                .await
                .map_err(|_| io::Error::other("too many connections"))?
                .map_err(io::Error::other)?;
            Ok((
                Counted {
                    stream,
                    idle,
                    silence: Box::pin(tokio::time::sleep(idle)),
                    _permit: permit,
                },
                service,
            ))
        })
    }
}

/// A connection that holds its place while it lives and moves bytes.
#[derive(Debug)]
pub(crate) struct Counted<S = TcpStream> {
    stream: S,
    idle: Duration,
    silence: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

impl<S> Counted<S> {
    /// Passes on what the stream says. Bytes begin the count anew; waiting too long is an error.
    fn watch<T>(&mut self, context: &mut Context<'_>, moved: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match moved {
            Poll::Ready(moved) => {
                self.silence.as_mut().reset(Instant::now() + self.idle);
                Poll::Ready(moved)
            }
            Poll::Pending => match self.silence.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(Err(io::Error::from(io::ErrorKind::TimedOut))),
                Poll::Pending => Poll::Pending,
            },
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let moved = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.watch(context, moved)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
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
    async fn a_connection_that_moves_nothing_ends_and_one_that_does_stays() {
        let (stream, mut other) = duplex(16);
        let room = Arc::new(Semaphore::new(1));
        let idle = Duration::from_mins(1);
        let mut counted = Counted {
            stream,
            idle,
            silence: Box::pin(tokio::time::sleep(idle)),
            _permit: Arc::clone(&room).try_acquire_owned().unwrap(),
        };
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(59)).await;
            other.write_all(b"x").await.unwrap();
            assert_eq!(counted.read_u8().await.unwrap(), b'x');
        }
        let began = Instant::now();
        let error = counted.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), 60);
        assert_eq!(room.available_permits(), 0);
        drop(counted);
        assert_eq!(room.available_permits(), 1);
    }
}
