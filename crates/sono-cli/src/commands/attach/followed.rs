//! State of a followed run, and detection of its end. Pure.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde_json::Value;
use sono_kube::{
    KubeError, Pod, PodView, WatchEvent,
    judge::{self, Policy, Verdict},
};
use sono_types::{
    OverallStatus, RunStatus,
    status::{folded_count, plugin_status},
};

use crate::{
    aggregator::{self, creates_pods, is_replaced, phase, status_of},
    identity::{AggregatorWorkload, Identity},
};

/// Time limit for the replacement of the aggregator's pod.
pub(super) const REPLACED_WITHIN: Duration = Duration::from_mins(1);

/// A followed run. Pods and Deployments of other runs in the namespace are ignored.
#[derive(Debug, Default)]
pub(super) struct FollowedRun {
    identity: Identity,
    /// All pods of the namespace, by name.
    pods: BTreeMap<String, Pod>,
    listed: bool,
    seen: bool,
    /// Whether a controller replaces the aggregator's pod.
    replaced: bool,
    workload: AggregatorWorkload,
    /// Start of the period without an aggregator's pod.
    absent_since: Option<Timestamp>,
    /// Whether the aggregator has reported a status, so it did start.
    reported: bool,
}

/// End of a run, or the reason why it cannot continue.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum End {
    Complete(Box<RunStatus>),
    /// The run ended without an archive.
    NoArchive {
        /// Why it is withheld; empty if it is not.
        withheld: String,
    },
    /// The aggregator ended before the run was complete.
    Stopped,
    /// The aggregator's pod does not run, or cannot be created.
    Broken {
        why: String,
        is_created: bool,
    },
    /// The run was deleted.
    Deleted,
    /// No aggregator was found.
    Absent,
}

impl FollowedRun {
    pub(super) fn new(identity: Identity) -> Self {
        Self {
            identity,
            ..Self::default()
        }
    }

    pub(super) fn apply(&mut self, event: WatchEvent<Pod>) {
        let name = |pod: &Pod| pod.metadata.name.clone().unwrap_or_default();
        match event {
            WatchEvent::Restarted(pods) => {
                self.listed = true;
                self.pods = pods.into_iter().map(|pod| (name(&pod), pod)).collect();
            }
            WatchEvent::Applied(pod) => {
                self.pods.insert(name(&pod), pod);
            }
            WatchEvent::Deleted(pod) => {
                self.pods.remove(&name(&pod));
            }
        }
        if let Some(pod) = self.identity.aggregator(self.pods.values()) {
            (self.seen, self.replaced) = (true, is_replaced(pod));
            self.reported |= status_of(pod).is_some();
            self.identity.learn(pod);
        }
    }

    pub(super) fn apply_workload(&mut self, event: Option<Result<WatchEvent<Value>, KubeError>>) {
        match event {
            Some(Ok(WatchEvent::Restarted(found))) => self.workload = AggregatorWorkload::of(found),
            Some(Ok(WatchEvent::Applied(workload))) if creates_pods(&workload) => {
                self.workload = AggregatorWorkload::Deployment(workload);
            }
            Some(Ok(WatchEvent::Applied(_) | WatchEvent::Deleted(_))) => self.workload = AggregatorWorkload::None,
            Some(Err(error)) if error.is_expired() || error.is_transient() => {}
            Some(Err(error)) => {
                tracing::debug!(%error, "cannot watch the aggregator's Deployment");
                self.workload = AggregatorWorkload::Forbidden;
            }
            None => self.workload = AggregatorWorkload::Forbidden,
        }
    }

    pub(super) fn watches_workload(&self) -> bool {
        !matches!(self.workload, AggregatorWorkload::Forbidden)
    }

    pub(super) fn is_listed(&self) -> bool {
        self.listed
    }

    /// Pods that may belong to the run.
    pub(super) fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods.values().filter(|pod| self.identity.may_include(pod))
    }

    /// Deployment of the run's aggregator.
    fn deployment(&self) -> Option<&Value> {
        match &self.workload {
            AggregatorWorkload::Deployment(deployment) if self.identity.includes_deployment(deployment) => {
                Some(deployment)
            }
            _ => None,
        }
    }

    /// Reason why the aggregator's pod cannot be created.
    pub(super) fn uncreated(&self) -> Option<String> {
        let deployment = self.deployment().filter(|_| self.aggregator().is_none())?;
        aggregator::uncreated(deployment)
    }

    pub(super) fn aggregator(&self) -> Option<&Pod> {
        self.identity.aggregator(self.pods.values())
    }

    /// Current status; `None` if missing or invalid.
    pub(super) fn status(&self) -> Option<RunStatus> {
        status_of(self.aggregator()?)?.ok()
    }

    /// End of a run without an aggregator's pod for `absent_for`. `None` while a pod may still be created.
    fn end_without_pod(&self, starts_run: bool, absent_for: Duration) -> Option<End> {
        let is_soon = absent_for < REPLACED_WITHIN;
        // A run that this command started did exist.
        let existed = self.seen || starts_run && matches!(self.workload, AggregatorWorkload::None);
        let lost = if existed { End::Deleted } else { End::Absent };
        match (&self.workload, self.deployment()) {
            (AggregatorWorkload::Unknown, _) => None,
            (AggregatorWorkload::Deployment(_), Some(_)) => self
                .uncreated()
                .filter(|_| !is_soon)
                .map(|why| End::Broken { why, is_created: false }),
            (AggregatorWorkload::Forbidden, _) if is_soon && (self.replaced || starts_run) => None,
            (AggregatorWorkload::Forbidden | AggregatorWorkload::None, _) => Some(lost),
            // The Deployment belongs to the next run, so this one was deleted.
            (AggregatorWorkload::Deployment(_), None) => Some(End::Deleted),
        }
    }

    /// End of the run, once known.
    pub(super) fn end(&mut self, starts_run: bool, time: Timestamp) -> Option<End> {
        let Some(pod) = self.aggregator() else {
            let since = *self.absent_since.get_or_insert(time);
            return self.end_without_pod(starts_run, time.duration_since(since).unsigned_abs());
        };
        let status = self.status();
        let end = match status.as_ref().map(|status| &status.status) {
            // The status alone does not prove that an archive exists (core §2.2).
            Some(OverallStatus::Complete) if status.as_ref().is_some_and(|status| self.has_archive(status)) => {
                status.map(|status| End::Complete(Box::new(status)))
            }
            Some(OverallStatus::Failed) => {
                let withheld = status.map(|status| status.withheld).unwrap_or_default();
                Some(End::NoArchive { withheld })
            }
            _ if phase(pod) == "Succeeded" => Some(End::Stopped),
            _ => self.broken(pod, time),
        };
        self.absent_since = None;
        end
    }

    /// Whether a plugin has fewer pods than running targets.
    pub(super) fn lacks_pods(&self) -> bool {
        let Some(status) = self.status() else { return false };
        let mut expected: BTreeMap<&str, usize> = BTreeMap::new();
        for row in status.rows().iter().filter(|row| row.status == plugin_status::RUNNING) {
            *expected.entry(&row.plugin).or_default() += folded_count(&row.node).unwrap_or(1);
        }
        for plugin in self.pods().filter_map(aggregator::plugin_of) {
            if let Some(number) = expected.get_mut(plugin) {
                *number = number.saturating_sub(1);
            }
        }
        expected.values().any(|number| *number > 0)
    }

    fn has_archive(&self, status: &RunStatus) -> bool {
        status.archive().is_some_and(|archive| self.identity.owns(archive))
    }

    fn broken(&self, pod: &Pod, time: Timestamp) -> Option<End> {
        let policy = Policy {
            settle: Duration::ZERO,
            replaced: restarts(pod),
            restarts: if self.reported { i32::MAX } else { 1 },
            ..Policy::job()
        };
        match judge::judge(&PodView::from(pod), time, &policy) {
            Verdict::Failing { message } => Some(End::Broken {
                why: message,
                is_created: true,
            }),
            Verdict::Fine | Verdict::Wait { .. } => None,
        }
    }
}

/// Whether failed containers are restarted. Sonobuoy's are not.
fn restarts(pod: &Pod) -> bool {
    let policy = pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref());
    policy != Some("Never")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Without an aggregator's pod, a run continues if its Deployment creates another pod.
    #[test]
    fn absent_aggregator_ends_the_run_unless_it_is_replaced() {
        let (soon, late) = (Duration::from_secs(59), REPLACED_WITHIN);
        let makes = AggregatorWorkload::Deployment(json!({"metadata": {"name": "sonobuoy"}}));
        let refused = AggregatorWorkload::Deployment(json!({"metadata": {}, "status": {"conditions": [
            {"type": "Available", "status": "False", "message": "m"},
            {"type": "ReplicaFailure", "status": "True", "message": "pods \"x\" is forbidden: exceeded quota."}]}}));
        let why = || {
            Some(End::Broken {
                why: "no pod can be created: pods \"x\" is forbidden: exceeded quota".to_owned(),
                is_created: false,
            })
        };
        let end_without_pod = |workload: AggregatorWorkload, seen, replaced, starts_run| {
            let run = FollowedRun {
                seen,
                replaced,
                workload,
                ..FollowedRun::default()
            };
            [soon, late].map(|absent_for| run.end_without_pod(starts_run, absent_for))
        };
        assert_eq!(
            end_without_pod(AggregatorWorkload::Unknown, false, false, false),
            [None, None]
        );
        assert_eq!(end_without_pod(makes, true, true, false), [None, None]);
        assert_eq!(end_without_pod(refused, false, false, true), [None, why()]);
        let none = |seen, starts_run| end_without_pod(AggregatorWorkload::None, seen, true, starts_run);
        assert_eq!(none(true, false), [Some(End::Deleted), Some(End::Deleted)]);
        assert_eq!(none(false, true), [Some(End::Deleted), Some(End::Deleted)]);
        assert_eq!(none(false, false), [Some(End::Absent), Some(End::Absent)]);
        // An account without permission to read the Deployment can only wait.
        assert_eq!(
            end_without_pod(AggregatorWorkload::Forbidden, false, false, true),
            [None, Some(End::Absent)]
        );
        assert_eq!(
            end_without_pod(AggregatorWorkload::Forbidden, true, true, false),
            [None, Some(End::Deleted)]
        );
        assert_eq!(
            end_without_pod(AggregatorWorkload::Forbidden, true, false, false),
            [Some(End::Deleted), Some(End::Deleted)]
        );
    }

    #[test]
    fn deployment_of_the_next_run_ends_the_wait() {
        let of = |uid: &str, id: &str| json!({"metadata": {"uid": uid}, "spec": {"template": {"metadata": {"annotations": {"sono-run-id": id}}}}});
        let mut run = FollowedRun::new(Identity::of_deployment(&of("1", "a")));
        run.apply(WatchEvent::Restarted(Vec::new()));
        let mut end = |deployment: Value| {
            run.apply_workload(Some(Ok(WatchEvent::Applied(deployment))));
            run.end(true, Timestamp::UNIX_EPOCH)
        };
        assert_eq!(end(of("1", "a")), None);
        assert_eq!(end(of("2", "b")), Some(End::Deleted));
    }

    #[test]
    fn deployment_being_deleted_makes_no_pods() {
        let mut run = FollowedRun::default();
        let deleted = json!({"metadata": {"deletionTimestamp": "2026-11-23T10:00:00Z"}});
        run.apply_workload(Some(Ok(WatchEvent::Applied(json!({"metadata": {}})))));
        assert!(matches!(run.workload, AggregatorWorkload::Deployment(_)));
        run.apply_workload(Some(Ok(WatchEvent::Applied(deleted))));
        assert!(matches!(run.workload, AggregatorWorkload::None));
    }
}
