use super::*;

fn test(name: &str, status: &str, message: &str) -> TestRun {
    TestRun {
        name: name.to_owned(),
        status: status.to_owned(),
        message: message.to_owned(),
        ..TestRun::default()
    }
}

fn run(tests: Vec<TestRun>) -> RunTests {
    let tests = PluginTests {
        scope: BTreeMap::from([("E2E_FOCUS".to_owned(), "x".to_owned())]),
        tests,
    };
    RunTests {
        plugins: BTreeMap::from([("e2e".to_owned(), tests)]),
    }
}

fn classes(diff: &Diff) -> Vec<(Change, usize)> {
    let counts = Change::ALL.map(|change| (change, diff.count(change)));
    counts.into_iter().filter(|(_, count)| *count > 0).collect()
}

/// Class and reason of the only change.
fn only(before: &TestRun, after: &TestRun) -> Option<(Change, String)> {
    let diff = compare(&run(vec![before.clone()]), &run(vec![after.clone()]), &BTreeSet::new());
    assert_eq!(diff.changes.len() + diff.unchanged, 1);
    diff.changes
        .into_iter()
        .next()
        .map(|change| (change.change, change.reason))
}

/// A run of 400 tests with 50 failures; passed tests that change are chosen by a step.
fn suite() -> Vec<TestRun> {
    (0..400)
        .map(|number| {
            let name = format!("[sig-x] test {number} works [NodeConformance] [Conformance]");
            if number % 8 == 0 {
                test(&name, "failed", "timed out after 300.001s for pod-7f9c4")
            } else {
                test(&name, "passed", "")
            }
        })
        .collect()
}

#[test]
fn equal_runs_differ_in_nothing_but_known_failures() {
    let mut tests = suite();
    // Numbers in messages do not count.
    let before = run(tests.clone());
    for test in &mut tests {
        test.message = test.message.replace("300.001", "12").replace("7f9c4", "xkwzt");
        test.seconds = Some(5.0);
    }
    let diff = compare(&before, &run(tests), &BTreeSet::new());
    assert_eq!(
        (classes(&diff), diff.unchanged),
        (vec![(Change::StillFailing, 50)], 350)
    );
}

/// 20 regressions, 5 fixed, 3 new, 2 removed, 1 renamed by the order of tags.
#[test]
fn seeded_edits_have_exact_classes() {
    for seed in 0..20_usize {
        let before = suite();
        let mut after = before.clone();
        let mut passed: Vec<usize> = (0..400).filter(|number| number % 8 != 0).collect();
        passed.rotate_left(seed * 17);
        for number in passed.drain(..20) {
            after[number].status = "failed".to_owned();
            after[number].message = "expected 1, got 2".to_owned();
        }
        for number in (0..400).filter(|number| number % 8 == 0).skip(seed).take(5) {
            after[number].status = "passed".to_owned();
        }
        let renamed = passed[0];
        after[renamed].name = format!("[It] [sig-x] test {renamed} works [Conformance] [NodeConformance]");
        let removed = [after[passed[1]].name.clone(), after[passed[2]].name.clone()];
        after.retain(|test| !removed.contains(&test.name));
        after.extend((0..3).map(|number| test(&format!("[sig-x] new {number}"), "passed", "")));
        let diff = compare(&run(before), &run(after), &BTreeSet::new());
        let expected = [
            (Change::Regression, 20),
            (Change::StillFailing, 45),
            (Change::Fixed, 5),
            (Change::New, 3),
            (Change::Removed, 2),
        ];
        assert_eq!(classes(&diff), expected, "seed {seed}");
        let found: BTreeSet<&String> = (diff.changes.iter())
            .filter(|change| change.change == Change::Removed)
            .map(|change| &change.name)
            .collect();
        assert_eq!(found, removed.iter().collect());
    }
}

#[test]
fn statuses_and_reasons_decide_the_class() {
    let passed = test("a", "passed", "");
    let failed = test("a", "failed", "refused after 1s");
    let with_cause = |class: Class| TestRun {
        cause: Some((class, "Cause".to_owned())),
        ..failed.clone()
    };
    let reason = || "refused after …s".to_owned();
    let cause = || "Cause".to_owned();
    for (before, after, expected) in [
        (&passed, &passed, None),
        (&passed, &failed, Some((Change::Regression, reason()))),
        (
            &passed,
            &test("a", "timeout", "x"),
            Some((Change::Regression, "x".to_owned())),
        ),
        (&failed, &passed, Some((Change::Fixed, reason()))),
        (
            &failed,
            &test("a", "failed", "refused after 9s"),
            Some((Change::StillFailing, reason())),
        ),
        (
            &failed,
            &test("a", "failed", "x"),
            Some((Change::FailsDifferently, "x".to_owned())),
        ),
        (
            &failed,
            &with_cause(Class::Dns),
            Some((Change::FailsDifferently, cause())),
        ),
        (
            &passed,
            &with_cause(Class::Dns),
            Some((Change::Infrastructure, cause())),
        ),
        (
            &passed,
            &with_cause(Class::Product),
            Some((Change::Regression, cause())),
        ),
        (
            &passed,
            &test("a", "skipped", ""),
            Some((Change::Incomparable, "skipped in the second run".to_owned())),
        ),
        (
            &test("a", "unknown", ""),
            &failed,
            Some((Change::Incomparable, "unknown in the first run".to_owned())),
        ),
        (&test("a", "skipped", ""), &test("a", "skipped", ""), None),
    ] {
        assert_eq!(only(before, after), expected, "{before:?} {after:?}");
    }
}

#[test]
fn flaky_test_is_a_known_flake_unless_the_cluster_is_the_cause() {
    let flaky = BTreeSet::from([TestId::of("e2e", "a")]);
    let mut failed = test("a", "failed", "x");
    let change = |failed: &TestRun| {
        let before = run(vec![test("a", "passed", "")]);
        classes(&compare(&before, &run(vec![failed.clone()]), &flaky))
    };
    assert_eq!(change(&failed), [(Change::KnownFlake, 1)]);
    failed.cause = Some((Class::Node, "Cause".to_owned()));
    assert_eq!(change(&failed), [(Change::Infrastructure, 1)]);
}

#[test]
fn absent_test_of_another_scope_is_incomparable() {
    let before = run(vec![
        test("a", "passed", ""),
        test("b", "passed", ""),
        test("s", "skipped", ""),
    ]);
    let mut after = run(vec![test("a", "failed", "x"), test("c", "failed", "x")]);
    let flaky = BTreeSet::new();
    let same = compare(&before, &after, &flaky);
    assert_eq!(
        classes(&same),
        [(Change::Regression, 1), (Change::NewFailure, 1), (Change::Removed, 1)]
    );
    after.plugins.get_mut("e2e").unwrap().scope.clear();
    let other = compare(&before, &after, &flaky);
    assert_eq!(classes(&other), [(Change::Regression, 1), (Change::Incomparable, 2)]);
    assert_eq!(other.changes[1].reason, "another E2E_FOCUS");
    // A plugin that only one run has.
    let other = compare(&before, &RunTests::default(), &flaky);
    assert_eq!(classes(&other), [(Change::Incomparable, 2)]);
    assert_eq!(
        compare(&RunTests::default(), &RunTests::default(), &flaky),
        Diff::default()
    );
}

#[test]
fn test_on_a_node_of_one_run_is_incomparable() {
    let on = |node: &str, name: &str| TestRun {
        node: Some(node.to_owned()),
        ..test(name, "passed", "")
    };
    let before = run(vec![on("n1", "a"), on("n1", "b"), on("n2", "a")]);
    let after = run(vec![on("n1", "a"), on("n3", "a")]);
    let diff = compare(&before, &after, &BTreeSet::new());
    assert_eq!(
        (classes(&diff), diff.unchanged),
        (vec![(Change::Incomparable, 2), (Change::Removed, 1)], 1)
    );
}

#[test]
fn worst_result_of_a_repeated_test_counts() {
    let before = run(vec![test("a", "passed", "")]);
    let after = run(vec![
        test("a", "skipped", ""),
        test("a", "failed", "x"),
        test("a", "passed", ""),
    ]);
    assert_eq!(
        classes(&compare(&before, &after, &BTreeSet::new())),
        [(Change::Regression, 1)]
    );
}

#[test]
fn much_longer_test_is_slower() {
    let taking = |seconds: f64| TestRun {
        seconds: Some(seconds),
        ..test("a", "passed", "")
    };
    assert_eq!(
        only(&taking(5.0), &taking(16.0)),
        Some((Change::Slower, "16 s, before 5 s".to_owned()))
    );
    assert_eq!(only(&taking(5.0), &taking(14.9)), None);
    assert_eq!(only(&taking(1.0), &taking(10.9)), None);
    assert_eq!(only(&taking(1.0), &test("a", "passed", "")), None);
}
