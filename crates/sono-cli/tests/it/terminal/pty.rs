//! A terminal for a process: `script` of util-linux, which every Linux distribution has.

use std::process::{Command, Output, Stdio};

use crate::command;

/// How a process is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// Standard output and standard error are one terminal.
    Terminal,
    /// Standard output is a terminal, standard error is a file.
    Screen,
    /// Both are pipes.
    Pipes,
}

/// Output of a process.
#[derive(Debug)]
pub(super) struct Printed {
    pub(super) stdout: String,
    /// Standard error; empty if both streams are a terminal.
    pub(super) stderr: String,
}

pub(super) fn run(
    ends: Ends,
    directory: &std::path::Path,
    variables: &[(&str, String)],
    arguments: &[String],
) -> Printed {
    let mut program = command(directory);
    program
        .env("PATH", "/usr/bin:/bin")
        .env("TERM", "xterm-256color")
        .envs(variables.iter().cloned())
        .args(arguments);
    if ends == Ends::Pipes {
        let output = program.stdin(Stdio::null()).output().unwrap();
        return Printed {
            stdout: text(&output),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
    }
    let words = std::iter::once(program.get_program()).chain(program.get_args());
    let words: Vec<String> = words.map(|word| quoted(word.to_str().unwrap())).collect();
    let errors = directory.join("stderr-of-the-process");
    let aside = if ends == Ends::Screen {
        format!(" 2>{}", quoted(errors.to_str().unwrap()))
    } else {
        String::new()
    };
    // Line endings are unchanged, and the end of the input is not echoed as ^D.
    let line = format!("stty -opost -echo cols 200 rows 50; exec {}{aside}", words.join(" "));
    let mut script = Command::new("script");
    script
        .env_clear()
        .current_dir(directory)
        .args(["-q", "-e", "-E", "never", "-c", &line, "/dev/null"])
        .stdin(Stdio::null());
    script.env("SHELL", "/bin/sh");
    for (name, value) in program.get_envs() {
        script.env(name, value.unwrap_or_default());
    }
    let output = script.output().unwrap();
    assert!(output.stderr.is_empty(), "{output:?}");
    let stderr = fs_err::read_to_string(&errors).unwrap_or_default();
    Printed {
        stdout: text(&output),
        stderr,
    }
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Quotes a word for a shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[test]
fn a_process_in_a_terminal_sees_one() {
    let directory = tempfile::tempdir().unwrap();
    let help = |ends| run(ends, directory.path(), &[], &["--help".to_owned()]).stdout;
    assert!(help(Ends::Terminal).contains("\u{1b}["));
    assert!(!help(Ends::Pipes).contains("\u{1b}["));
}
