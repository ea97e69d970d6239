//! `e2e`: names of Kubernetes' tests.

use std::{io::Write as _, path::Path, process::Stdio};

use sono_testkit::FakeApi;

use crate::{Finished, command, failure, finished, sono};

const LIST: &str =
    "[It] [sig-a] one [Slow]\n[ReportBeforeSuite]\n[sig-b] two [Conformance]\n[sig-b] three [Conformance]\n";

fn success(stdout: &str) -> Finished {
    Finished {
        code: 0,
        stdout: stdout.to_owned(),
        stderr: String::new(),
    }
}

fn with_input(directory: &Path, arguments: &[&str], input: &str) -> Finished {
    let mut child = command(directory)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    finished(&child.wait_with_output().unwrap())
}

/// BUG 31: a list on standard input requires neither a version nor a cluster. BUG 32: prefixes that reports add to names are
/// removed, so that an anchored expression selects the same tests as in a run.
#[test]
fn a_list_on_standard_input_requires_no_cluster() {
    let directory = tempfile::tempdir().unwrap();
    let e2e = |arguments: &[&str]| with_input(directory.path(), &[&["e2e", "--input", "-"], arguments].concat(), LIST);
    assert_eq!(
        e2e(&[]),
        success("[sig-a] one [Slow]\n[sig-b] two [Conformance]\n[sig-b] three [Conformance]\n")
    );
    assert_eq!(e2e(&["--focus", "^.sig-a"]), success("[sig-a] one [Slow]\n"));
    assert_eq!(
        e2e(&["--focus", "Conformance|Slow", "--skip", "t(wo|hree)"]),
        success("[sig-a] one [Slow]\n")
    );
    assert_eq!(
        e2e(&["--mode", "tags"]),
        success("[Conformance]\n[Slow]\n[sig-a]\n[sig-b]\n")
    );
    assert_eq!(
        e2e(&["-m", "tagCounts"]),
        success("[Conformance]:2\n[Slow]:1\n[sig-a]:1\n[sig-b]:2\n")
    );
    assert_eq!(
        e2e(&["-f", "nothing"]),
        Finished {
            stderr: "none of 3 tests matches\n".to_owned(),
            ..success("\n")
        }
    );
    let bad = e2e(&["--skip", "("]);
    assert_eq!(
        (bad.code, bad.stderr.lines().next()),
        (1, Some("error: --skip is not a valid regular expression"))
    );
}

#[test]
fn tests_are_read_from_an_archive_or_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    };
    file(
        "run/plugins/e2e/sonobuoy_results.yaml",
        "name: e2e\nstatus: passed\nitems:\n- name: j.xml\n  status: passed\n  items:\n  - name: '[It] b'\n    status: skipped\n  - name: '[SynchronizedAfterSuite]'\n    status: passed\n  - name: a\n    status: passed\n",
    );
    file(
        "j.xml",
        "<testsuite><testcase name=\"[It] b\"/><testcase name=\"a\"><skipped/></testcase></testsuite>",
    );
    file("list.txt", "a\nb\n");
    let archive = fs_err::File::create(directory.path().join("run.tar.gz")).unwrap();
    sono_bundle::pack_directory(&directory.path().join("run"), archive, &[], 6).unwrap();
    let packed = std::process::Command::new("gzip")
        .arg("-k")
        .arg(directory.path().join("list.txt"))
        .status();
    assert!(packed.unwrap().success());
    for input in ["run", "run.tar.gz", "j.xml", "list.txt", "list.txt.gz"] {
        assert_eq!(
            sono(directory.path(), &["e2e", "-i", input]),
            success("a\nb\n"),
            "{input}"
        );
    }
    assert_eq!(
        sono(directory.path(), &["e2e", "-i", "run", "-p", "other"]),
        failure(
            "error: cannot read `run`\n  failed to find file \"plugins/other/sonobuoy_results.yaml\" in archive\n  hint:  select the plugin with the tests: --plugin NAME\n"
        )
    );
}

/// BUG 30: a missing list of a version is not the same as no matching test. Without an input, a hint says how to get a list.
#[test]
fn a_missing_list_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let api = FakeApi::start();
    let finished = sono(directory.path(), &["e2e", "--url", api.url(), "--version", "v1.31.0"]);
    assert_eq!(
        finished,
        failure(&format!(
            "error: cannot fetch the list of tests from `{}/v1.31.0.gz`\n  the server returned 404 Not Found\n  hint:  select another version with --version\n",
            api.url()
        ))
    );
    let missing = "error: no source of test names: --input is missing\n";
    let included = "error: sono includes no list of Kubernetes tests, and --url is missing\n";
    for (arguments, error) in [
        (&["e2e"][..], missing),
        (&["e2e", "--input", "offline"], included),
        (&["e2e", "-i", "online"], included),
    ] {
        let finished = sono(directory.path(), arguments);
        assert_eq!((finished.code, finished.stdout.as_str()), (1, ""));
        assert!(
            finished.stderr.starts_with(error) && finished.stderr.contains("E2E_DRYRUN=true"),
            "{}",
            finished.stderr
        );
    }
}
