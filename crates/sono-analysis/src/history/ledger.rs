//! Outcomes of all tests over several runs, from the cards of the runs.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Counts, MAX_RUNS, Observation, Outcome, TestHistory, Verdict, regressions};
use crate::{card::Card, identity::TestId, limits, verdicts::TestStatus};

/// Number of newest runs that are compared with the earlier ones.
const RECENT_RUNS: usize = 10;

/// Outcomes of tests over several runs.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Ids of the runs, the oldest first.
    runs: Vec<String>,
    plugins: BTreeMap<String, PluginLedger>,
    tests: usize,
    /// Number of outcomes that are left out, because there are too many tests.
    pub left_out: u64,
}

#[derive(Debug, Default)]
struct PluginLedger {
    /// Identities by full name.
    ids: HashMap<String, TestId>,
    tests: BTreeMap<TestId, Outcomes>,
}

#[derive(Debug, Default)]
struct Outcomes {
    /// Name in the newest run.
    name: String,
    /// Outcomes by the position of the run.
    outcomes: Vec<(usize, Outcome)>,
}

/// A test with its outcomes.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedTest<'a> {
    /// Plugin.
    pub plugin: &'a str,
    /// Identity.
    pub id: &'a TestId,
    /// Name in the newest run.
    pub name: &'a str,
    /// Outcomes, the oldest first.
    pub observations: Vec<Observation<'a>>,
    /// Judgement.
    pub history: TestHistory,
}

impl Ledger {
    /// Adds a run, which is newer than those before.
    pub fn add(&mut self, card: &Card) {
        let run = self.runs.len();
        self.runs.push(card.run.id.clone());
        for of_card in &card.plugins {
            let plugin = self.plugins.entry(of_card.name.clone()).or_default();
            if !of_card.tests.iter().all(|name| plugin.ids.contains_key(name)) {
                plugin.ids.extend(of_card.tests.iter().cloned().zip(of_card.ids()));
            }
            let mut infrastructure = BTreeSet::new();
            for failure in &of_card.failures {
                if failure.class.is_some_and(crate::rules::Class::is_infrastructure) {
                    infrastructure.insert(failure.test);
                }
            }
            for (at, (name, verdict)) in of_card.tests.iter().zip(of_card.verdicts()).enumerate() {
                let outcome = match verdict {
                    TestStatus::Passed => Outcome::Passed,
                    _ if !verdict.is_failed() => continue,
                    _ if infrastructure.contains(&at) => Outcome::Infrastructure,
                    _ => Outcome::Failed,
                };
                let Some(id) = plugin.ids.get(name) else { continue };
                if !plugin.tests.contains_key(id) {
                    if self.tests >= limits::LEDGER_TESTS {
                        self.left_out += 1;
                        continue;
                    }
                    self.tests += 1;
                    plugin.tests.insert(id.clone(), Outcomes::default());
                }
                if let Some(test) = plugin.tests.get_mut(id) {
                    test.add(run, name, outcome);
                }
            }
        }
    }

    /// Number of runs.
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    /// All tests, by plugin and name.
    pub fn tests(&self) -> Vec<RecordedTest<'_>> {
        let plugins = self.plugins.iter();
        let tests = plugins.flat_map(|(plugin, ledger)| ledger.tests.iter().map(move |(id, test)| (plugin, id, test)));
        let mut tests: Vec<RecordedTest<'_>> = tests
            .map(|(plugin, id, test)| self.recorded(plugin, id, test))
            .collect();
        tests.sort_by_key(|test| (test.plugin, test.name, test.id));
        tests
    }

    /// Tests with this name or id, or else those whose name contains the text, in any case.
    pub fn find(&self, text: &str) -> Vec<RecordedTest<'_>> {
        let is_exact =
            |id: &TestId, test: &Outcomes| test.name == text || id.to_string() == text || test.plain() == text;
        let exact = self.selected(&is_exact);
        if !exact.is_empty() {
            return exact;
        }
        let lower = text.to_lowercase();
        self.selected(&|_, test| test.name.to_lowercase().contains(&lower))
    }

    fn selected(&self, is_selected: &dyn Fn(&TestId, &Outcomes) -> bool) -> Vec<RecordedTest<'_>> {
        let mut found = Vec::new();
        for (plugin, ledger) in &self.plugins {
            let tests = ledger.tests.iter().filter(|(id, test)| is_selected(id, test));
            found.extend(tests.map(|(id, test)| self.recorded(plugin, id, test)));
        }
        found
    }

    /// The test of a plugin with this identity.
    pub fn test(&self, plugin: &str, id: &TestId) -> Option<RecordedTest<'_>> {
        let (plugin, ledger) = self.plugins.get_key_value(plugin)?;
        let (id, test) = ledger.tests.get_key_value(id)?;
        Some(self.recorded(plugin, id, test))
    }

    /// Identities of the flaky tests.
    pub fn flaky(&self) -> BTreeSet<TestId> {
        let flaky = self
            .tests()
            .into_iter()
            .filter(|test| test.history.verdict == Verdict::Flaky);
        flaky.map(|test| test.id.clone()).collect()
    }

    /// Identities of the tests that failed more often in the last ten runs than before, by Fisher's exact test, corrected for the
    /// number of tests. Empty with fewer than 20 runs.
    pub fn fail_more_often(&self) -> BTreeSet<TestId> {
        let Some(first_recent) = self
            .runs
            .len()
            .checked_sub(RECENT_RUNS)
            .filter(|before| *before >= RECENT_RUNS)
        else {
            return BTreeSet::new();
        };
        let tests: Vec<(&TestId, &Outcomes)> = self.plugins.values().flat_map(|plugin| &plugin.tests).collect();
        let counts = |test: &Outcomes, is_counted: &dyn Fn(usize) -> bool| {
            let judged = test
                .outcomes
                .iter()
                .filter(|(run, outcome)| *outcome != Outcome::Infrastructure && is_counted(*run));
            let failed = judged.clone().filter(|(_, outcome)| *outcome == Outcome::Failed);
            Counts::new(failed.count(), judged.count())
        };
        let pairs: Vec<(Counts, Counts)> = tests
            .iter()
            .map(|(_, test)| {
                (
                    counts(test, &|run| run < first_recent),
                    counts(test, &|run| run >= first_recent),
                )
            })
            .collect();
        let found = tests
            .iter()
            .zip(regressions(&pairs))
            .filter(|(_, is_regression)| *is_regression);
        found.map(|((id, _), _)| (*id).clone()).collect()
    }

    fn recorded<'a>(&'a self, plugin: &'a str, id: &'a TestId, test: &'a Outcomes) -> RecordedTest<'a> {
        let observations: Vec<Observation<'a>> = test
            .outcomes
            .iter()
            .map(|(run, outcome)| Observation {
                run: self.runs.get(*run).map(String::as_str).unwrap_or_default(),
                outcome: *outcome,
            })
            .collect();
        RecordedTest {
            plugin,
            id,
            name: &test.name,
            history: TestHistory::of(&observations),
            observations,
        }
    }
}

impl Outcomes {
    fn add(&mut self, run: usize, name: &str, outcome: Outcome) {
        if self.name != name {
            name.clone_into(&mut self.name);
        }
        match self.outcomes.last_mut() {
            // Two tests with one identity: the worse outcome counts.
            Some((last, before)) if *last == run => {
                if *before == Outcome::Passed {
                    *before = outcome;
                }
            }
            _ => self.outcomes.push((run, outcome)),
        }
        if self.outcomes.len() > MAX_RUNS {
            self.outcomes.remove(0);
        }
    }

    /// The name without the prefix of Ginkgo.
    fn plain(&self) -> &str {
        crate::verdicts::test_name(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        card::{CardFailure, CardPlugin},
        rules::Class,
    };

    /// A card with tests `a`, `b`, … and their letters.
    fn card(run: &str, letters: &str) -> Card {
        let failures = letters.chars().enumerate().filter(|(_, letter)| "fi".contains(*letter));
        let failures = failures.map(|(test, letter)| CardFailure {
            test,
            class: (letter == 'i').then_some(Class::Dns),
            ..CardFailure::default()
        });
        let plugin = CardPlugin {
            name: "e2e".to_owned(),
            tests: ('a'..)
                .take(letters.len())
                .map(|name| format!("[It] test {name} [Slow]"))
                .collect(),
            statuses: letters.replace('i', "f"),
            failures: failures.collect(),
            ..CardPlugin::default()
        };
        let mut card = Card {
            plugins: vec![plugin],
            ..Card::default()
        };
        card.run.id = run.to_owned();
        card
    }

    fn ledger(runs: &[&str]) -> Ledger {
        let mut ledger = Ledger::default();
        for (number, letters) in runs.iter().enumerate() {
            ledger.add(&card(&format!("r{number}"), letters));
        }
        ledger
    }

    #[test]
    fn tests_are_judged_over_runs() {
        let ledger = ledger(&["ppfp", "pffi", "ppfp", "pufp", "ppfp", "ppfp"]);
        let judged: Vec<String> = ledger
            .tests()
            .iter()
            .map(|test| format!("{}: {}", test.name, test.history))
            .collect();
        assert_eq!(
            judged,
            [
                "[It] test a [Slow]: passed all 6 runs",
                "[It] test b [Slow]: flaky: failed 1 of 5 runs (4–62 %)",
                "[It] test c [Slow]: broken since r0: failed in the last 6 runs",
                "[It] test d [Slow]: passed all 5 runs; one failure of the cluster is not counted",
            ]
        );
        assert_eq!(ledger.flaky(), BTreeSet::from([TestId::of("e2e", "test b")]));
    }

    #[test]
    fn test_is_found_by_name_id_or_part() {
        let ledger = ledger(&["pp"]);
        let names = |text: &str| -> Vec<String> { ledger.find(text).iter().map(|test| test.name.to_owned()).collect() };
        let only_b = vec!["[It] test b [Slow]".to_owned()];
        assert_eq!(names("TEST B"), only_b);
        assert_eq!(names("test b [Slow]"), only_b);
        assert_eq!(names(&TestId::of("e2e", "test b").to_string()), only_b);
        assert_eq!(names("test").len(), 2);
        assert_eq!(names("none"), Vec::<String>::new());
    }

    #[test]
    fn test_with_moved_tags_is_one_test() {
        let mut ledger = ledger(&["p"]);
        let mut moved = card("r1", "f");
        moved.plugins[0].tests = vec!["[Slow] test a".to_owned()];
        ledger.add(&moved);
        let tests = ledger.tests();
        assert_eq!(
            (tests.len(), tests[0].name, tests[0].observations.len()),
            (1, "[Slow] test a", 2)
        );
    }

    #[test]
    fn tests_that_fail_more_often_are_found_from_twenty_runs_on() {
        let mut runs = vec!["pp"; 19];
        assert_eq!(ledger(&runs).fail_more_often(), BTreeSet::new());
        runs.extend(["pf"; 6]);
        let found = ledger(&runs).fail_more_often();
        assert_eq!(found, BTreeSet::from([TestId::of("e2e", "test b")]));
    }
}
