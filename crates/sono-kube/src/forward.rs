//! HTTP requests to a pod's loopback port, through the API server.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use kube::{Api, api::Portforwarder};
use tokio::task::AbortHandle;

use crate::{Cluster, KubeError, Pod, error::Cause};

/// Timeout until the headers of a response arrive.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// A response from inside a pod. Dropping it closes the connection.
pub struct Forwarded {
    /// HTTP status.
    pub status: u16,
    /// Headers of the response.
    pub headers: HeaderMap,
    body: Incoming,
    server: String,
    request: String,
    connection: AbortHandle,
    // Carries the connection, and ends it when dropped.
    forwarder: Portforwarder,
}

impl std::fmt::Debug for Forwarded {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Forwarded")
            .field("status", &self.status)
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

impl Drop for Forwarded {
    fn drop(&mut self) {
        self.connection.abort();
        self.forwarder.abort();
    }
}

impl Forwarded {
    /// The next chunk of the body, of any size; `None` at its end.
    ///
    /// # Errors
    /// [`KubeError::Broken`] if the connection ends before the body does.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, KubeError> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| KubeError::Broken {
                server: self.server.clone(),
                request: self.request.clone(),
                source: Cause::of(&error),
            })?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}

impl Cluster {
    /// Sends `GET path` to a port of a pod, through the subresource `portforward` (verbs `create` and `get`). The port
    /// may be open on the pod's loopback address only.
    ///
    /// # Errors
    /// Refusals of the API server, and [`KubeError::Broken`] if the port does not respond.
    pub async fn get_forwarded(
        &self,
        namespace: &str,
        pod: &str,
        port: u16,
        path: &str,
        headers: &[(header::HeaderName, String)],
    ) -> Result<Forwarded, KubeError> {
        let request = format!("GET {path} at port {port} of pod `{pod}`");
        let broken = |source| KubeError::Broken {
            server: self.server_url().to_owned(),
            request: request.clone(),
            source,
        };
        let mut forwarder = Api::<Pod>::namespaced(self.client(), namespace)
            .portforward(pod, &[port])
            .await
            .map_err(|error| self.failure(error, &request))?;
        let stream = forwarder
            .take_stream(port)
            .ok_or_else(|| broken(Cause("no stream for the port".to_owned())))?;
        let refused = forwarder.take_error(port);
        let (mut sender, connection) = hyper::client::conn::http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
            .await
            .map_err(|error| broken(Cause::of(&error)))?;
        // Not joined: its end is the end of the body, or its error, and `Forwarded` aborts it on drop.
        let connection = tokio::spawn(async move {
            if let Err(error) = connection.await {
                // The reader of the body gets the error, too.
                tracing::debug!(%error, "forwarded connection ended");
            }
        })
        .abort_handle();
        let mut built = Request::get(path)
            .header(header::HOST, "127.0.0.1")
            .header(header::CONNECTION, "close");
        for (name, value) in headers {
            built = built.header(name, value);
        }
        let built = built.body(Empty::new()).map_err(|error| broken(Cause::of(&error)))?;
        let answer = tokio::time::timeout(RESPONSE_TIMEOUT, sender.send_request(built)).await;
        let answer = match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Cause::of(&error)),
            Err(_) => Err(Cause(format!("no response within {} s", RESPONSE_TIMEOUT.as_secs()))),
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(cause) => {
                connection.abort();
                // The kubelet's error about the port says more than the end of the stream.
                let said = match refused {
                    Some(refused) => tokio::time::timeout(Duration::from_millis(100), refused)
                        .await
                        .ok()
                        .flatten(),
                    None => None,
                };
                forwarder.abort();
                return Err(broken(said.map_or(cause, |said| Cause(said.trim().to_owned()))));
            }
        };
        let (head, body) = answer.into_parts();
        Ok(Forwarded {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            server: self.server_url().to_owned(),
            request,
            connection,
            forwarder,
        })
    }
}
