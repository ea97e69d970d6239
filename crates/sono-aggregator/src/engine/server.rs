//! The HTTPS server for workers, for as long as the run takes.

use std::{sync::Arc, time::Duration};

use axum_server::{
    Handle,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use jiff::Timestamp;
use sono_tls::Authority;
use sono_types::UploadLimits;
use tokio::task::JoinHandle;

use super::RunError;
use crate::{
    http::{self, Interface},
    limit::{LimitedListener, WorkerAddress},
};

/// Ends the server's task when the run ends, however it ends.
pub(super) struct Server {
    pub(super) task: JoinHandle<std::io::Result<()>>,
    pub(super) handle: Handle<WorkerAddress>,
    /// Workers of plugins that are not removed still have to be told that the run is over.
    pub(super) stays: bool,
}

/// How long they have to ask: longer than the longest time between two questions.
const FAREWELL: Duration = Duration::from_mins(5);

impl Drop for Server {
    fn drop(&mut self) {
        if self.task.is_finished() {
            return;
        }
        if let (true, Ok(runtime)) = (self.stays, tokio::runtime::Handle::try_current()) {
            let handle = self.handle.clone();
            runtime.spawn(async move {
                tokio::time::sleep(FAREWELL).await;
                handle.graceful_shutdown(Some(Duration::from_secs(1)));
            });
        } else {
            self.handle.graceful_shutdown(Some(Duration::from_secs(1)));
        }
    }
}

/// What one connection may hold of what it reads: bodies go to disk as they come, and TLS hands out 16 KiB at most.
const READ_BUFFER: usize = 16 << 10;
/// What a client may send over HTTP/2 before it is read.
const WINDOW: u32 = 64 << 10;

impl Server {
    /// Begins to listen.
    pub(super) fn start(
        listener: LimitedListener,
        authority: &Authority,
        since: Timestamp,
        names: &[String],
        limits: &UploadLimits,
        interface: Interface,
    ) -> Result<Self, RunError> {
        let identity = authority.server(since, names).map_err(RunError::Certificates)?;
        let config = sono_tls::server_config(&identity, authority.certificate_pem()).map_err(RunError::Certificates)?;
        let acceptor = RustlsAcceptor::new(RustlsConfig::from_config(Arc::new(config)))
            .handshake_timeout(limits.handshake_timeout);
        let handle = Handle::new();
        let mut server = axum_server::Server::from_listener(listener)
            .acceptor(acceptor)
            .handle(handle.clone())
            .first_request_timeout(limits.handshake_timeout);
        server
            .http_builder()
            .http1()
            .header_read_timeout(limits.handshake_timeout)
            // A connection that only waits for its next request would keep others from their first.
            .keep_alive(false)
            .max_buf_size(READ_BUFFER)
            .http2()
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW);
        let app = http::router(interface).into_make_service();
        Ok(Self {
            task: tokio::spawn(server.serve(app)),
            handle,
            stays: false,
        })
    }
}
