//! Shell completion, under each name of the program.
#![cfg(unix)]

use std::{path::Path, process::Command};

use serde_json::json;
use sono_testkit::FakeApi;

use crate::{Finished, command, finished, plugins::PLUGIN, sono};

/// Creates a link to the program in `directory`.
fn link(directory: &Path, name: &str) {
    std::os::unix::fs::symlink(assert_cmd::cargo::cargo_bin!("sono"), directory.join(name)).unwrap();
}

/// Output of `__complete` for these words, without flags, which change often.
fn complete(directory: &Path, words: &[&str]) -> Vec<String> {
    let finished = sono(directory, &[&["__complete"], words].concat());
    assert_eq!((finished.code, finished.stderr.as_str()), (0, ""));
    let lines = finished.stdout.lines().filter(|line| !line.starts_with('-'));
    lines.map(str::to_owned).collect()
}

#[test]
fn commands_and_values_are_completed() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    fs_err::create_dir_all(here.join(".sonobuoy/sub")).unwrap();
    fs_err::write(here.join(".sonobuoy/sub/hello.yaml"), PLUGIN).unwrap();
    fs_err::write(here.join("here.yaml"), PLUGIN).unwrap();
    assert_eq!(complete(here, &["comp"])[1..], [":4"]);
    assert_eq!(complete(here, &["plugin", "show", ""]), ["sub/hello\tinstalled", ":4"]);
    assert_eq!(
        complete(here, &["run", "-p", "h"]),
        ["host-check\tbuilt in", "here.yaml", ":4"]
    );
    let modes = complete(here, &["run", "--mode", "q"]);
    assert_eq!((modes.len(), modes[0].split('\t').next()), (2, Some("quick")));
    assert_eq!(
        complete(here, &["run", "--bogus", "x", "--rbac", "Dis"]),
        ["Disable", ":4"]
    );
    assert_eq!(
        sono(here, &["__completeNoDesc", "plugin", "unin"]).stdout,
        "uninstall\n:4\n"
    );
}

#[test]
fn contexts_are_read_from_the_given_kubeconfig() {
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = "contexts: [{name: one, context: {cluster: c}}, {name: other}]\n";
    fs_err::write(directory.path().join("k.yaml"), kubeconfig).unwrap();
    assert_eq!(
        complete(
            directory.path(),
            &["status", "--kubeconfig", "k.yaml", "--context", "o"]
        ),
        ["one\tc", "other", ":4"]
    );
    assert_eq!(complete(directory.path(), &["status", "--context", ""]), [":4"]);
}

#[test]
fn namespaces_are_read_from_the_cluster_or_default() {
    let api = FakeApi::start();
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = api.write_kubeconfig(directory.path());
    api.put(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "sonobuoy-nightly" } }));
    let words = ["status", "--kubeconfig", kubeconfig.to_str().unwrap(), "-n", "son"];
    assert_eq!(complete(directory.path(), &words), ["sonobuoy-nightly", ":4"]);
    assert_eq!(complete(directory.path(), &["status", "-n", "son"]), ["sonobuoy", ":4"]);
}

/// The words that bash shows if Tab is pressed after `line`, separated by spaces.
#[cfg(target_os = "linux")]
fn in_bash(directory: &Path, name: &str, line: &str) -> Vec<String> {
    let script = format!(
        "PATH={}:$PATH\nsource <({name} completion bash)\n\
         COMP_WORDS=({line} '')\nCOMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\nCOMP_TYPE=9\n\
         function=$(complete -p {name} | sed 's/.*-F \\([^ ]*\\) .*/\\1/')\n\
         $function {name} '' ''\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
        directory.display()
    );
    let output = Command::new("/bin/bash")
        .arg("--norc")
        .arg("-c")
        .arg(script)
        .env_clear()
        .env("HOME", directory)
        .env("PATH", "/usr/bin:/bin")
        .output()
        .unwrap();
    let Finished { code, stdout, stderr } = finished(&output);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    stdout
        .lines()
        .filter(|line| !line.starts_with('-'))
        .map(str::to_owned)
        .collect()
}

// The bash of macOS is from 2007.
#[cfg(target_os = "linux")]
#[test]
fn bash_completes_under_each_name() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["sono", "sonobuoy", "kubectl-sono"] {
        link(directory.path(), name);
        assert_eq!(
            in_bash(directory.path(), name, &format!("{name} plugin")),
            ["list", "show", "install", "uninstall", "lint", "test", "help"],
            "{name}"
        );
    }
}

#[test]
fn kubectl_calls_a_program_of_another_name() {
    let directory = tempfile::tempdir().unwrap();
    link(directory.path(), "kubectl_complete-sono");
    let output = Command::new(directory.path().join("kubectl_complete-sono"))
        .env_clear()
        .args(["plugin", "unin"])
        .output()
        .unwrap();
    assert_eq!(finished(&output).stdout, "uninstall\tRemove an installed plugin\n:4\n");
}

#[test]
fn help_contains_the_name_of_the_call() {
    let directory = tempfile::tempdir().unwrap();
    link(directory.path(), "kubectl-sono");
    let output = Command::new(directory.path().join("kubectl-sono"))
        .env_clear()
        .args(["plugin", "show", "--help"])
        .output()
        .unwrap();
    let finished = finished(&output);
    assert!(
        finished
            .stdout
            .contains("Usage: kubectl sono plugin show [OPTIONS] <PLUGIN>"),
        "{}",
        finished.stdout
    );
}

#[test]
fn each_shell_has_a_script_that_calls_the_program() {
    let directory = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = sono(directory.path(), &["completion", shell]);
        assert_eq!((script.code, script.stderr.as_str()), (0, ""), "{shell}");
        assert!(script.stdout.contains("_SONO_COMPLETE"), "{shell}: {}", script.stdout);
        let plain = sono(directory.path(), &["completion", shell, "--no-descriptions"]);
        assert!(
            plain.stdout.contains("_SONO_COMPLETE_PLAIN"),
            "{shell}: {}",
            plain.stdout
        );
    }
    let ask = |variable: &str| {
        let mut command = command(directory.path());
        command.env(variable, "fish").args(["--", "sono", "plugin", "unin"]);
        finished(&command.output().unwrap()).stdout
    };
    assert_eq!(ask("_SONO_COMPLETE"), "uninstall\tRemove an installed plugin\n");
    assert_eq!(ask("_SONO_COMPLETE_PLAIN"), "uninstall\n");
}
