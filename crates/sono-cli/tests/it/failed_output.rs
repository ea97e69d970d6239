//! The output of failed containers: in a running cluster and in archives.

use std::path::Path;

use serde_json::{Value, json};
use sono_testkit::FakeApi;

use crate::{Finished, cluster::aggregator, command, finished, retrieve, sono, with_cluster};

const ERROR: &str = "container plugin of pod x on node n1 ended with exit code 1 and no result arrived";

fn pod() -> Value {
    let status = |name: &str, state: Value| json!({"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state});
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "x", "namespace": "sonobuoy",
            "labels": {"component": "sonobuoy", "sonobuoy-component": "plugin", "sonobuoy-plugin": "p"}},
        "spec": {"nodeName": "n1", "containers": [{"name": "plugin", "image": "i"}, {"name": "sonobuoy-worker", "image": "i"}]},
        "status": {"phase": "Running", "containerStatuses": [
            status("plugin", json!({"terminated": {"exitCode": 1}})),
            status("sonobuoy-worker", json!({"running": {}}))]}})
}

fn archive() -> Vec<u8> {
    let tree = json!({"name": "p", "status": "failed", "items": [
        {"name": ERROR, "status": "failed", "meta": {"file": "errors/n1/error.json"},
            "details": {"error": ERROR, "log": "starting\ncannot find the <frobnicator>\u{1b}[2J"}}]});
    retrieve::packed(&[
        ("meta/info.json", br#"{"plugins": ["p"]}"#),
        ("plugins/p/sonobuoy_results.yaml", tree.to_string().as_bytes()),
        ("podlogs/other/y/logs/c.txt", b"not of the run\n"),
        (
            "podlogs/sonobuoy/x/logs/plugin.txt",
            b"starting\ncannot find the frobnicator\n",
        ),
        ("podlogs/sonobuoy/x/logs/sonobuoy-worker.txt", b"waiting\n"),
        (
            "resources/ns/sonobuoy/core_v1_pods.json",
            json!({"items": [pod()]}).to_string().as_bytes(),
        ),
    ])
}

#[test]
fn logs_of_an_archive_are_selected() {
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("a.tar.gz"), archive()).unwrap();
    let logs = |flags: &[&str]| sono(directory.path(), &[&["logs", "--archive", "a.tar.gz"], flags].concat());
    let printed = |stdout: &str| Finished {
        code: 0,
        stdout: stdout.to_owned(),
        stderr: String::new(),
    };
    let plugin = "x/plugin: starting\nx/plugin: cannot find the frobnicator\n";
    let all = format!("{plugin}x/sonobuoy-worker: waiting\n");
    assert_eq!(logs(&[]), printed(&all));
    assert_eq!(logs(&["-p", "p"]), printed(&all));
    assert_eq!(logs(&["p", "--node", "n1"]), printed(&all));
    assert_eq!(logs(&["--failed"]), printed(plugin));
    assert_eq!(
        logs(&["--failed", "--tail", "1"]),
        printed("x/plugin: cannot find the frobnicator\n")
    );
    for (flags, error) in [
        (["-p", "q"], "error: the archive has no logs of plugin `q`"),
        (["--node", "n2"], "error: the archive has no logs of the run"),
        (
            ["--since", "5m"],
            "error: the argument '--archive <ARCHIVE>' cannot be used with '--since <TIME>'",
        ),
    ] {
        let finished = logs(&flags);
        assert_eq!(
            (finished.code, finished.stderr.lines().next()),
            (1, Some(error)),
            "{flags:?}"
        );
    }
}

#[test]
fn results_show_the_end_of_the_log() {
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("a.tar.gz"), archive()).unwrap();
    let results = |form: &str| sono(directory.path(), &["results", "a.tar.gz", "-o", form]);
    let table = results("table");
    assert_eq!(
        table.stdout,
        format!(
            "run   failed\n\np         failed   1 run: 1 failed\n  ✗ {ERROR}\n      starting\n      cannot find the <frobnicator>\\u{{1b}}[2J\n"
        )
    );
    assert_eq!(
        table.stderr,
        "hint: for the full logs: sono logs --archive a.tar.gz --failed\n"
    );
    let markdown = results("markdown").stdout;
    assert!(
        markdown.contains("Full logs: `sono logs --archive a.tar.gz --failed`"),
        "{markdown}"
    );
    let junit = results("junit").stdout;
    assert!(
        junit.contains("&#10;starting&#10;cannot find the &lt;frobnicator&gt;"),
        "{junit}"
    );
}

#[test]
fn output_of_a_failed_container_is_shown_while_it_exists() {
    let api = FakeApi::start();
    let status = json!({"status": "running", "plugins": [{"plugin": "p", "node": "n1", "status": "running"}]});
    api.put(aggregator(Some(&status), "Running"));
    api.put(pod());
    api.put_log("sonobuoy", "x", "plugin", "starting\ncannot find the frobnicator\n");
    let output = [
        "p on n1: end of the log of container plugin:",
        "  | starting",
        "  | cannot find the frobnicator",
        "  full log: sono logs -p p --failed",
    ];
    let why = "p on n1: container plugin ended with exit code 1";
    let shown = with_cluster(&api, &["status"]).stderr;
    assert_eq!(shown.lines().collect::<Vec<_>>(), [&[why][..], &output].concat());
    let waited = with_cluster(&api, &["wait", "--wait=4s"]);
    let lines: Vec<&str> = waited
        .stderr
        .lines()
        .map(|line| line.strip_prefix("… ").unwrap_or(line))
        .collect();
    let expected = [
        &["aggregator running on node1", "earlier  p started on 1 node", why],
        &output[..],
    ]
    .concat();
    assert_eq!(lines[..expected.len()], expected);
    assert_eq!(
        lines[expected.len()..],
        [
            "error: the run is not complete after 4s; it continues",
            "  p on n1: container plugin ended with exit code 1",
            "  hint:  to see its progress: sono status; to wait again: sono wait"
        ]
    );
}

/// A run whose plugin `p` has failed on `n1`, with twelve lines in its log, among them a token and an escape sequence.
fn failing(token: &str) -> FakeApi {
    let api = FakeApi::start();
    let status = json!({"status": "running", "plugins": [{"plugin": "p", "node": "n1", "status": "running"}]});
    api.put(aggregator(Some(&status), "Running"));
    api.put(pod());
    let lines: Vec<String> = (1..=10).map(|number| format!("line {number}.")).collect();
    let log = format!("{}\nuse {token}\n\u{1b}[2Jthe <end>\n", lines.join("\n"));
    api.put_log("sonobuoy", "x", "plugin", &log);
    api
}

/// Standard output, standard error and the step summary of a command.
fn everything(directory: &Path, kubeconfig: Option<&Path>, arguments: &[&str]) -> String {
    let summary = directory.join("summary.md");
    let output = command(directory)
        .envs(kubeconfig.map(|path| ("KUBECONFIG", path)))
        .env("GITHUB_STEP_SUMMARY", &summary)
        .args(arguments)
        .output()
        .unwrap();
    let Finished { stdout, stderr, .. } = finished(&output);
    let summary = fs_err::read_to_string(summary).unwrap_or_default();
    format!("{stdout}\n=== stderr\n{stderr}\n=== summary\n{summary}")
}

/// Every place that shows a failure shows the last lines of its log and the command that prints all of it.
#[test]
fn every_place_of_a_failure_in_a_cluster_has_its_log() {
    let token = format!("ghp_{}", "a1B2".repeat(9));
    let api = failing(&token);
    let cases: [&[&str]; 7] = [
        &["status"],
        &["status", "--show-all"],
        &["status", "-o", "table"],
        &["status", "-o", "json"],
        &["status", "-o", "yaml"],
        &["status", "-o", "markdown"],
        &["wait", "--wait=8s", "--exit-code"],
    ];
    for arguments in cases {
        let directory = tempfile::tempdir().unwrap();
        let kubeconfig = api.write_kubeconfig(directory.path());
        let shown = everything(directory.path(), Some(&kubeconfig), arguments);
        let parts: Vec<&str> = shown.split("\n=== ").collect();
        let all_parts = if arguments[0] == "wait" {
            // In the output, and in the step summary.
            vec![parts[1], parts[2]]
        } else {
            vec![shown.as_str()]
        };
        for part in all_parts {
            for text in [
                "line 3.",
                "line 10.",
                "use [redacted]",
                "the <end>",
                "sono logs -p p --failed",
            ] {
                assert!(part.contains(text), "{arguments:?} lacks {text}: {part}");
            }
            for text in ["line 2.", token.as_str(), "\u{1b}"] {
                assert!(!part.contains(text), "{arguments:?} has {text:?}: {part}");
            }
        }
    }
}

/// The same for an archive.
#[test]
fn every_place_of_a_failure_in_an_archive_has_its_log() {
    let cases: [(&[&str], bool); 8] = [
        (&["results", "a.tar.gz"], true),
        (&["results"], true),
        (&["results", "a.tar.gz", "-p", "p"], true),
        (&["results", "a.tar.gz", "-o", "table"], true),
        (&["results", "a.tar.gz", "-o", "markdown"], true),
        (&["results", "a.tar.gz", "-o", "junit"], true),
        (&["results", "a.tar.gz", "-o", "json"], false),
        (&["results", "a.tar.gz", "-o", "yaml"], false),
    ];
    for (arguments, has_command) in cases {
        let directory = tempfile::tempdir().unwrap();
        let name = if arguments.len() == 1 {
            "202601010000_sonobuoy_x.tar.gz"
        } else {
            "a.tar.gz"
        };
        fs_err::write(directory.path().join(name), archive()).unwrap();
        let shown = everything(directory.path(), None, arguments);
        let (output, summary) = shown.split_once("\n=== summary\n").unwrap();
        let command = format!("sono logs --archive {name} --failed");
        let is_whole = !arguments.contains(&"-p") && !arguments.contains(&"markdown");
        let parts = [(output, has_command)]
            .into_iter()
            .chain(is_whole.then_some((summary, true)));
        for (part, has_command) in parts {
            let escaped = part.replace("&lt;", "<").replace("&gt;", ">");
            assert!(
                escaped.contains("cannot find the <frobnicator>"),
                "{arguments:?}: {part}"
            );
            assert!(!part.contains('\u{1b}'), "{arguments:?}: {part}");
            assert_eq!(part.contains(&command), has_command, "{arguments:?}: {part}");
        }
    }
}
