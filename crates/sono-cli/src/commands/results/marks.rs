//! Marks of failures: waivers, and what an earlier run and the history say.

use std::{collections::BTreeMap, path::Path};

use serde::Serialize;
use sono_analysis::{Change, Diff, Ledger, RunTests, TestChange, Verdict, compare, test_name};
use sono_bundle::Bundle;
use sono_history::{RunKind, RunReference, run_id};

use super::super::{
    cards, history, recording,
    waivers::{self, Judgement},
};
use crate::{
    args::{self, HistoryPlace},
    error::CliError,
    output::Printer,
    view::{
        archive::Marks,
        diff::{class_words, headline},
        history::{sentence, short},
    },
};

/// Marks of an archive.
#[derive(Debug, Default)]
pub(super) struct Marked {
    pub(super) marks: Marks,
    pub(super) judgement: Option<Judgement>,
    since: Option<Since>,
}

#[derive(Debug)]
struct Since {
    run: String,
    diff: Diff,
}

/// What to mark.
pub(super) struct MarkRequest<'a> {
    pub(super) plugin: Option<&'a str>,
    pub(super) since: Option<&'a str>,
    pub(super) waivers: Option<&'a Path>,
    pub(super) place: &'a HistoryPlace,
}

impl<'a> MarkRequest<'a> {
    pub(super) fn of(arguments: &'a args::Results) -> Self {
        Self {
            plugin: arguments.plugin.as_deref(),
            since: arguments.since.as_deref(),
            waivers: arguments.waivers.as_deref(),
            place: &arguments.place,
        }
    }

    /// Whether anything is to be marked.
    pub(super) fn is_any(&self) -> bool {
        self.since.is_some() || self.waivers.is_some()
    }
}

/// A waived failure in a document.
#[derive(Serialize)]
pub(super) struct WaivedDocument<'a> {
    plugin: &'a str,
    name: &'a str,
    waiver: &'a str,
}

/// What changed since an earlier run, in a document.
#[derive(Serialize)]
pub(super) struct SinceDocument<'a> {
    run: &'a str,
    changes: &'a [TestChange],
}

impl Marked {
    pub(super) fn of(bundle: &Bundle, request: &MarkRequest<'_>, printer: &Printer) -> Result<Self, CliError> {
        let mut marked = Self::default();
        if let Some(file) = request.waivers {
            let waivers = waivers::load(file)?;
            let mut judgement = Judgement::of(bundle, request.plugin, &waivers)?;
            marked.marks.notes.push(format!("waivers: {}", judgement.sentence()));
            marked.marks.waived = std::mem::take(&mut judgement.waived);
            marked.judgement = Some(judgement);
        }
        if let Some(reference) = request.since {
            marked.add_since(bundle, reference, request, printer)?;
        }
        Ok(marked)
    }

    fn add_since(
        &mut self,
        bundle: &Bundle,
        reference: &str,
        request: &MarkRequest<'_>,
        printer: &Printer,
    ) -> Result<(), CliError> {
        let reference: RunReference = reference
            .parse()
            .map_err(|error: sono_history::ReferenceError| CliError::new(error.to_string()))?;
        let store = recording::required(request.place)?;
        let mut entries = recording::list(&store, printer)?;
        let mut card = cards::of_archive(bundle)?;
        card.run.id = run_id(&card).map_err(|error| CliError::new("cannot read the card").caused_by(&error))?;
        // Names such as latest~1 count from this run, if it is in the history.
        if let Some(own) = entries.iter().position(|entry| entry.run == card.run.id) {
            entries.truncate(own + 1);
        }
        let cluster = card.cluster.id.as_str();
        let base = recording::find(&reference, &entries, Some(RunKind::of_card(&card)))?;
        let base_card = store
            .card(base)
            .map_err(|error| CliError::new("cannot read the run in the history").caused_by(&error))?;
        let ledger = history::of_cluster(&store, &entries, cluster, &card.run.id);
        let mut diff = compare(
            &RunTests::of_card(&base_card),
            &RunTests::of_card(&card),
            &ledger.flaky(),
        );
        if let Some(plugin) = request.plugin {
            diff.changes.retain(|change| change.plugin == plugin);
        }
        let run = short(&base.run);
        self.marks.notes.push(format!("since run {run}: {}", headline(&diff)));
        for change in &diff.changes {
            let Some(words) = words(change, run, &ledger) else {
                continue;
            };
            let name = test_name(&change.name);
            // A name with its suite ends with the name of the failure.
            let without_suite = name.rsplit_once('/').map(|(_, name)| name);
            for name in without_suite.into_iter().chain([name]) {
                self.marks
                    .since
                    .insert((change.plugin.clone(), name.to_owned()), words.clone());
            }
        }
        self.since = Some(Since {
            run: base.run.clone(),
            diff,
        });
        Ok(())
    }

    pub(super) fn waived_document(&self) -> Option<Vec<WaivedDocument<'_>>> {
        self.judgement.as_ref()?;
        let all = self.marks.waived.all();
        Some(
            all.map(|(plugin, name, waiver)| WaivedDocument { plugin, name, waiver })
                .collect(),
        )
    }

    pub(super) fn since_document(&self) -> Option<SinceDocument<'_>> {
        self.since.as_ref().map(|since| SinceDocument {
            run: &since.run,
            changes: &since.diff.changes,
        })
    }

    /// Status of a plugin without its waived failures.
    pub(super) fn status<'a>(&'a self, plugin: &str, status: &'a str) -> &'a str {
        self.judgement
            .as_ref()
            .map_or(status, |judgement| judgement.status(plugin, status))
    }
}

/// What the earlier run and the history say about a failure; `None` for a test that does not fail now.
fn words(change: &TestChange, run: &str, ledger: &Ledger) -> Option<String> {
    let history = || ledger.test(&change.plugin, &change.id).map(|test| test.history);
    let words = class_words(change.change, run)?;
    Some(match (change.change, history()) {
        (Change::KnownFlake, Some(history)) => format!("known {history}"),
        (_, Some(history)) if matches!(history.verdict, Verdict::Flaky | Verdict::Broken) => {
            format!("{words}; {}", sentence(&history))
        }
        _ => words,
    })
}

/// Statuses of plugins by name, without the waived failures.
pub(super) fn statuses(marked: Option<&Marked>, statuses: BTreeMap<String, String>) -> Vec<String> {
    statuses
        .into_iter()
        .map(|(plugin, status)| match marked {
            Some(marked) => marked.status(&plugin, &status).to_owned(),
            None => status,
        })
        .collect()
}
