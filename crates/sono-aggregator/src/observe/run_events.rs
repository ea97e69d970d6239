//! The run as a few sentences, for whoever looks with `kubectl describe`: what began, what failed, how it ended. Pure; how
//! they are told is the site's affair.

use sono_run::Failure;
use sono_types::{PluginName, ResultKey, RunStatus, status::plugin_status};

use crate::backend::Note;

/// Sentences of one kind that a process tells; what is beyond is counted and told as one.
const MOST: usize = 20;

/// Makes the notes and keeps them few.
#[derive(Debug, Default)]
pub(crate) struct Story {
    plugins: usize,
    failures: usize,
}

impl Story {
    /// The run begins; `resumed` is when this process took it up, if it is not the first.
    pub(crate) fn begun(uuid: &str, results: usize, resumed: Option<&str>) -> Note {
        match resumed {
            None => Note::new(
                "RunStarted",
                "",
                format!("run {uuid} waits for {}", count(results, "result")),
            ),
            Some(at) => Note::new(
                "RunTakenUp",
                at,
                format!(
                    "run {uuid} goes on in a new process, with {} in all",
                    count(results, "result")
                ),
            ),
        }
    }

    pub(crate) fn started(&mut self, plugin: &PluginName, results: usize) -> Option<Note> {
        self.plugins += 1;
        let message = format!("plugin {plugin} is started, and {} waited for", is_or_are(results));
        (self.plugins <= MOST).then(|| Note::new("PluginStarted", plugin.to_string(), message))
    }

    pub(crate) fn failed(&mut self, key: &ResultKey, failure: &Failure) -> Option<Note> {
        self.failures += 1;
        let message = format!("no result of {key}: {}", failure.message);
        (self.failures <= MOST).then(|| Note::warning("ResultFailed", key.to_string(), message))
    }

    /// All results are in or failed.
    pub(crate) fn collected(&self) -> Vec<Note> {
        let beyond = self.failures.saturating_sub(MOST);
        let more = (beyond > 0).then(|| {
            let message = format!(
                "{} more failed; `sono status --full` names them",
                count(beyond, "result")
            );
            Note::warning("ResultsFailed", beyond.to_string(), message)
        });
        let done = Note::new(
            "PostProcessing",
            "",
            "all plugins are done; querying the cluster and packing",
        );
        more.into_iter().chain([done]).collect()
    }

    /// The archive is sealed.
    pub(crate) fn complete(status: &RunStatus) -> Note {
        let failed = failed_rows(status);
        let outcome = match failed {
            0 => "every result is in it".to_owned(),
            failed => format!("{failed} of {} results are errors in it", status.rows().len()),
        };
        let message = format!(
            "the archive {} is ready ({} bytes); {outcome}",
            status.tarball.name, status.tarball.size
        );
        Note {
            is_warning: failed > 0,
            ..Note::new("RunComplete", "", message)
        }
    }

    /// Something that has to be written waits, since `at`.
    pub(crate) fn no_room(at: &str, why: &str) -> Note {
        Note::warning("VolumeFull", at, why)
    }

    /// There will be no archive.
    pub(crate) fn broken(why: &str) -> Note {
        Note::warning("RunFailed", why, format!("the run failed: {why}"))
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

fn is_or_are(results: usize) -> String {
    let verb = if results == 1 { "is" } else { "are" };
    format!("{} {verb}", count(results, "result"))
}

#[cfg(test)]
mod tests {
    use sono_types::{NodeName, PluginStatus, TarInfo, Target};

    use super::*;

    fn plugin() -> PluginName {
        PluginName::parse("logs").unwrap()
    }

    #[test]
    fn what_is_told_is_one_sentence_each() {
        let mut story = Story::default();
        let begun = Story::begun("4b5b", 1, None);
        assert_eq!(begun.message, "run 4b5b waits for 1 result");
        assert_eq!(
            Story::begun("4b5b", 3, Some("now")).message,
            "run 4b5b goes on in a new process, with 3 results in all"
        );
        assert_eq!(
            story.started(&plugin(), 2).unwrap().message,
            "plugin logs is started, and 2 results are waited for"
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
            Story::complete(&status),
            Note::new(
                "RunComplete",
                "",
                "the archive a.tar.gz is ready (7 bytes); every result is in it"
            )
        );
        plugin_status::FAILED.clone_into(&mut status.plugins.as_mut().unwrap()[0].status);
        assert_eq!(
            Story::complete(&status),
            Note::warning(
                "RunComplete",
                "",
                "the archive a.tar.gz is ready (7 bytes); 1 of 2 results are errors in it"
            )
        );
    }

    #[test]
    fn failures_of_a_large_cluster_are_counted() {
        let mut story = Story::default();
        let fail = |story: &mut Story, number: usize| {
            let node = NodeName::parse(&format!("n{number}")).unwrap();
            story.failed(&ResultKey::new(plugin(), Target::Node(node)), &Failure::new("gone"))
        };
        let told: Vec<Note> = (0..1_000).filter_map(|number| fail(&mut story, number)).collect();
        assert_eq!(told.len(), MOST);
        assert_eq!(
            told[0],
            Note::warning("ResultFailed", "logs/n0", "no result of logs/n0: gone")
        );
        let end: Vec<String> = story.collected().into_iter().map(|note| note.message).collect();
        assert_eq!(
            end,
            [
                "980 results more failed; `sono status --full` names them",
                "all plugins are done; querying the cluster and packing"
            ]
        );
        assert_eq!(Story::default().collected().len(), 1);
    }
}
