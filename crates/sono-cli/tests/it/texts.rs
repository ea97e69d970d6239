//! Text files in every encoding, and all failures of a case, from the file to the output of commands.

use std::path::Path;

use serde_json::{Value, json};
use sono_testkit::FakeApi;

use crate::{Finished, command, finished};

/// Encodings by name. PowerShell's `-Encoding utf8` is the second, its `>` the third.
fn encodings(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let little = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let big = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
    let marked = format!("\u{feff}{text}");
    vec![
        ("UTF-8", text.as_bytes().to_vec()),
        ("UTF-8 with a mark", marked.as_bytes().to_vec()),
        ("UTF-16LE with a mark", little(&marked)),
        ("UTF-16BE with a mark", big(&marked)),
        ("UTF-16LE", little(text)),
        ("UTF-16BE", big(text)),
        ("UTF-8 with a mark and CRLF", marked.replace('\n', "\r\n").into_bytes()),
    ]
}

fn sono(directory: &Path, arguments: &[&str]) -> Finished {
    let output = command(directory)
        .env("PATH", "/usr/bin:/bin")
        .args(arguments)
        .output()
        .unwrap();
    finished(&output)
}

/// Definition of a plugin with the files of `stage` as its results and `done` as its done file.
fn plugin(directory: &Path, format: &str) -> String {
    format!(
        "sonobuoy-config: {{driver: Job, plugin-name: texts, result-format: {format}}}\nspec:\n  name: c\n  image: i\n  \
         command: [/bin/sh, -c, 'cd $SONOBUOY_RESULTS_DIR && cp {0}/stage/* . && cp {0}/done done.new && mv done.new done']\n",
        directory.display()
    )
}

fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(path, content).unwrap();
}

/// Definition, configuration, done file and result of a local run, each in the same encoding.
#[test]
fn local_run_reads_text_files_in_every_encoding() {
    let id = "6a0d3a1c-0000-4000-8000-000000000016";
    let results = [
        (
            "manual",
            "r.yaml",
            "name: x\nstatus: failed\nitems:\n- name: größe 😀\n  status: failed\n",
        ),
        (
            "junit",
            "r.xml",
            "<?xml version=\"1.0\"?>\n<testsuite name=\"s\"><testcase name=\"größe 😀\"><failure>ä</failure></testcase></testsuite>\n",
        ),
        (
            "gojson",
            "r.json",
            "{\"Action\":\"start\",\"Package\":\"p\"}\n{\"Action\":\"fail\",\"Package\":\"p\",\"Test\":\"größe 😀\"}\n{\"Action\":\"fail\",\"Package\":\"p\"}\n",
        ),
    ];
    let count = encodings("").len();
    for (format, name, result) in results {
        for at in 0..count {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path();
            let encoded = |text: &str| encodings(text).swap_remove(at).1;
            write(&path.join("stage").join(name), encoded(result));
            write(&path.join("done"), encoded(&format!("{name}\n")));
            write(&path.join("plugin.yaml"), encoded(&plugin(path, format)));
            let config = json!({"UUID": id, "Server": {"timeoutseconds": 60}}).to_string();
            write(&path.join("config.json"), encoded(&config));
            let ran = sono(
                path,
                &[
                    "run",
                    "--local",
                    "--exit-code",
                    "--config",
                    "config.json",
                    "-p",
                    "plugin.yaml",
                ],
            );
            let what = encodings("").swap_remove(at).0;
            assert_eq!(ran.code, 3, "{format} in {what}: {}", ran.stderr);
            let archive = ran.stdout.trim();
            assert!(archive.ends_with(&format!("_sonobuoy_{id}.tar.gz")), "{archive}");
            let report = sono(path, &["results", archive, "--plugin", "texts"]);
            assert!(
                report
                    .stdout
                    .contains("\nTotal: 1\nPassed: 0\nFailed: 1\nSkipped: 0\n\nFailed tests:\ngröße 😀\n"),
                "{format} in {what}: {}",
                report.stdout
            );
        }
    }
}

/// Files named on the command line.
#[test]
fn commands_read_text_files_in_every_encoding() {
    let api = FakeApi::start();
    let tests = "[sig-a] größe\n[sig-b] two\n";
    let xml = "<testsuite name='s'><testcase name='[sig-a] größe'/><testcase name='[sig-b] two'/></testsuite>";
    let images = "example.org/e2e/busybox:1.37\n";
    let config = "{\"Namespace\": \"mine\"}\n";
    let definition = "sonobuoy-config: {driver: Job, plugin-name: p}\nspec: {name: c, image: 'example.org/größe'}\n";
    for at in 0..encodings("").len() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let what = encodings("").swap_remove(at).0;
        for (name, text) in [
            ("tests.txt", tests),
            ("tests.xml", xml),
            ("images.txt", images),
            ("config.json", config),
            ("plugin.yaml", definition),
            ("kubeconfig", &api.kubeconfig()),
        ] {
            write(&path.join(name), encodings(text).swap_remove(at).1);
        }
        let run = |arguments: &[&str]| {
            let finished = sono(path, arguments);
            (finished.code, finished.stdout, finished.stderr)
        };
        for list in ["tests.txt", "tests.xml"] {
            assert_eq!(
                run(&["e2e", "-i", list, "-f", r"^\[sig-a\]"]),
                (0, "[sig-a] größe\n".to_owned(), String::new()),
                "{list} in {what}"
            );
        }
        let listed = run(&[
            "images",
            "list",
            "-p",
            "e2e",
            "--kubernetes-version",
            "v1.2.3",
            "--images-file",
            "images.txt",
        ]);
        assert!(
            listed.1.starts_with("example.org/e2e/busybox:1.37\n"),
            "{what}: {listed:?}"
        );
        let printed = run(&["gen", "config", "--config", "config.json"]);
        let printed: Value = serde_json::from_str(&printed.1).unwrap_or_else(|_| panic!("{what}: {printed:?}"));
        assert_eq!(printed["Namespace"], "mine", "{what}");
        let linted = run(&["plugin", "lint", "plugin.yaml"]);
        assert_eq!(linted.0, 0, "{what}: {linted:?}");
        let status = run(&["status", "--kubeconfig", "kubeconfig"]);
        assert_eq!(
            (status.0, status.2.lines().next()),
            (1, Some("error: namespace `sonobuoy` does not exist")),
            "{what}"
        );
    }
}

/// Errors contain the position of the invalid bytes, for files of each kind.
#[test]
fn undecodable_bytes_of_text_files_are_reported_with_their_position() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    for name in ["plugin.yaml", "config.json", "tests.txt", "images.txt", "kubeconfig"] {
        write(&path.join(name), b"first: line\nn: \xe4\n");
    }
    for arguments in [
        &["plugin", "lint", "plugin.yaml"][..],
        &["run", "--local", "-p", "plugin.yaml"],
        &["gen", "config", "--config", "config.json"],
        &["e2e", "-i", "tests.txt"],
        &[
            "images",
            "list",
            "-p",
            "e2e",
            "--kubernetes-version",
            "v1.2.3",
            "--images-file",
            "images.txt",
        ],
        &["status", "--kubeconfig", "kubeconfig"],
    ] {
        let finished = sono(path, arguments);
        let all = format!("{}{}", finished.stdout, finished.stderr);
        assert_eq!(finished.code, 1, "{arguments:?}: {all}");
        assert!(
            all.contains("byte 15 (line 2) is not UTF-8: 0xe4"),
            "{arguments:?}: {all}"
        );
    }
    // An invalid name makes a result file unknown.
    for (format, name, content) in [
        (
            "manual",
            "r.yaml",
            &b"status: passed\nitems: [{name: \xe4, status: passed}]\n"[..],
        ),
        ("junit", "r.xml", b"<testsuite><testcase name='\xe4'/></testsuite>"),
    ] {
        write(&path.join("plugin.yaml"), plugin(path, format));
        write(&path.join("stage").join(name), content);
        write(&path.join("done"), name);
        let ran = sono(path, &["run", "--local", "--exit-code", "-p", "plugin.yaml"]);
        assert_eq!(ran.code, 4, "{format}: {}", ran.stderr);
        let dump = sono(
            path,
            &["results", ran.stdout.trim(), "--plugin", "texts", "--mode", "dump"],
        );
        assert!(dump.stdout.contains("is not UTF-8: 0xe4"), "{format}: {}", dump.stdout);
    }
    write(&path.join("done"), b"\xe4");
    let ran = sono(path, &["run", "--local", "--exit-code", "-p", "plugin.yaml"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    let report = sono(path, &["results", ran.stdout.trim()]);
    assert!(
        report
            .stdout
            .contains("the done file contains no path: byte 0 (line 1) is not UTF-8: 0xe4: `\\xe4`"),
        "{}",
        report.stdout
    );
}

/// Exit codes of local runs: the verdict, also if standard output is closed; 6 after the time limit of the wait.
#[test]
fn local_run_exit_code_is_the_verdict_or_the_time_limit() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    write(&path.join("plugin.yaml"), plugin(path, "junit"));
    write(
        &path.join("stage/r.xml"),
        "<testsuite><testcase name='c'><failure/></testcase></testsuite>",
    );
    write(&path.join("done"), "r.xml");
    let mut child = command(path);
    child
        .env("PATH", "/usr/bin:/bin")
        .args(["run", "--local", "--exit-code", "-p", "plugin.yaml"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null());
    let mut child = child.spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(3));

    let slow = plugin(path, "raw").replace("mv done.new done", "sleep 100");
    write(&path.join("plugin.yaml"), slow);
    for (flags, code) in [(&["--exit-code"][..], 6), (&[], 1)] {
        let ran = sono(
            path,
            &[&["run", "--local", "--wait=1s", "-p", "plugin.yaml"], flags].concat(),
        );
        let error =
            "error: the run was not complete after 1s: all plugin processes were stopped; no archive was written";
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""));
        assert_eq!(ran.stderr.lines().last(), Some(error));
    }
}

/// Case 19, from the file to every view.
#[test]
fn every_failure_of_a_case_is_in_every_view() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    write(&path.join("plugin.yaml"), plugin(path, "junit"));
    write(
        &path.join("stage/r.xml"),
        "<testsuite name='s'><testcase name='c'><failure message='one'/><error>two</error><failure>three</failure>\
         <failure message='four' type='T'>more of four</failure></testcase></testsuite>",
    );
    write(&path.join("done"), "r.xml");
    let ran = sono(path, &["run", "--local", "--exit-code", "-p", "plugin.yaml"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    let results = |arguments: &[&str]| {
        let all = [&["results", ran.stdout.trim(), "--plugin", "texts"], arguments].concat();
        let finished = sono(path, &all);
        assert_eq!((finished.code, finished.stderr.as_str()), (0, ""), "{arguments:?}");
        finished.stdout
    };
    let details = json!({"failure": "one\nthree\nfour more of four", "error": "two"});
    let line: Value = serde_json::from_str(results(&["--mode", "detailed"]).trim()).unwrap();
    assert_eq!(line["details"], details);
    let tree: Value = sono_types::yaml::first_document(&results(&["--mode", "dump"])).unwrap();
    assert_eq!(tree["items"][0]["items"][0]["items"][0]["details"], details);
    assert!(results(&[]).contains("\nFailed: 1\nSkipped: 0\n\nFailed tests:\nc\n"));
    let junit = results(&["-o", "junit"]);
    assert!(
        junit.contains("message=\"one\">one&#10;three&#10;four more of four&#10;two</failure>"),
        "{junit}"
    );
    for output in ["markdown", "json", "yaml", "table"] {
        let shown = results(&["-o", output]);
        for message in ["one", "two", "three", "four"] {
            assert!(shown.contains(message), "{message} is not in {output}: {shown}");
        }
    }
}
