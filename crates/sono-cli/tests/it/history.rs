//! `sono history`, and names of runs in the history in other commands.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    command,
    diff::{Test, write_run},
    finished, sono,
};

/// Adds a run with these tests to the history.
fn add(directory: &Path, number: usize, tests: &[Test<'_>]) {
    let name = format!("run{number}");
    write_run(&directory.join(&name), "v1.37.2", "x", tests);
    let config = json!({"UUID": format!("{number:04}aaaa-0000-4000-8000-000000000000")});
    fs_err::write(directory.join(&name).join("meta/config.json"), config.to_string()).unwrap();
    fs_err::write(
        directory.join(&name).join("meta/run.log"),
        format!("{{\"time\":\"2026-11-{number:02}T10:00:00Z\",\"msg\":\"x\",\"level\":\"info\"}}\n"),
    )
    .unwrap();
    let added = sono(directory, &["history", "add", &name]);
    assert_eq!((added.code, added.stdout.as_str()), (0, ""), "{}", added.stderr);
}

/// Six runs: one test passes, one is flaky, one is broken.
fn six_runs(directory: &Path) {
    for (number, [flaky, broken]) in ["pp", "fp", "pp", "pf", "pf", "ff"]
        .map(letters)
        .into_iter()
        .enumerate()
    {
        let test = |name, status| (name, status, if status == "failed" { "no answer" } else { "" });
        add(
            directory,
            number + 1,
            &[
                test("[It] steady", "passed"),
                test("[It] flaky", flaky),
                test("[It] broken", broken),
            ],
        );
    }
}

fn letters(text: &str) -> [&'static str; 2] {
    let word = |at| {
        if text.as_bytes()[at] == b'f' {
            "failed"
        } else {
            "passed"
        }
    };
    [word(0), word(1)]
}

#[test]
fn runs_are_listed_and_their_tests_are_judged() {
    let directory = tempfile::tempdir().unwrap();
    six_runs(directory.path());
    let stored = directory.path().join(".local/state/sono/history");
    let listed = sono(directory.path(), &["history", "list"]);
    assert_eq!(fs_err::read_dir(&stored).unwrap().count(), 8, "six cards, index, lock");
    let lines: Vec<&str> = listed.stdout.lines().collect();
    assert_eq!(lines.len(), 7, "{}", listed.stdout);
    assert_eq!(lines[0], "RUN       STARTED            KUBERNETES  CLUSTER  RESULTS");
    assert_eq!(
        lines[1],
        "0006aaaa  2026-11-06 10:00Z  v1.37.2     -        e2e failed (2 of 3)"
    );
    let flakes = sono(directory.path(), &["history", "flakes"]);
    assert_eq!(
        flakes.stdout,
        "6 runs, 3 tests: 1 flaky, 1 broken\n\n\
         flaky:\n  e2e  flaky\n    flaky: failed 2 of 6 runs (10–70 %)\n\n\
         broken:\n  e2e  broken\n    broken since 0004aaaa: failed in the last 3 runs\n"
    );
    let markdown = sono(directory.path(), &["history", "flakes", "-o", "markdown"]).stdout;
    assert!(
        markdown.contains("- broken: `broken`: broken since 0004aaaa: failed in the last 3 runs"),
        "{markdown}"
    );
    let shown = sono(directory.path(), &["history", "show", "flaky"]);
    assert_eq!(
        shown.stdout.lines().take(4).collect::<Vec<_>>(),
        [
            "e2e  flaky",
            "  flaky: failed 2 of 6 runs (10–70 %)",
            "  ✓✗✓✓✓✗  (the newest at the end)",
            "  ✗ 0006aaaa  2026-11-06 10:00Z  v1.37.2"
        ]
    );
    let json: Value =
        serde_json::from_str(&sono(directory.path(), &["history", "show", "flaky", "-o", "json"]).stdout).unwrap();
    assert_eq!(json[0]["verdict"], "flaky");
    assert_eq!(json[0]["outcomes"].as_array().unwrap().len(), 6);
    let exported = sono(directory.path(), &["history", "export", "-o", "csv"]).stdout;
    assert_eq!(exported.lines().count(), 1 + 18);
    assert!(
        exported.starts_with("run,time,cluster,kubernetes,plugin,id,test,outcome\n"),
        "{exported}"
    );
    let exported = sono(directory.path(), &["history", "export"]).stdout;
    let first: Value = serde_json::from_str(exported.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["test"], &first["outcome"]),
        (&json!("broken"), &json!("passed"))
    );
}

#[test]
fn runs_in_the_history_are_compared_by_name() {
    let directory = tempfile::tempdir().unwrap();
    six_runs(directory.path());
    // The second last run and the last one: the flaky test is known as flaky only in the other runs.
    let found = sono(directory.path(), &["diff", "latest~1", "latest"]);
    assert_eq!(
        (found.code, found.stdout.as_str(), found.stderr.as_str()),
        (
            0,
            "1 known flake, 1 still failing\n\nknown-flake:\n  e2e  flaky\n    no answer\n",
            ""
        )
    );
    let found = sono(directory.path(), &["diff", "latest~1", "latest", "--no-history"]);
    assert_eq!(found.code, 1, "{}", found.stderr);
    let found = sono(directory.path(), &["diff", "run5", "run6", "--no-history"]);
    assert_eq!(
        (found.code, found.stdout.lines().next()),
        (3, Some("1 regression, 1 still failing"))
    );
    // An archive with a run in the history.
    let found = sono(directory.path(), &["diff", "0003", "run4", "-o", "json"]);
    let json: Value = serde_json::from_str(&found.stdout).unwrap();
    assert_eq!(found.code, 3);
    assert_eq!(json["before"]["run"], "0003aaaa-0000-4000-8000-000000000000");
    assert_eq!(json["after"]["archive"], "run4");
    assert_eq!(json["changes"][0]["change"], "regression");
    for (name, error) in [
        ("latest~9", "error: no run in the history is `latest~9`\n"),
        ("00", "error: no such file or directory: 00\n"),
    ] {
        let found = sono(directory.path(), &["diff", name, "latest"]);
        assert_eq!(found.code, 1);
        assert!(found.stderr.starts_with(error), "{}", found.stderr);
    }
    let page = sono(directory.path(), &["diff", "latest~5", "latest", "-o", "html"]);
    assert_eq!(page.code, 3);
    for part in [
        "<!doctype html>",
        "default-src 'none'",
        "<code>broken</code>",
        "1 regression, 1 known flake",
    ] {
        assert!(page.stdout.contains(part), "{part}: {}", page.stdout);
    }
    assert!(!page.stdout.contains("<script"), "{}", page.stdout);
}

#[test]
fn failures_are_marked_with_what_an_earlier_run_says() {
    let directory = tempfile::tempdir().unwrap();
    six_runs(directory.path());
    let found = sono(directory.path(), &["results", "run6", "--since", "latest~1"]);
    assert_eq!(
        (found.code, found.stdout.as_str()),
        (
            0,
            "run 0006aaaa-0000-4000-8000-000000000000   failed\n\
             since run 0005aaaa: 1 known flake, 1 still failing\n\n\
             e2e       failed   3 run: 1 passed, 2 failed\n  \
             ✗ flaky   (known flaky: failed 1 of 5 runs (4–62 %))\n      no answer\n  \
             ✗ broken   (failed in 0005aaaa too)\n      no answer\n"
        ),
        "{}",
        found.stderr
    );
    // Names count from the run of the archive.
    let found = sono(
        directory.path(),
        &["results", "run4", "--since", "latest~1", "-o", "json"],
    );
    let json: Value = serde_json::from_str(&found.stdout).unwrap();
    assert_eq!(json["since"]["run"], "0003aaaa-0000-4000-8000-000000000000");
    let found = sono(
        directory.path(),
        &["results", "run4", "--since", "latest~1", "-o", "junit"],
    );
    assert_eq!(found.code, 1, "{}", found.stdout);
}

#[test]
fn local_runs_are_recorded_unless_the_history_is_off() {
    let directory = tempfile::tempdir().unwrap();
    let history = directory.path().join("history");
    let number = || {
        fs_err::read_dir(&history).map_or(0, |entries| {
            entries
                .filter(|entry| {
                    entry
                        .as_ref()
                        .unwrap()
                        .path()
                        .extension()
                        .is_some_and(|extension| extension == "gz")
                })
                .count()
        })
    };
    let run = |arguments: &[&str], variable: &str| {
        let mut run = command(directory.path());
        run.args(["run", "--local", "--quiet"]).args(arguments);
        if !variable.is_empty() {
            run.env("SONO_HISTORY", variable);
        }
        let output = finished(&run.output().unwrap());
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{arguments:?}");
    };
    let path = history.to_str().unwrap();
    run(&["--no-history"], "");
    run(&[], "off");
    assert!(!directory.path().join(".local").exists());
    run(&["--history", path], "");
    assert_eq!(number(), 1);
    run(&[], path);
    assert_eq!(number(), 2);
    run(&[], "");
    assert!(directory.path().join(".local/state/sono/history").is_dir());
    // A history that cannot be written is a warning.
    let file = directory.path().join("file");
    fs_err::write(&file, "").unwrap();
    let output = command(directory.path())
        .args(["run", "--local"])
        .env("SONO_HISTORY", file.join("history"))
        .output()
        .unwrap();
    let output = finished(&output);
    assert_eq!(output.code, 0);
    assert!(
        output.stderr.contains("warning: the run is not in the history: "),
        "{}",
        output.stderr
    );
}

/// A recorder that is killed at any moment leaves no torn card.
#[test]
fn killed_recorder_leaves_no_torn_card() {
    let directory = tempfile::tempdir().unwrap();
    six_runs(directory.path());
    let history = directory.path().join("killed");
    for kill in 0..24_u64 {
        let mut recorder: Command = command(directory.path());
        recorder.args([
            "history",
            "add",
            "run1",
            "run2",
            "run3",
            "run4",
            "run5",
            "run6",
            "--history",
        ]);
        let mut child = recorder
            .arg(&history)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The moment of the kill is the input of this test.
        std::thread::sleep(std::time::Duration::from_millis(kill * 4));
        child.kill().unwrap();
        child.wait().unwrap();
        let listed = sono(
            directory.path(),
            &["history", "list", "-o", "json", "--history", history.to_str().unwrap()],
        );
        assert_eq!(
            (listed.code, listed.stderr.as_str()),
            (0, ""),
            "killed after {} ms",
            kill * 4
        );
        let runs: Value = serde_json::from_str(&listed.stdout).unwrap();
        assert!(runs.as_array().unwrap().len() <= 6);
        if kill % 4 == 3 {
            fs_err::remove_dir_all(&history).ok();
        }
    }
}

#[test]
fn empty_or_missing_history_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let listed = sono(directory.path(), &["history", "list"]);
    assert_eq!((listed.code, listed.stdout.as_str()), (0, ""));
    assert!(
        listed.stderr.starts_with("no runs in the history `"),
        "{}",
        listed.stderr
    );
    let flakes = sono(directory.path(), &["history", "flakes"]);
    assert_eq!(flakes.code, 1);
    assert!(
        flakes.stderr.contains("hint:  add archives: sono history add ARCHIVE"),
        "{}",
        flakes.stderr
    );
    let off = command(directory.path())
        .args(["history", "list"])
        .env("SONO_HISTORY", "off")
        .output()
        .unwrap();
    let off = finished(&off);
    assert_eq!(off.code, 1);
    assert!(off.stderr.contains("there is no history"), "{}", off.stderr);
}

#[test]
fn old_runs_are_pruned() {
    let directory = tempfile::tempdir().unwrap();
    six_runs(directory.path());
    let pruned = sono(directory.path(), &["history", "prune", "--keep", "2"]);
    assert_eq!((pruned.code, pruned.stderr.as_str()), (0, "removed 4 runs\n"));
    let listed = sono(directory.path(), &["history", "list"]).stdout;
    assert_eq!(listed.lines().count(), 3, "{listed}");
}
