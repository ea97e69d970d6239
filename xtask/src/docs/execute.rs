//! Runs the commands of a page in an empty home directory.

use std::{
    io::Read as _,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context;
use fs_err as fs;
use sono_testbed::command;

use super::{
    Problem,
    blocks::{Block, Kind},
    compare,
};

/// Time limit for a script or a command of a session.
const COMMAND_LIMIT: Duration = Duration::from_mins(1);
/// Interval between two checks for the end of a command.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// A replacement of cargo: `cargo run -- …` runs the existing program, which readers of the page do not have yet.
const CARGO: &str = "#!/bin/sh\nif [ \"$1 $2\" = 'run --' ]; then shift 2; exec sono \"$@\"; fi\n\
                     echo \"cargo $*: only cargo run -- is supported here\" >&2; exit 9\n";

struct Home {
    directory: PathBuf,
    programs: PathBuf,
}

/// Outcome of a command.
struct Outcome {
    /// Stdout and stderr.
    output: String,
    succeeded: bool,
}

pub(super) fn execute(page: &str, blocks: &[Block], program: &Path) -> anyhow::Result<Vec<Problem>> {
    let folder = tempfile::tempdir()?;
    let home = Home {
        directory: folder.path().join("home"),
        programs: folder.path().join("bin"),
    };
    fs::create_dir(&home.directory)?;
    fs::create_dir(&home.programs)?;
    fs::os::unix::fs::symlink(program, home.programs.join("sono"))?;
    let cargo = home.programs.join("cargo");
    fs::write(&cargo, CARGO)?;
    fs::set_permissions(&cargo, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let mut problems = Vec::new();
    for Block { line, kind } in blocks {
        match kind {
            Kind::Shown | Kind::Skipped(_) => {}
            Kind::File { name, text } => fs::write(home.directory.join(name), text)?,
            Kind::Script(script) => {
                let outcome = home.shell(script)?;
                if !outcome.succeeded {
                    let message = format!("the commands failed:\n{}", outcome.output.trim_end());
                    problems.push(Problem::new(page, *line, message));
                }
            }
            Kind::Session(session) => {
                for command in session {
                    let outcome = home.shell(&command.command)?;
                    if let Some((expected, printed)) = compare::difference(&command.output, &outcome.output) {
                        let message = format!(
                            "the output of `{}` differs\n  page:    {expected}\n  printed: {printed}\nfull output:\n{}",
                            command.command,
                            outcome.output.trim_end()
                        );
                        problems.push(Problem::new(page, command.line, message));
                    }
                }
            }
        }
    }
    Ok(problems)
}

impl Home {
    fn shell(&self, script: &str) -> anyhow::Result<Outcome> {
        let (mut reader, writer) = std::io::pipe()?;
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-euc", script])
            .current_dir(&self.directory)
            .env_clear()
            .env("HOME", &self.directory)
            .env("LC_ALL", "C.UTF-8")
            .env("PATH", format!("{}:/usr/bin:/bin", self.programs.display()))
            // To kill all processes of the command.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer);
        let mut child = shell.spawn().context("cannot start /bin/sh")?;
        // Closes this process's ends of the pipe, so that the reader ends.
        drop(shell);
        let read = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).map(|_| bytes)
        });
        let end = Instant::now() + COMMAND_LIMIT;
        let status = loop {
            match child.try_wait()? {
                Some(status) => break Some(status),
                None if Instant::now() < end => std::thread::sleep(POLL_INTERVAL),
                None => break None,
            }
        };
        if status.is_none() {
            let group = format!("kill -KILL -- -{}", child.id());
            command::run(&mut command::new("/bin/sh", ["-c", &group]))?;
            child.wait()?;
            return Ok(Outcome {
                output: format!("timeout after {} s", COMMAND_LIMIT.as_secs()),
                succeeded: false,
            });
        }
        let bytes = read.join().ok().context("the reader panicked")??;
        let home = self.directory.to_string_lossy();
        Ok(Outcome {
            output: String::from_utf8_lossy(&bytes).replace(&*home, "~"),
            succeeded: status.is_some_and(|status| status.success()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docs::blocks::blocks;

    #[test]
    fn execute_runs_blocks_in_one_directory() {
        let page = "```yaml\n# a.yaml\nb: 1\n```\n```sh\ncp a.yaml b.yaml\n```\n```text\n$ cat b.yaml; pwd\n# a.yaml\nb: …\n~\n$ false\n```\n";
        let (found, problems) = blocks("p.md", page);
        assert_eq!(problems, []);
        assert_eq!(execute("p.md", &found, Path::new("/bin/true")).unwrap(), []);
    }

    #[test]
    fn execute_reports_differences_with_lines() {
        let page = "```sh\nfalse\ntrue\n```\n```text\n$ echo one\ntwo\n```\n";
        let (found, _) = blocks("p.md", page);
        let problems = execute("p.md", &found, Path::new("/bin/true")).unwrap();
        assert_eq!(
            problems,
            [
                Problem::new("p.md", 1, "the commands failed:\n"),
                Problem::new(
                    "p.md",
                    6,
                    "the output of `echo one` differs\n  page:    two\n  printed: one\nfull output:\none"
                ),
            ]
        );
    }
}
