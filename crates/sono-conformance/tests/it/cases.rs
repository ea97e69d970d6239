//! Cases of the judge: a change of a good submission, and the outcome in both modes. The first number is the bot's scenario:
//! 0 is what it checks before its scenarios, 16 a rule of strict mode only.

mod folders;
mod products;
mod tests;

use std::collections::BTreeMap;

use sono_conformance::{Judgement, Minor, Mode, RequiredTests, Submission, Verdict, judge};

use crate::submissions::good;

/// A case: scenario, name, change, outcome of the bot, outcome in strict mode. An outcome is the state and the violated rules.
pub(crate) struct Case(
    pub(crate) u8,
    pub(crate) &'static str,
    pub(crate) fn(&mut Submission),
    pub(crate) &'static str,
    pub(crate) &'static str,
);

pub(crate) fn all() -> Vec<&'static Case> {
    folders::CASES
        .iter()
        .chain(products::CASES)
        .chain(tests::CASES)
        .collect()
}

pub(crate) fn outcome(judgement: &Judgement) -> String {
    let mut text = judgement.state.to_string();
    let mut rules: Vec<&str> = Vec::new();
    for finding in &judgement.findings {
        if finding.verdict == Verdict::Failed && !rules.contains(&finding.rule) {
            rules.push(finding.rule);
        }
    }
    for rule in rules {
        text.push(' ');
        text.push_str(rule);
    }
    text
}

#[test]
fn cases_have_their_outcomes_in_both_modes() {
    let required = RequiredTests::embedded();
    let mut wrong = Vec::new();
    for Case(scenario, name, change, bot, strict) in all() {
        let mut submission = good();
        change(&mut submission);
        for (mode, expected) in [(Mode::Bot, bot), (Mode::Strict, strict)] {
            let found = outcome(&judge(&submission, &required, Minor::of(37), mode));
            if found != *expected {
                wrong.push(format!("{scenario} {name} {mode:?}: {found}, expected {expected}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_scenario_has_two_cases() {
    let mut counts: BTreeMap<u8, usize> = BTreeMap::new();
    for Case(scenario, ..) in all() {
        *counts.entry(*scenario).or_default() += 1;
    }
    assert_eq!(counts.keys().copied().collect::<Vec<_>>(), (0..=16).collect::<Vec<_>>());
    assert!(counts.values().all(|count| *count >= 2), "{counts:?}");
    assert!(all().len() >= 60, "{}", all().len());
}

#[test]
fn names_of_cases_are_unique() {
    let mut names: Vec<&str> = all().iter().map(|Case(_, name, ..)| *name).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
}

/// The labels of a good submission, and of one with a missing file, a missing test and a failed test.
#[test]
fn labels_are_those_of_the_bot() {
    let labels = |change: fn(&mut Submission)| {
        let mut submission = good();
        change(&mut submission);
        judge(&submission, &RequiredTests::embedded(), Minor::of(37), Mode::Bot).labels
    };
    assert_eq!(
        labels(|_| {}),
        [
            "conformance-product-submission",
            "tests-verified-v1.37",
            "no-failed-tests-v1.37",
            "release-v1.37",
            "release-documents-checked"
        ]
    );
    assert_eq!(
        labels(|submission| {
            use crate::submissions::{Change as _, cases, junit, passed, test_case};
            submission.remove("README.md");
            let cases = cases(37, |index, name| match index {
                0 => String::new(),
                1 => test_case(name, "<failure>x</failure>"),
                _ => passed(name),
            });
            submission.write("junit_01.xml", junit(&cases));
        }),
        [
            "conformance-product-submission",
            "missing-file-README.md",
            "required-tests-missing",
            "evidence-missing",
            "release-v1.37",
            "not-verifiable"
        ]
    );
}

/// Results without a folder: only rules about tests apply.
#[test]
fn results_of_an_archive_are_judged_without_a_folder() {
    let mut submission = good();
    submission
        .files
        .retain(|file| ["e2e.log", "junit_01.xml"].contains(&file.base()));
    submission.results_of = Some(Minor::of(37));
    let of = |submission: &Submission, mode| judge(submission, &RequiredTests::embedded(), Minor::of(37), mode);
    assert_eq!(outcome(&of(&submission, Mode::Bot)), "success");
    assert_eq!(outcome(&of(&submission, Mode::Strict)), "success");
    submission.results_of = Some(Minor::of(36));
    let judgement = of(&submission, Mode::Bot);
    assert_eq!(outcome(&judgement), "failure required-tests tests-passed");
    assert_eq!((judgement.required, judgement.missing.len()), (Some(446), 176 + 3));
}
