//! A client that is not kept waiting for ever: the library's own waits as long as the connection lasts, and one on which nothing
//! comes any more lasts until somebody asks.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use http_body_util::{BodyStream, StreamBody};
use kube::{Client, client::Body};
use tokio::time::timeout;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Nothing came for too long.
#[derive(Debug, thiserror::Error)]
enum Silent {
    #[error("no answer within {} s", .0.as_secs())]
    NoAnswer(Duration),
    #[error("nothing more of the answer for {} s", .0.as_secs())]
    NoMore(Duration),
}

/// The same client for answers that begin within `begin` and are never silent for longer than `silence`: anything else is an
/// error, after which its connection is not used any more.
pub(crate) fn bounded(client: Client, begin: Duration, silence: Duration) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let client = client.clone();
        async move {
            let answer = timeout(begin, client.send(request)).await;
            let answer = answer.map_err(|_| Silent::NoAnswer(begin))??;
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
            Err(_) => Some((Err(Silent::NoMore(silence).into()), None)),
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

    /// A server that takes a request and never answers, and one that stops in the middle: either is an error in the end.
    #[tokio::test]
    async fn silence_is_an_error() {
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
        assert!(error.to_string().contains("no answer within"), "{error}");
        let answered = bounded(client.clone(), long, long).send(get("/version")).await.unwrap();
        assert_eq!(answered.status(), 200);

        // Nothing happens that it could tell.
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
        assert!(error.to_string().contains("nothing more of the answer"), "{error}");
    }
}
