//! The program of the systemd-logs image, as a process, with roots created by the tests.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail the test, and report tests that cannot run"
)]

use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use fs_err as fs;
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_sono-systemd-logs");
/// A journalctl that prints its arguments and root, and fails after the first line if `/broken` exists.
const JOURNALCTL: &str = r#"
#include <stdio.h>
#include <unistd.h>
int main(int count, char **arguments) {
    char here[4096];
    printf("{\"here\":\"%s\"}\n", getcwd(here, sizeof here));
    if (access("/broken", F_OK) == 0) {
        printf("{\"cut\":");
        fflush(stdout);
        fprintf(stderr, "Failed to open files: Bad message\n");
        return 1;
    }
    for (int index = 1; index < count; index++) printf("{\"argument\":\"%s\"}\n", arguments[index]);
    return 0;
}
"#;

struct Machine {
    directory: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        fs::create_dir_all(machine.root().join("var/log")).unwrap();
        fs::write(machine.root().join("var/log/syslog"), "kernel: hello\n").unwrap();
        machine
    }

    /// Adds a static journalctl, since the root has no libraries.
    fn with_journalctl(self) -> Self {
        let source = self.directory.path().join("journalctl.c");
        fs::write(&source, JOURNALCTL).unwrap();
        fs::create_dir_all(self.root().join("usr/bin")).unwrap();
        let mut compile = Command::new("cc");
        compile
            .args(["-static", "-o"])
            .arg(self.root().join("usr/bin/journalctl"))
            .arg(source);
        assert!(compile.status().unwrap().success());
        self
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("node")
    }

    fn results(&self) -> PathBuf {
        self.directory.path().join("results")
    }

    fn run(&self, program: &Path, arguments: &[&str]) -> Output {
        Command::new(program)
            .args(arguments)
            .env_clear()
            .env("CHROOT_DIR", self.root())
            .env("RESULTS_DIR", self.results())
            .env("NODE_NAME", "n1")
            .output()
            .unwrap()
    }

    /// The entries of the file named by the done file.
    fn entries(&self) -> Vec<Value> {
        let done = fs::read_to_string(self.results().join("done")).unwrap();
        assert_eq!(Path::new(&done), self.results().join("systemd_logs"));
        let text = fs::read_to_string(done).unwrap();
        let entry = |line| serde_json::from_str(line).unwrap_or_else(|_| json!({ "not JSON": line }));
        text.lines().map(entry).collect()
    }
}

/// Only root may change its root directory.
fn may_change_root() -> bool {
    let may = rustix::process::geteuid().is_root();
    if !may {
        println!("NOT RUN: only root may change to another root");
    }
    may
}

fn from_file(message: &str) -> Value {
    json!({"_HOSTNAME": "n1", "_TRANSPORT": "file", "FILE": "/var/log/syslog", "MESSAGE": message})
}

fn note(message: &str) -> Value {
    json!({"_HOSTNAME": "n1", "SYSLOG_IDENTIFIER": "sono-systemd-logs", "PRIORITY": "3", "MESSAGE": message})
}

#[test]
fn journalctl_of_the_machine_runs_with_its_root() {
    if !may_change_root() {
        return;
    }
    let machine = Machine::new().with_journalctl();
    let output = machine.run(Path::new(PROGRAM), &[]);
    assert!(output.status.success(), "{output:?}");
    let arguments = ["--output=json", "--all", "--no-pager", "--quiet"].map(|argument| json!({ "argument": argument }));
    let expected: Vec<Value> = [json!({"here": "/"})].into_iter().chain(arguments).collect();
    assert_eq!(machine.entries(), expected);
}

#[test]
fn broken_journal_is_noted_in_the_result() {
    if !may_change_root() {
        return;
    }
    let machine = Machine::new().with_journalctl();
    fs::write(machine.root().join("broken"), "").unwrap();
    let output = machine.run(Path::new(PROGRAM), &[]);
    assert!(output.status.success(), "{output:?}");
    let why = "the journal could not be read: /usr/bin/journalctl: exit status: 1: Failed to open files: Bad message; \
               the files of /var/log follow";
    assert_eq!(
        machine.entries(),
        [
            json!({"here": "/"}),
            json!({"not JSON": "{\"cut\":"}),
            note(why),
            from_file("kernel: hello")
        ]
    );
}

#[test]
fn without_journalctl_the_log_files_are_read() {
    let machine = Machine::new();
    // The names used by definitions.
    let bin = machine.directory.path().join("bin");
    fs::create_dir_all(&bin).unwrap();
    symlink(PROGRAM, bin.join("sh")).unwrap();
    let output = machine.run(&bin.join("sh"), &["-c", "/get_systemd_logs.sh"]);
    assert!(output.status.success(), "{output:?}");
    let why = "this machine has no journalctl; the files of /var/log follow";
    assert_eq!(machine.entries(), [note(why), from_file("kernel: hello")]);
}

#[test]
fn program_waits_like_the_script_and_can_be_terminated() {
    let machine = Machine::new();
    let bin = machine.directory.path().join("sh");
    symlink(PROGRAM, &bin).unwrap();
    let script = "/get_systemd_logs.sh; while true; do echo \"Plugin is complete.\"; sleep 3600; done";
    let mut child = Command::new(bin)
        .args(["-c", script])
        .env("CHROOT_DIR", machine.root())
        .env("RESULTS_DIR", machine.results())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // The line is printed after everything was written.
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    assert_eq!(Path::new(line.trim()), machine.results().join("systemd_logs"));
    let process = rustix::process::Pid::from_child(&child);
    assert_eq!(child.try_wait().unwrap(), None);
    rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
    // Ended by its handler, or by the signal if it arrived earlier.
    child.wait().unwrap();
}

#[test]
fn uncreatable_results_directory_is_an_error() {
    let machine = Machine::new();
    fs::write(machine.results(), "a file").unwrap();
    let script = "/get_systemd_logs.sh; while true; do sleep 3600; done";
    let bin = machine.directory.path().join("sh");
    symlink(PROGRAM, &bin).unwrap();
    let output = machine.run(&bin, &["-c", script]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.starts_with("error: cannot create the results directory: "),
        "{said}"
    );
}
