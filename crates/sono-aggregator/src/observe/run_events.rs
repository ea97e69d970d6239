//! Run events: a few sentences for `kubectl describe` about the start, the failures and the end of a run. Pure; the backend
//! writes them.

use sono_run::Failure;
use sono_types::{PluginName, ResultKey, RunStatus, status::plugin_status};

use crate::backend::RunEvent;

/// Events of one kind that a process writes; any beyond are counted in a single event.
const MAX_EVENTS: usize = 20;

/// Creates the run events, and limits their number.
#[derive(Debug, Default)]
pub(crate) struct RunEvents {
    plugins: usize,
    failures: usize,
}

impl RunEvents {
    /// The run started; `resumed` is the time at which this process resumed it, if it is not the first.
    pub(crate) fn begun(uuid: &str, results: usize, resumed: Option<&str>) -> RunEvent {
        match resumed {
            None => RunEvent::new(
                "RunStarted",
                "",
                format!("run {uuid} started, expecting {}", count(results, "result")),
            ),
            Some(at) => RunEvent::new(
                "RunResumed",
                at,
                format!(
                    "run {uuid} resumed in a new process, expecting {}",
                    count(results, "result")
                ),
            ),
        }
    }

    pub(crate) fn started(&mut self, plugin: &PluginName, results: usize) -> Option<RunEvent> {
        self.plugins += 1;
        let message = format!("plugin {plugin} started, expecting {}", count(results, "result"));
        (self.plugins <= MAX_EVENTS).then(|| RunEvent::new("PluginStarted", plugin.to_string(), message))
    }

    pub(crate) fn failed(&mut self, key: &ResultKey, failure: &Failure) -> Option<RunEvent> {
        self.failures += 1;
        let message = format!("no result of {key}: {}", failure.message);
        (self.failures <= MAX_EVENTS).then(|| RunEvent::warning("ResultFailed", key.to_string(), message))
    }

    /// All results are stored or failed.
    pub(crate) fn collected(&self) -> Vec<RunEvent> {
        let beyond = self.failures.saturating_sub(MAX_EVENTS);
        let more = (beyond > 0).then(|| {
            let message = format!(
                "{} more failed; `sono status --show-all` lists them",
                count(beyond, "result")
            );
            RunEvent::warning("ResultsFailed", beyond.to_string(), message)
        });
        let done = RunEvent::new(
            "PostProcessing",
            "",
            "all plugins are done; querying the cluster and packing",
        );
        more.into_iter().chain([done]).collect()
    }

    /// The archive is sealed.
    pub(crate) fn complete(status: &RunStatus) -> RunEvent {
        let failed = failed_rows(status);
        let outcome = match failed {
            0 => "it contains every result".to_owned(),
            failed => format!("{failed} of {} results are error results", status.rows().len()),
        };
        let message = format!(
            "the archive {} is ready ({} bytes); {outcome}",
            status.tarball.name, status.tarball.size
        );
        RunEvent {
            is_warning: failed > 0,
            ..RunEvent::new("RunComplete", "", message)
        }
    }

    /// A write has been waiting for free disk space since `at`.
    pub(crate) fn disk_full(at: &str, why: &str) -> RunEvent {
        RunEvent::warning("VolumeFull", at, why)
    }

    /// There will be no archive.
    pub(crate) fn broken(why: &str) -> RunEvent {
        RunEvent::warning("RunFailed", why, format!("the run failed: {why}"))
    }
}

fn failed_rows(status: &RunStatus) -> usize {
    let failed = |row: &&sono_types::PluginStatus| row.status == plugin_status::FAILED;
    status.rows().iter().filter(failed).count()
}

fn count(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        number => format!("{number} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use sono_types::{NodeName, PluginStatus, TarInfo, Target};

    use super::*;

    fn plugin() -> PluginName {
        PluginName::parse("logs").unwrap()
    }

    #[test]
    fn run_event_has_one_sentence() {
        let mut run_events = RunEvents::default();
        let begun = RunEvents::begun("4b5b", 1, None);
        assert_eq!(begun.message, "run 4b5b started, expecting 1 result");
        assert_eq!(
            RunEvents::begun("4b5b", 3, Some("now")).message,
            "run 4b5b resumed in a new process, expecting 3 results"
        );
        assert_eq!(
            run_events.started(&plugin(), 2).unwrap().message,
            "plugin logs started, expecting 2 results"
        );
        let mut status = RunStatus {
            plugins: Some(vec![PluginStatus::default(), PluginStatus::default()]),
            tarball: TarInfo {
                name: "a.tar.gz".to_owned(),
                size: 7,
                ..TarInfo::default()
            },
            ..RunStatus::default()
        };
        assert_eq!(
            RunEvents::complete(&status),
            RunEvent::new(
                "RunComplete",
                "",
                "the archive a.tar.gz is ready (7 bytes); it contains every result"
            )
        );
        plugin_status::FAILED.clone_into(&mut status.plugins.as_mut().unwrap()[0].status);
        assert_eq!(
            RunEvents::complete(&status),
            RunEvent::warning(
                "RunComplete",
                "",
                "the archive a.tar.gz is ready (7 bytes); 1 of 2 results are error results"
            )
        );
    }

    #[test]
    fn failures_of_a_large_cluster_are_counted() {
        let mut run_events = RunEvents::default();
        let fail = |run_events: &mut RunEvents, number: usize| {
            let node = NodeName::parse(&format!("n{number}")).unwrap();
            run_events.failed(&ResultKey::new(plugin(), Target::Node(node)), &Failure::new("gone"))
        };
        let reported: Vec<RunEvent> = (0..1_000).filter_map(|number| fail(&mut run_events, number)).collect();
        assert_eq!(reported.len(), MAX_EVENTS);
        assert_eq!(
            reported[0],
            RunEvent::warning("ResultFailed", "logs/n0", "no result of logs/n0: gone")
        );
        let end: Vec<String> = run_events.collected().into_iter().map(|event| event.message).collect();
        assert_eq!(
            end,
            [
                "980 results more failed; `sono status --show-all` lists them",
                "all plugins are done; querying the cluster and packing"
            ]
        );
        assert_eq!(RunEvents::default().collected().len(), 1);
    }
}
