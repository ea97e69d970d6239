//! The Job driver: one bare pod, one result for the whole cluster.

use futures::{StreamExt as _, future::BoxFuture};
use sono_kube::{Kind, WatchEvent, judge::Policy};
use sono_manifest::Definition;
use sono_run::Failure;
use sono_types::{ResultKey, SessionId, Target, constants, error_chain};
use tokio::sync::mpsc;

use super::{
    events::Events,
    evidence::Evidence,
    objects::PluginObjects,
    watching::{Finding, Pods, final_check},
};
use crate::{
    backend::{BackendError, Driver, Launch, Report},
    clock::until,
};

pub(super) struct Job(pub(super) PluginObjects);

impl Driver for Job {
    fn definition(&self) -> &Definition {
        &self.0.definition
    }

    fn session(&self) -> &SessionId {
        &self.0.session
    }

    fn run<'a>(&'a self, launch: &'a Launch) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.0.create(launch, "Job", sono_manifest::pod))
    }

    fn monitor<'a>(&'a self, launch: &'a Launch, reports: mpsc::Sender<Report>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let shared = &self.0.shared;
            let key = ResultKey::new(self.0.definition.name.clone(), Target::Global);
            let policy = Policy::job();
            let mut events = std::pin::pin!(
                shared
                    .cluster
                    .watch_pod_views(&shared.config.namespace, &self.0.selector())
            );
            let mut pods = Pods::grace_until(launch.grace_until);
            let mut look_again = None;
            let mut events_of_pods = Events::default();
            let mut final_check = final_check(launch.deadline, (shared.clock)());
            loop {
                // The watch is polled by reference: no event is lost to another branch.
                let deleted = tokio::select! {
                    () = until(look_again, &shared.clock) => None,
                    () = until(final_check, &shared.clock) => {
                        final_check = None;
                        let now = (shared.clock)();
                        let events = events_of_pods.of_volumes(shared, &pods, now).await;
                        let seen = pods.last_seen(&events, now).into_values();
                        let seen = seen.map(|seen| (key.clone(), seen)).collect();
                        reports.send(Report::LastSeen(seen)).await.ok();
                        continue;
                    }
                    event = events.next() => match event {
                        Some(Ok(WatchEvent::Restarted(found))) => {
                            // It was created before the watch began, so it was deleted.
                            let gone = found.is_empty();
                            pods.restart(found);
                            gone.then(|| Failure::new(gone_message(None, None)))
                        }
                        Some(Ok(WatchEvent::Applied(pod))) => {
                            pods.apply(pod);
                            None
                        }
                        Some(Ok(WatchEvent::Deleted(pod))) => {
                            pods.delete(&pod);
                            let message = gone_message(Some(&pod.name), pod.node_or_intended().map(AsRef::as_ref));
                            Some(Evidence::new(shared).failure(message, &pod).await)
                        }
                        Some(Err(error)) => {
                            tracing::warn!(plugin_name = %key.plugin, error = error_chain(&error), "cannot watch the plugin's pod, retrying");
                            None
                        }
                        None => return,
                    },
                };
                shared.siblings.set(&key.plugin, pods.siblings());
                let now = (shared.clock)();
                let (mut findings, next) = pods.judge(now, &policy);
                let (unmounted, ask_again) = events_of_pods.judge(shared, &pods, now, &policy).await;
                findings.extend(unmounted);
                look_again = next.into_iter().chain(ask_again).min();
                let report = match (deleted, findings.into_iter().next()) {
                    (Some(failure), _) => Report::Failed(key.clone(), failure),
                    (None, Some(Finding { message, pod, .. })) => {
                        Evidence::new(shared).report(key.clone(), message, pod).await
                    }
                    (None, None) => continue,
                };
                // One report for one result. A closed channel means that the run has stopped waiting.
                reports.send(report).await.ok();
                return;
            }
        })
    }

    fn cleanup(&self) -> BoxFuture<'_, Result<(), BackendError>> {
        let grace = u32::try_from(constants::GRACEFUL_SHUTDOWN.as_secs()).unwrap_or(u32::MAX);
        Box::pin(self.0.remove(Kind::Pod, grace))
    }
}

fn gone_message(pod: Option<&str>, node: Option<&str>) -> String {
    let pod = pod.map_or_else(|| "the plugin's pod".to_owned(), |pod| format!("pod {pod}"));
    let node = node.map(|node| format!(" on node {node}")).unwrap_or_default();
    format!("{pod}{node} was deleted before it sent a result; see the namespace's Events for the cause, and run again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deleted_pod_is_named() {
        assert_eq!(
            gone_message(Some("p"), Some("n")),
            "pod p on node n was deleted before it sent a result; see the namespace's Events for the cause, and run again"
        );
    }
}
