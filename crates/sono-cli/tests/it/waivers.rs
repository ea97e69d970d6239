//! Accepted failures.

use serde_json::{Value, json};

use crate::{diff::write_run, sono};

const FILE: &str = r#"waivers:
- id: known
  plugin: e2e
  test: "fails [Slow]"
  because: fixed in the next release
  owner: team
  until: 2999-01-01
  signature: "expected 1, got 2"
- id: unused
  plugin: e2e
  test: "is not there"
  because: x
  owner: team
  until: 2999-01-01
- id: passing
  plugin: e2e
  test: "works*"
  because: x
  owner: team
  until: 2026-01-01
"#;

fn world(failures: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mut tests = vec![("[It] works", "passed", "")];
    tests.extend(failures.iter().map(|(name, message)| (*name, "failed", *message)));
    write_run(&directory.path().join("run"), "v1.37.2", "x", &tests);
    fs_err::write(directory.path().join("w.yaml"), FILE).unwrap();
    directory
}

#[test]
fn waived_failures_do_not_decide_the_exit_code() {
    let directory = world(&[("[It] fails", "expected 1, got 3")]);
    let arguments = ["results", "run", "--exit-code", "--waivers", "w.yaml"];
    let found = sono(directory.path(), &arguments);
    assert_eq!(
        (found.code, found.stdout.as_str(), found.stderr.as_str()),
        (
            0,
            "run   passed\nwaivers: 1 failure is waived, 0 are not\n\n\
             e2e       passed   2 run: 1 passed, 1 failed, 1 of these waived\n  - fails   (waived: known)\n      expected 1, got 3\n",
            ""
        )
    );
    let json: Value = serde_json::from_str(
        &sono(
            directory.path(),
            &["results", "run", "--waivers", "w.yaml", "-o", "json"],
        )
        .stdout,
    )
    .unwrap();
    assert_eq!(
        json["waived"],
        json!([{"plugin": "e2e", "name": "fails", "waiver": "known"}])
    );
    assert_eq!(
        (&json["status"], &json["plugins"][0]["status"]),
        (&json!("passed"), &json!("passed"))
    );
    let markdown = sono(
        directory.path(),
        &["results", "run", "--waivers", "w.yaml", "-o", "markdown"],
    )
    .stdout;
    assert!(markdown.contains("- e2e: ~~`fails`~~   (waived: known)"), "{markdown}");
    assert_eq!(sono(directory.path(), &["results", "run", "--exit-code"]).code, 3);
}

#[test]
fn waiver_covers_neither_another_failure_nor_another_test() {
    for failures in [
        &[("[It] fails", "connection refused")][..],
        &[("[It] fails", "expected 1, got 3"), ("[It] also", "expected 1, got 3")],
    ] {
        let directory = world(failures);
        let found = sono(
            directory.path(),
            &["results", "run", "--exit-code", "--waivers", "w.yaml"],
        );
        assert_eq!(found.code, 3, "{failures:?}: {}", found.stdout);
    }
}

#[test]
fn unneeded_and_expired_waivers_are_findings() {
    let directory = world(&[("[It] fails", "expected 1, got 3")]);
    let found = sono(directory.path(), &["waivers", "lint", "w.yaml"]);
    assert_eq!(
        (found.code, found.stdout.as_str(), found.stderr.as_str()),
        (
            3,
            "LINE  WAIVER   FINDING\n15    passing  expired on 2026-01-01; owner: team\n",
            "w.yaml: 3 waivers, 1 finding\n"
        )
    );
    let found = sono(directory.path(), &["waivers", "unused", "w.yaml", "run"]);
    assert_eq!(
        (found.code, found.stdout.as_str()),
        (
            3,
            "LINE  WAIVER   FINDING\n9     unused   unused: no test of these runs matches it\n\
             15    passing  now passing: all its tests passed\n15    passing  expired on 2026-01-01; owner: team\n"
        )
    );
    let json: Value =
        serde_json::from_str(&sono(directory.path(), &["waivers", "unused", "w.yaml", "run", "-o", "json"]).stdout)
            .unwrap();
    assert_eq!(json["problems"][0]["kind"], "unused");
    // Without archives, the runs in the history.
    let found = sono(directory.path(), &["waivers", "unused", "w.yaml"]);
    assert_eq!(found.code, 1, "{}", found.stderr);
    assert_eq!(sono(directory.path(), &["history", "add", "run"]).code, 0);
    assert_eq!(sono(directory.path(), &["waivers", "unused", "w.yaml"]).code, 3);
}

#[test]
fn invalid_file_is_refused_with_positions() {
    let directory = world(&[]);
    fs_err::write(directory.path().join("w.yaml"), "waivers:\n- id: a\n  plugin: e2e\n").unwrap();
    for arguments in [
        &["waivers", "lint", "w.yaml"][..],
        &["results", "run", "--waivers", "w.yaml"],
    ] {
        let found = sono(directory.path(), arguments);
        assert_eq!((found.code, found.stdout.as_str()), (1, ""));
        assert!(
            found
                .stderr
                .starts_with("error: invalid waivers in `w.yaml`\n  line 2, column "),
            "{}",
            found.stderr
        );
    }
    let found = sono(
        directory.path(),
        &["results", "run", "--waivers", "w.yaml", "-o", "junit"],
    );
    assert!(
        found.stderr.starts_with("error: --since and --waivers require a table"),
        "{}",
        found.stderr
    );
}
