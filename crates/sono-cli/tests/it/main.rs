//! Process tests of the program: its output and exit codes.
#![expect(clippy::unwrap_used, reason = "these are tests")]

mod archives;
mod bad_input;
mod canaries;
mod changes;
#[cfg(target_os = "linux")]
mod ci_script;
mod cluster;
mod completion;
mod configuration;
mod conformance;
mod connection;
mod deletion;
mod diff;
mod documents;
mod environment;
mod failed_output;
mod flags;
mod habits;
mod help;
mod history;
mod images;
mod json_contract;
mod json_trees;
mod logs;
mod manifests;
mod objects;
mod obstacles;
mod plugin_command;
mod plugin_definitions;
mod plugin_test;
mod plugins;
mod preflight;
mod query;
mod redact;
mod report;
mod retrieve;
#[cfg(unix)]
mod rights;
mod run_identity;
mod scripts;
#[cfg(target_os = "linux")]
mod signals;
mod status;
mod step_summary;
mod suite;
#[cfg(target_os = "linux")]
mod terminal;
#[cfg(unix)]
mod texts;
mod waivers;
mod why;
/// Tests with data of Sonobuoy.
mod vectors {
    mod archives;
    mod goldens;
}

use std::{
    path::Path,
    process::{Command, Output},
};

use sono_testkit::FakeApi;

/// Exit code and output of a finished process.
#[derive(Debug, PartialEq, Eq)]
struct Finished {
    code: i32,
    stdout: String,
    stderr: String,
}

/// `sono` in an isolated environment.
fn command(directory: &Path) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("sono"));
    command
        .current_dir(directory)
        .env_clear()
        .env("HOME", directory)
        .env("PATH", "/nowhere")
        .env("TZ", "UTC");
    command
}

fn finished(output: &Output) -> Finished {
    Finished {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout.clone()).unwrap(),
        stderr: String::from_utf8(output.stderr.clone()).unwrap(),
    }
}

fn sono(directory: &Path, arguments: &[&str]) -> Finished {
    finished(&command(directory).args(arguments).output().unwrap())
}

/// Runs `sono` with a kubeconfig for `api`. Variable parts of the output are replaced by `URL` and `…`.
fn with_cluster(api: &FakeApi, arguments: &[&str]) -> Finished {
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = api.write_kubeconfig(directory.path());
    let output = command(directory.path())
        .env("KUBECONFIG", kubeconfig)
        .args(arguments)
        .output()
        .unwrap();
    normalized(api, finished(&output))
}

/// A cluster with DNS, as required to create a run.
fn healthy() -> FakeApi {
    let api = FakeApi::start();
    api.put(serde_json::json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "coredns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}}}));
    api
}

fn normalized(api: &FakeApi, finished: Finished) -> Finished {
    let text = |text: String| -> String {
        text.replace(api.url(), "URL")
            .lines()
            .map(|line| format!("{}\n", without_times(line)))
            .collect::<Vec<_>>()
            .concat()
    };
    Finished {
        code: finished.code,
        stdout: text(finished.stdout),
        stderr: text(finished.stderr),
    }
}

/// The line without times at its start, durations at its end, and the run's identity.
fn without_times(line: &str) -> String {
    let is_time = |text: &str| {
        text.len() == 9
            && text.bytes().enumerate().all(|(at, byte)| match at {
                2 | 5 => byte == b':',
                8 => byte == b' ',
                _ => byte.is_ascii_digit(),
            })
    };
    let line = match line.split_at_checked(9) {
        Some((time, rest)) if is_time(time) => format!("… {rest}"),
        _ => line.to_owned(),
    };
    let line = match (line.strip_prefix("run "), line.find(" in namespace ")) {
        (Some(_), Some(at)) => format!("run …{}", &line[at..]),
        _ => line,
    };
    match line.rsplit_once(" in ") {
        Some((start, end)) if end.ends_with('s') && end.starts_with(|letter: char| letter.is_ascii_digit()) => {
            format!("{start} in …")
        }
        _ => line,
    }
}

fn success(stdout: &str, stderr: &str) -> Finished {
    Finished {
        code: 0,
        stdout: stdout.to_owned(),
        stderr: stderr.to_owned(),
    }
}

fn failure(stderr: &str) -> Finished {
    Finished {
        code: 1,
        stdout: String::new(),
        stderr: stderr.to_owned(),
    }
}
