//! A client with response timeouts: kube's own client waits as long as the connection lasts, even a dead one.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use http_body_util::{BodyStream, StreamBody};
use kube::{Client, client::Body};
use tokio::time::timeout;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// A response that did not arrive in time.
#[derive(Debug, thiserror::Error)]
enum ResponseTimeout {
    #[error("no response within {} s", .0.as_secs())]
    NoAnswer(Duration),
    #[error("the response stalled for {} s", .0.as_secs())]
    Stalled(Duration),
}

/// Wraps `client`: a response that starts later than `begin` or pauses longer than `silence` is an error. The
/// connection of a failed response is not used again.
pub(crate) fn bounded(client: Client, begin: Duration, silence: Duration) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let client = client.clone();
        async move {
            let answer = timeout(begin, client.send(request)).await;
            let answer = answer.map_err(|_| ResponseTimeout::NoAnswer(begin))??;
            Ok::<_, Error>(answer.map(|body| StreamBody::new(frames(body, silence))))
        }
    });
    Client::new(service, namespace)
}

fn frames(
    body: Body,
    silence: Duration,
) -> impl futures::Stream<Item = Result<hyper::body::Frame<bytes::Bytes>, Error>> + Send + use<> {
    stream::unfold(Some(BodyStream::new(body)), move |frames| async move {
        let mut frames = frames?;
        match timeout(silence, frames.next()).await {
            Ok(None) => None,
            Ok(Some(frame)) => Some((frame.map_err(Error::from), Some(frames))),
            Err(_) => Some((Err(ResponseTimeout::Stalled(silence).into()), None)),
        }
    })
}

#[cfg(test)]
mod tests {
    use sono_testkit::{FakeApi, Trouble};

    use super::*;
    use crate::{Cluster, Connection};

    fn get(path: &str) -> http::Request<Body> {
        http::Request::get(path).body(Body::empty()).unwrap()
    }

    /// A server that accepts a request and never responds, and one that stops in the middle of a response.
    #[tokio::test]
    async fn stalled_response_is_an_error() {
        let api = FakeApi::start();
        let folder = tempfile::tempdir().unwrap();
        api.write_kubeconfig(folder.path());
        let connection = Connection {
            kubeconfig: Some(folder.path().join("kubeconfig")),
            context: None,
        };
        let client = Cluster::connect(&connection).await.unwrap().client();
        let (short, long) = (Duration::from_millis(50), Duration::from_mins(10));

        api.trouble(Trouble::Hang, 1);
        let error = bounded(client.clone(), short, long)
            .send(get("/version"))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("no response within"), "{error}");
        let answered = bounded(client.clone(), long, long).send(get("/version")).await.unwrap();
        assert_eq!(answered.status(), 200);

        // A namespace without changes: the watch stays silent.
        let watch = get("/api/v1/namespaces/none/pods?watch=true&resourceVersion=1");
        let answer = bounded(client, long, short).send(watch).await.unwrap();
        let mut frames = BodyStream::new(answer.into_body());
        let error = loop {
            match frames.next().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => break error,
                None => panic!("the watch ended by itself"),
            }
        };
        assert!(error.to_string().contains("the response stalled"), "{error}");
    }
}
