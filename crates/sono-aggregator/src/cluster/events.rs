//! Volumes that cannot be mounted, and pods that cannot be created: only Events show them, not the objects
//! (weakness W-8).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sono_kube::{
    DaemonSetView, EventView, Kind,
    judge::{self, Policy},
};
use sono_types::error_chain;

use super::{
    Shared,
    watching::{Finding, Pods},
};

/// Interval between queries of Events while a pod's containers are not created.
const QUERY_INTERVAL: SignedDuration = SignedDuration::from_secs(30);

/// Time of the last query.
#[derive(Debug, Default)]
pub(super) struct Events {
    asked: Option<Timestamp>,
    refused: bool,
}

impl Events {
    /// Pods whose volumes cannot be mounted, and the time of the next check.
    pub(super) async fn judge<'a>(
        &mut self,
        shared: &Shared,
        pods: &'a Pods,
        now: Timestamp,
        policy: &Policy,
    ) -> (Vec<Finding<'a>>, Option<Timestamp>) {
        let (overdue, next) = pods.without_containers(now, policy);
        if overdue.is_empty() || self.refused {
            return (Vec::new(), next);
        }
        let (events, again) = self.ask(shared, &judge::MOUNT_EVENTS, now).await;
        let found = overdue.into_iter().filter_map(|pod| {
            let message = judge::mount_failure(pod, &events, now)?;
            Some(Finding::of_pod(pod, message))
        });
        (found.collect(), next.into_iter().chain(again).min())
    }

    /// Why the controller of `set` lastingly cannot create its missing pods, and when to check again.
    pub(super) async fn uncreated(
        &mut self,
        shared: &Shared,
        set: &DaemonSetView,
        pods: &Pods,
        now: Timestamp,
        policy: &Policy,
    ) -> (Option<String>, Option<Timestamp>) {
        // While pods are created, however slowly, nothing is wrong.
        let since = pods.newest().into_iter().chain(set.created).max();
        let Some(due) = since.and_then(|since| since.checked_add(policy.mount).ok()) else {
            return (None, None);
        };
        if due > now || self.refused {
            return (None, Some(due).filter(|due| *due > now));
        }
        let (events, again) = self.ask(shared, &[judge::CREATE_EVENT], now).await;
        let reason = judge::creation_failure(&set.uid, &events, now);
        (reason, again)
    }

    /// The namespace's events about volumes, fetched if a pod has no containers.
    pub(super) async fn of_volumes(&mut self, shared: &Shared, pods: &Pods, now: Timestamp) -> Vec<EventView> {
        let at_once = Policy {
            mount: Duration::ZERO,
            ..Policy::job()
        };
        if self.refused || pods.without_containers(now, &at_once).0.is_empty() {
            return Vec::new();
        }
        self.asked = None;
        self.ask(shared, &judge::MOUNT_EVENTS, now).await.0
    }

    /// Why the controller of `set` cannot create pods, queried at once.
    pub(super) async fn of_creation(&mut self, shared: &Shared, set: &DaemonSetView, now: Timestamp) -> Option<String> {
        if self.refused {
            return None;
        }
        self.asked = None;
        let (events, _) = self.ask(shared, &[judge::CREATE_EVENT], now).await;
        judge::creation_failure(&set.uid, &events, now)
    }

    /// Events with these reasons, and when they may be fetched again; no events before that.
    async fn ask(&mut self, shared: &Shared, reasons: &[&str], now: Timestamp) -> (Vec<EventView>, Option<Timestamp>) {
        let ask = self.asked.and_then(|asked| asked.checked_add(QUERY_INTERVAL).ok());
        if let Some(ask) = ask.filter(|ask| *ask > now) {
            return (Vec::new(), Some(ask));
        }
        self.asked = Some(now);
        let mut events = Vec::new();
        for reason in reasons {
            let namespace = Some(shared.config.namespace.as_str());
            let fields = format!("reason={reason}");
            let listed = shared
                .cluster
                .each(Kind::Event, namespace, &fields, |event| events.push(event));
            match listed.await {
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(
                        error = error_chain(&error),
                        "cannot watch the namespace's Events: some failures are reported only at the time limit"
                    );
                    self.refused = error.is_forbidden();
                    break;
                }
            }
        }
        let again = (!self.refused).then(|| now.checked_add(QUERY_INTERVAL).ok()).flatten();
        (events, again)
    }
}
