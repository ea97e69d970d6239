//! Deletion of many objects. The API server deletes some hundred pods a second and stops when its client stops waiting, so 10,000
//! pods require several requests.

use std::time::Duration;

use kube::{
    api::{DeleteParams, ListParams, PropagationPolicy},
    core::Request,
};
use serde::{Deserialize, de::IgnoredAny};
use tokio::time::Instant;

use crate::{Cluster, Kind, KubeError, error::Cause};

/// Limit on the time without a deleted object.
const STALLED: Duration = Duration::from_mins(1);
/// Pause before the next request.
const PAUSE: Duration = Duration::from_secs(1);

/// The fields of an object that show whether it is being deleted.
#[derive(Deserialize)]
struct Object {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "deletionTimestamp")]
    deleted: Option<IgnoredAny>,
}

impl Cluster {
    /// Deletes all objects that match a label selector, which must not be empty.
    ///
    /// # Errors
    /// Those of the request; a timeout only if no object was deleted for a minute.
    pub async fn delete_all(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        labels: &str,
        grace: Option<u32>,
    ) -> Result<(), KubeError> {
        let request = format!("deleting {} with labels {labels}", kind.plural());
        if labels.is_empty() {
            return Err(KubeError::Request {
                request,
                source: Cause("no labels: this would delete every object".to_owned()),
            });
        }
        let mut progress = Progress::new(Instant::now());
        loop {
            let made = Request::new(kind.path(namespace))
                .delete_collection(&deletion(grace), &ListParams::default().labels(labels));
            let error = match self.json(made, &request).await {
                Ok(_) => return Ok(()),
                Err(error) if error.is_not_found() => return Ok(()),
                Err(error) if is_interrupted(&error) => error,
                Err(error) => return Err(error),
            };
            let (mut left, parameters) = (0, ListParams::default().labels(labels));
            let counted = self
                .each_of(kind, namespace, parameters, |object: Object| {
                    left += usize::from(object.metadata.deleted.is_none());
                })
                .await;
            tracing::debug!(left, %error, "deleting many objects");
            match progress.interrupted(Instant::now(), left) {
                // The server does not answer this request either.
                _ if counted.is_err() => return Err(error),
                Next::Over => return Ok(()),
                Next::GiveUp => return Err(error),
                Next::Continue => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

/// The next step after an interrupted request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Continue,
    GiveUp,
    /// Nothing is left.
    Over,
}

/// Progress of a deletion over several requests.
struct Progress {
    /// The least number of remaining objects so far.
    least: Option<usize>,
    /// Time of the last progress.
    since: Instant,
}

impl Progress {
    fn new(now: Instant) -> Self {
        Self {
            least: None,
            since: now,
        }
    }

    /// A request was interrupted while `left` objects were not deleted yet.
    fn interrupted(&mut self, now: Instant, left: usize) -> Next {
        if left == 0 {
            return Next::Over;
        }
        if self.least.is_none_or(|least| left < least) {
            self.since = now;
        }
        self.least = Some(self.least.map_or(left, |least| least.min(left)));
        if now.duration_since(self.since) < STALLED {
            Next::Continue
        } else {
            Next::GiveUp
        }
    }
}

/// Whether the server may have deleted some of the objects.
fn is_interrupted(error: &KubeError) -> bool {
    error.is_unreachable() || matches!(error, KubeError::Refused { code: 504, .. })
}

pub(crate) fn deletion(grace: Option<u32>) -> DeleteParams {
    DeleteParams {
        grace_period_seconds: grace,
        propagation_policy: Some(PropagationPolicy::Background),
        ..DeleteParams::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Simulates requests of 30 s that delete the given numbers of objects; returns the outcome, the number of requests and of
    /// remaining objects.
    fn check(mut left: usize, per_request: &[usize]) -> (Next, usize, usize) {
        let began = Instant::now();
        let mut progress = Progress::new(began);
        for request in 0..1_000 {
            let deleted = per_request.get(request).or_else(|| per_request.last()).copied();
            left = left.saturating_sub(deleted.unwrap_or_default());
            let requests = u32::try_from(request).unwrap() + 1;
            match progress.interrupted(began + Duration::from_secs(30) * requests, left) {
                Next::Continue => {}
                next => return (next, request + 1, left),
            }
        }
        panic!("the deletion does not end");
    }

    #[test]
    fn deletion_of_ten_thousand_pods_continues_until_none_is_left() {
        assert_eq!(check(10_000, &[1_500]), (Next::Over, 7, 0));
        assert_eq!(check(0, &[0]), (Next::Over, 1, 0));
        // One object a request is progress.
        assert_eq!(check(200, &[1]), (Next::Over, 200, 0));
        assert_eq!(check(3, &[1, 0, 1, 0, 1]), (Next::Over, 5, 0));
    }

    #[test]
    fn deletion_without_progress_for_a_minute_fails() {
        assert_eq!(check(10_000, &[0]), (Next::GiveUp, 3, 10_000));
        assert_eq!(check(10_000, &[100, 100, 0]), (Next::GiveUp, 4, 9_800));
    }

    #[test]
    fn deletion_of_objects_created_meanwhile_is_not_progress() {
        let began = Instant::now();
        let mut progress = Progress::new(began);
        let at = |seconds| began + Duration::from_secs(seconds);
        assert_eq!(progress.interrupted(at(30), 10), Next::Continue);
        assert_eq!(progress.interrupted(at(40), 20), Next::Continue);
        assert_eq!(progress.interrupted(at(50), 15), Next::Continue);
        assert_eq!(progress.interrupted(at(89), 10), Next::Continue);
        assert_eq!(progress.interrupted(at(90), 10), Next::GiveUp);
    }
}
