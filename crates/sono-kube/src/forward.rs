//! HTTP to a port that a pod has on its loopback address, through the API server.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use kube::{Api, api::Portforwarder};
use tokio::task::AbortHandle;

use crate::{Cluster, KubeError, Pod, error::Cause};

/// Until the answer's first line.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// An answer from inside a pod. The connection ends with it.
pub struct Forwarded {
    /// HTTP status.
    pub status: u16,
    /// Headers of the answer.
    pub headers: HeaderMap,
    body: Incoming,
    server: String,
    request: String,
    connection: AbortHandle,
    // Carries the bytes; ends when dropped.
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
    /// The next piece of the body, of whatever size; `None` at its end.
    ///
    /// # Errors
    /// [`KubeError::Broken`] where the connection ends before the body does.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, KubeError> {
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
    /// `GET` of `path` at a port of a pod, through the pod's subresource `portforward` (verbs `create` and `get`). The
    /// pod's own loopback address is meant, whatever network it is in.
    ///
    /// # Errors
    /// What the API server refuses, and [`KubeError::Broken`] where nothing answers at the port.
    pub async fn get_through(
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
            .ok_or_else(|| broken(Cause("there is no stream for the port".to_owned())))?;
        let refused = forwarder.take_error(port);
        let (mut sender, connection) = hyper::client::conn::http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
            .await
            .map_err(|error| broken(Cause::of(&error)))?;
        let connection = tokio::spawn(async move {
            if let Err(error) = connection.await {
                // Whoever reads the body is told as well.
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
        let answer = tokio::time::timeout(ANSWER_WITHIN, sender.send_request(built)).await;
        let answer = match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Cause::of(&error)),
            Err(_) => Err(Cause(format!("no answer within {} s", ANSWER_WITHIN.as_secs()))),
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(cause) => {
                connection.abort();
                // What the kubelet says about the port is worth more than that the stream ended.
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
