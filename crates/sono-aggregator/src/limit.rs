//! A cap on the number of connections, those beyond it wait in the system's own queue; and an end for those that move no
//! byte any more, of whatever HTTP version (HTTP/2 servers have no such limit of their own).

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum_server::{AddrListener, Address};
use sono_types::UploadLimits;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep},
};

/// Where a worker connects from.
#[derive(Debug, Clone)]
pub(crate) struct WorkerAddress(
    #[expect(dead_code, reason = "the server wants to know an address by its type")] SocketAddr,
);

impl Address for WorkerAddress {
    type Stream = Counted;
    type Listener = LimitedListener;
}

/// Places for connections.
#[derive(Debug, Clone)]
pub(crate) struct Connections(Arc<Semaphore>);

impl Connections {
    pub(crate) fn new(limits: &UploadLimits) -> Self {
        Self(Arc::new(Semaphore::new(
            limits.max_connections.min(Semaphore::MAX_PERMITS),
        )))
    }

    /// Whether further ones have to wait.
    pub(crate) fn are_taken(&self) -> bool {
        self.0.available_permits() == 0
    }
}

/// Accepts a connection when there is room for it: what waits costs this process nothing until then.
#[derive(Debug)]
pub(crate) struct LimitedListener {
    listener: TcpListener,
    connections: Connections,
    idle: Duration,
}

impl LimitedListener {
    pub(crate) fn new(
        listener: std::net::TcpListener,
        connections: Connections,
        limits: &UploadLimits,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener: TcpListener::from_std(listener)?,
            connections,
            idle: limits.connection_idle,
        })
    }
}

impl AddrListener<Counted, WorkerAddress> for LimitedListener {
    async fn bind_to(_: WorkerAddress) -> io::Result<Self> {
        // Its address is bound before anything else is done, and its limits are not in an address.
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }

    async fn accept_stream(&self) -> io::Result<(Counted, WorkerAddress)> {
        let permits = Arc::clone(&self.connections.0);
        let permit = permits.acquire_owned().await.map_err(io::Error::other)?;
        let (stream, address) = loop {
            let (stream, address) = self.listener.accept().await?;
            // Whoever waited too long for its turn connects anew: a handshake would be for nobody.
            if !has_gone(&stream) {
                break (stream, address);
            }
        };
        // Results are acknowledged with a few bytes; waiting to fill a packet would only add latency.
        stream.set_nodelay(true)?;
        let counted = Counted {
            stream,
            idle: self.idle,
            silence: Box::pin(tokio::time::sleep(self.idle)),
            _permit: permit,
        };
        Ok((counted, WorkerAddress(address)))
    }

    fn get_local_addr(&self) -> io::Result<WorkerAddress> {
        self.listener.local_addr().map(WorkerAddress)
    }
}

/// Whether the other end has closed the connection, or its half of it.
#[cfg(target_os = "linux")]
fn has_gone(stream: &TcpStream) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut watched = [PollFd::new(stream, PollFlags::RDHUP)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut watched, Some(&at_once)).is_ok_and(|events| events > 0)
}

/// Elsewhere the handshake finds it out.
#[cfg(not(target_os = "linux"))]
fn has_gone(_: &TcpStream) -> bool {
    false
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
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn a_connection_beyond_the_cap_waits_for_one_to_end() {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let limits = UploadLimits {
            max_connections: 1,
            ..UploadLimits::DEFAULT
        };
        let connections = Connections::new(&limits);
        let listener = LimitedListener::new(listener, connections.clone(), &limits).unwrap();
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        assert!(!connections.are_taken());
        let (first, _) = listener.accept_stream().await.unwrap();
        assert!(connections.are_taken());
        let mut second = std::pin::pin!(listener.accept_stream());
        // Its client is connected, and it is not taken.
        assert!(futures::poll!(second.as_mut()).is_pending());
        // Somebody gives up waiting: there is no connection for it any more.
        drop(clients.remove(1));
        drop(first);
        let (mut second, _) = second.await.unwrap();
        clients[1].write_all(b"x").await.unwrap();
        assert_eq!(second.read_u8().await.unwrap(), b'x');
    }

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
