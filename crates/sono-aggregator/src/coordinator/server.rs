//! The HTTPS server for workers, for as long as the run takes.

use std::{net::TcpListener, sync::Arc, time::Duration};

use sono_tls::{Authority, Identity};
use sono_types::UploadLimits;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    connections::WorkerServer,
    error::RunError,
    ingest::{routes, routes::Interface},
    observe::metrics::Metrics,
};

/// Ends the server's task when the run ends, however it ends.
pub(super) struct Server {
    pub(super) task: JoinHandle<()>,
    pub(super) stop: CancellationToken,
    /// Workers of plugins that are not removed must still learn that the run is over.
    pub(super) lingers: bool,
}

/// How long they may query: longer than the longest interval between two queries.
const QUERY_PERIOD: Duration = Duration::from_mins(5);

impl Drop for Server {
    fn drop(&mut self) {
        if self.task.is_finished() {
            return;
        }
        if let (true, Ok(runtime)) = (self.lingers, tokio::runtime::Handle::try_current()) {
            let stop = self.stop.clone();
            // Not joined: it ends the server after a fixed time, or with the process.
            runtime.spawn(async move {
                tokio::time::sleep(QUERY_PERIOD).await;
                stop.cancel();
            });
        } else {
            self.stop.cancel();
        }
    }
}

impl Server {
    /// Begins to listen.
    pub(super) fn start(
        listener: TcpListener,
        identity: &Identity,
        authority: &Authority,
        limits: &Arc<UploadLimits>,
        interface: Interface,
        metrics: &Metrics,
    ) -> Result<Self, RunError> {
        let config = sono_tls::server_config(identity, authority.certificate_pem()).map_err(RunError::Certificates)?;
        listener.set_nonblocking(true).map_err(RunError::Serve)?;
        let listener = tokio::net::TcpListener::from_std(listener).map_err(RunError::Serve)?;
        let server = WorkerServer {
            tls: Arc::new(config).into(),
            app: routes::router(interface),
            limits: Arc::clone(limits),
            dropped: metrics.dropped_connections(),
        };
        let stop = CancellationToken::new();
        Ok(Self {
            task: tokio::spawn(server.serve(listener, stop.clone())),
            stop,
            lingers: false,
        })
    }
}
