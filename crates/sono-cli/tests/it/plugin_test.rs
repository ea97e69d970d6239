//! `sono plugin test`: runs plugins as processes and checks the contract.

use std::path::Path;

use serde_json::{Value, json};

use crate::{Finished, command, finished};

fn test(directory: &Path, arguments: &[&str]) -> Finished {
    let output = command(directory)
        .env("PATH", "/usr/bin:/bin")
        .args(["plugin", "test"])
        .args(arguments)
        .output()
        .unwrap();
    finished(&output)
}

/// A Job plugin that runs this script, with JUnit results.
fn script(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "sonobuoy-config:\n  driver: Job\n  plugin-name: mine\n  result-format: junit\nspec:\n  name: c\n  image: i\n  command: [/bin/sh, -c]\n  args:\n  - |\n{}",
        lines.concat()
    )
}

const RESULT: &str =
    "cd $SONOBUOY_RESULTS_DIR\necho '<testsuite name=\"s\"><testcase name=\"a\"/></testsuite>' > j.xml\n";

/// All points that are not good, with their outcome and detail.
fn faults(text: &str, more: &[&str]) -> (i32, Vec<(String, String, String)>) {
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("p.yaml"), text).unwrap();
    let finished = test(directory.path(), &[&["p.yaml", "-o", "json"], more].concat());
    let report: Value = serde_json::from_str(&finished.stdout).expect(&finished.stderr);
    let text = |point: &Value, key: &str| point[key].as_str().unwrap().to_owned();
    let points = report["points"].as_array().unwrap().iter();
    let faults = points
        .map(|point| (text(point, "point"), text(point, "outcome"), text(point, "detail")))
        .filter(|(_, outcome, _)| outcome != "ok");
    (finished.code, faults.collect())
}

fn fault(point: &str, outcome: &str, detail: &str) -> (String, String, String) {
    (point.to_owned(), outcome.to_owned(), detail.to_owned())
}

#[test]
fn a_good_plugin_passes_each_point() {
    let directory = tempfile::tempdir().unwrap();
    let text = script(&format!("{RESULT}echo $SONOBUOY_RESULTS_DIR/j.xml > done"));
    fs_err::write(directory.path().join("p.yaml"), text).unwrap();
    let mut finished = test(directory.path(), &["p.yaml"]);
    // On a busy machine the test may end the plugin.
    finished.stdout = finished
        .stdout
        .replace("c ran until the end of the test", "c exited with 0");
    assert_eq!(
        finished,
        Finished {
            code: 0,
            stdout: "ok    definition   no problems\n\
                     ok    start        with the programs on this machine; images not used: i\n\
                     ok    done file    names j.xml, written last\n\
                     ok    names        all inside the results directory, no links\n\
                     ok    size         53 B of at most 8.00 GiB\n\
                     ok    format       junit, 1 passed\n\
                     ok    progress     none posted\n\
                     ok    exit         c exited with 0\n\
                     ok    environment  no hard-coded paths of the run\n"
                .to_owned(),
            stderr: "plugin mine passed the test; its own results: passed: 1 passed, 0 failed, 0 skipped\n".to_owned(),
        }
    );
}

#[test]
fn the_examples_pass() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/examples");
    let directory = tempfile::tempdir().unwrap();
    let mut files: Vec<_> = fs_err::read_dir(&examples)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    assert!(files.len() >= 8, "{files:?}");
    // The plugins mostly wait.
    let results: Vec<Finished> = std::thread::scope(|scope| {
        let running: Vec<_> = files
            .iter()
            .map(|file| scope.spawn(|| test(directory.path(), &[file.to_str().unwrap()])))
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (file, finished) in files.iter().zip(results) {
        let all_good = finished.stdout.lines().all(|line| line.starts_with("ok "));
        assert!(
            finished.code == 0 && all_good,
            "{}\n{}\n{}",
            file.display(),
            finished.stdout,
            finished.stderr
        );
    }
}

#[test]
fn an_early_done_file_is_reported() {
    let early = format!("{RESULT}echo $SONOBUOY_RESULTS_DIR/j.xml > done\ntouch -d 2001-01-01 done");
    assert_eq!(
        faults(&script(&early), &[]),
        (
            1,
            vec![fault(
                "done file",
                "fail",
                "written before the result was complete: j.xml changed later"
            )]
        )
    );
}

#[test]
fn paths_outside_the_results_directory_are_reported() {
    let (code, found) = faults(
        &script("echo /etc/hostname > $SONOBUOY_RESULTS_DIR/done"),
        &["--timeout", "20s"],
    );
    let names: Vec<&(String, String, String)> = found.iter().filter(|(point, ..)| point == "names").collect();
    assert_eq!(
        (code, names),
        (
            1,
            vec![&fault(
                "names",
                "fail",
                "/etc/hostname is outside the results directory, where the worker cannot read it"
            )]
        )
    );

    let hostile =
        "cd $SONOBUOY_RESULTS_DIR\necho x > x\ntar -P -czf r.tar.gz --transform s,x,../x, x\necho $PWD/r.tar.gz > done";
    let (code, found) = faults(&script(hostile), &[]);
    let names = found.iter().find(|(point, ..)| point == "names").unwrap();
    assert_eq!((code, names.1.as_str()), (1, "fail"), "{found:?}");
    assert!(names.2.contains("../x"), "{found:?}");
}

#[test]
fn failure_of_a_plugin_is_explained() {
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(
        directory.path().join("p.yaml"),
        script("echo no such thing >&2; exit 3"),
    )
    .unwrap();
    let finished = test(directory.path(), &["p.yaml"]);
    assert_eq!(finished.code, 1);
    assert!(
        finished
            .stdout
            .contains("fail  exit         c ended with exit status: 3\n"),
        "{}",
        finished.stdout
    );
    assert!(
        finished.stderr.contains("\nc: last output:\nno such thing\n"),
        "{}",
        finished.stderr
    );
}

#[test]
fn unreadable_results_and_progress_are_reported() {
    let post = "wget -q -O /dev/null --post-data '{' http://localhost:$SONOBUOY_PROGRESS_PORT/progress";
    let (code, found) = faults(
        &script(&format!("{post}\necho words > $SONOBUOY_RESULTS_DIR/notes.txt")),
        &[],
    );
    assert_eq!(
        (code, found),
        (
            1,
            vec![
                fault("format", "fail", "no junit file in the result (*.xml)"),
                fault("progress", "fail", "rejected with 400: {"),
            ]
        )
    );
}

#[test]
fn plugins_that_require_an_image_or_are_invalid_are_reported() {
    let image = "sonobuoy-config: {driver: Job, plugin-name: mine}\nspec: {name: c, image: i}\n";
    assert_eq!(
        faults(image, &[]),
        (
            1,
            vec![fault(
                "start",
                "fail",
                "requires a cluster: plugin mine cannot run on this machine: container c has no command of its own, only an image (i)"
            )]
        )
    );
    assert_eq!(
        faults(&image.replace("Job", "Jobb"), &[]),
        (1, vec![fault("definition", "fail", "errors: 1")])
    );
}

#[test]
fn json_report_contains_the_problems() {
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("p.yaml"), "spec: {name: c}\n").unwrap();
    let finished = test(directory.path(), &["p.yaml", "-o", "json"]);
    let report: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(
        (finished.code, &report["verdict"], &report["problems"][0]["severity"]),
        (1, &json!("failed"), &json!("error"))
    );
}
