//! The program of the image of systemd-logs, as a process, on roots that the tests make.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail the test, and say what they cannot do here"
)]

use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use fs_err as fs;
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_sono-systemd-logs");
/// Says what it was asked for and where it is; a file `/broken` makes it fail after the first line.
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

    /// A program without libraries, since the root has none.
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

    /// The entries of the file that the done file names.
    fn entries(&self) -> Vec<Value> {
        let done = fs::read_to_string(self.results().join("done")).unwrap();
        assert_eq!(Path::new(&done), self.results().join("systemd_logs"));
        let text = fs::read_to_string(done).unwrap();
        let entry = |line| serde_json::from_str(line).unwrap_or_else(|_| json!({ "no JSON": line }));
        text.lines().map(entry).collect()
    }
}

/// Another root is for root alone.
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
fn the_machines_own_journalctl_is_run_below_its_root() {
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
fn a_journal_that_breaks_off_is_said_in_the_result_and_the_plugin_ends() {
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
            json!({"no JSON": "{\"cut\":"}),
            note(why),
            from_file("kernel: hello")
        ]
    );
}

#[test]
fn without_journalctl_the_log_files_are_read() {
    let machine = Machine::new();
    // The names by which definitions start it.
    let bin = machine.directory.path().join("bin");
    fs::create_dir_all(&bin).unwrap();
    symlink(PROGRAM, bin.join("sh")).unwrap();
    let output = machine.run(&bin.join("sh"), &["-c", "/get_systemd_logs.sh"]);
    assert!(output.status.success(), "{output:?}");
    let why = "this machine has no journalctl; the files of /var/log follow";
    assert_eq!(machine.entries(), [note(why), from_file("kernel: hello")]);
}

#[test]
fn it_stays_when_the_script_does_and_ends_when_asked() {
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
    // The line comes when all is written.
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    assert_eq!(Path::new(line.trim()), machine.results().join("systemd_logs"));
    let process = rustix::process::Pid::from_child(&child);
    assert_eq!(child.try_wait().unwrap(), None);
    rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
    // By its handler, or by the signal where that came before the handler.
    child.wait().unwrap();
}

#[test]
fn a_results_directory_that_cannot_be_made_ends_it() {
    let machine = Machine::new();
    fs::write(machine.results(), "a file").unwrap();
    let script = "/get_systemd_logs.sh; while true; do sleep 3600; done";
    let bin = machine.directory.path().join("sh");
    symlink(PROGRAM, &bin).unwrap();
    let output = machine.run(&bin, &["-c", script]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.starts_with("error: make the results directory: "), "{said}");
}
