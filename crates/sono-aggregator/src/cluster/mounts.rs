//! Volumes that cannot be mounted: the pod itself does not show it, only its events do (weakness W-8).

use jiff::{SignedDuration, Timestamp};
use sono_kube::{
    Kind,
    judge::{self, Policy},
};

use super::{
    Shared,
    watching::{Finding, Pods, failure, node_of},
};
use crate::upload::chain;

/// How often events are asked for while a pod's containers are not being made.
const ASK_AGAIN: SignedDuration = SignedDuration::from_secs(30);

/// When events were asked for.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    asked: Option<Timestamp>,
    refused: bool,
}

impl Mounts {
    /// Pods whose volumes cannot be mounted as of now, and when to look again.
    pub(super) async fn judge(
        &mut self,
        shared: &Shared,
        pods: &Pods,
        now: Timestamp,
        policy: &Policy,
    ) -> (Vec<Finding>, Option<Timestamp>) {
        let (overdue, next) = pods.without_containers(now, policy);
        if overdue.is_empty() || self.refused {
            return (Vec::new(), next);
        }
        let ask = self.asked.and_then(|asked| asked.checked_add(ASK_AGAIN).ok());
        if let Some(ask) = ask.filter(|ask| *ask > now) {
            return (Vec::new(), next.into_iter().chain([ask]).min());
        }
        self.asked = Some(now);
        let mut events = Vec::new();
        for reason in judge::MOUNT_EVENTS {
            let namespace = Some(shared.config.namespace.as_str());
            let fields = format!("reason={reason}");
            match shared.cluster.list_fields(Kind::Event, namespace, &fields).await {
                Ok(found) => events.extend(found),
                Err(error) => {
                    tracing::warn!(
                        error = chain(&error),
                        "cannot see the namespace's events: a volume that cannot be mounted shows at the time limit"
                    );
                    self.refused = error.is_forbidden();
                    break;
                }
            }
        }
        let found = overdue.into_iter().filter_map(|pod| {
            let message = judge::unmounted(pod, &events, now)?;
            Some(Finding {
                node: node_of(pod),
                failure: failure(message, pod),
            })
        });
        let again = (!self.refused).then(|| now.checked_add(ASK_AGAIN).ok()).flatten();
        (found.collect(), next.into_iter().chain(again).min())
    }
}
