//! Types what a page says, in an empty directory that is also the home of whoever types it.

use std::{
    io::Read as _,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context;
use fs_err as fs;

use super::{
    Problem,
    blocks::{Block, Kind},
    compare,
};
use crate::command;

/// For one block, or one line of a session.
const LIMIT: Duration = Duration::from_mins(1);
/// Between two looks at whether it has ended.
const PAUSE: Duration = Duration::from_millis(2);

/// `cargo run -- …` means the program that is there already; whoever reads the page has none yet.
const CARGO: &str = "#!/bin/sh\nif [ \"$1 $2\" = 'run --' ]; then shift 2; exec sono \"$@\"; fi\n\
                     echo \"cargo $*: only cargo run -- is typed here\" >&2; exit 9\n";

struct Home {
    directory: PathBuf,
    programs: PathBuf,
}

/// What came of it.
struct Outcome {
    /// Both outputs.
    printed: String,
    well: bool,
}

pub(super) fn play(page: &str, blocks: &[Block], program: &Path) -> anyhow::Result<Vec<Problem>> {
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
            Kind::Shown | Kind::Left(_) => {}
            Kind::File { name, text } => fs::write(home.directory.join(name), text)?,
            Kind::Script(script) => {
                let outcome = home.shell(script)?;
                if !outcome.well {
                    let what = format!("the commands fail:\n{}", outcome.printed.trim_end());
                    problems.push(Problem::new(page, *line, what));
                }
            }
            Kind::Session(session) => {
                for typed in session {
                    let outcome = home.shell(&typed.command)?;
                    if let Some((expected, printed)) = compare::difference(&typed.printed, &outcome.printed) {
                        let what = format!(
                            "`{}` prints something else\n  page:    {expected}\n  printed: {printed}\nall of it:\n{}",
                            typed.command,
                            outcome.printed.trim_end()
                        );
                        problems.push(Problem::new(page, typed.line, what));
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
            // So that all of it can be ended.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer);
        let mut child = shell.spawn().context("start /bin/sh")?;
        // Its ends of the pipe are closed with it, so that reading ends.
        drop(shell);
        let read = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).map(|_| bytes)
        });
        let end = Instant::now() + LIMIT;
        let status = loop {
            match child.try_wait()? {
                Some(status) => break Some(status),
                None if Instant::now() < end => std::thread::sleep(PAUSE),
                None => break None,
            }
        };
        if status.is_none() {
            let group = format!("kill -KILL -- -{}", child.id());
            command::run(&mut command::new("/bin/sh", ["-c", &group]))?;
            child.wait()?;
            return Ok(Outcome {
                printed: format!("not ended after {} s", LIMIT.as_secs()),
                well: false,
            });
        }
        let bytes = read.join().ok().context("the reader broke")??;
        let home = self.directory.to_string_lossy();
        Ok(Outcome {
            printed: String::from_utf8_lossy(&bytes).replace(&*home, "~"),
            well: status.is_some_and(|status| status.success()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docs::blocks::blocks;

    #[test]
    fn a_page_is_typed_in_one_directory() {
        let page = "```yaml\n# a.yaml\nb: 1\n```\n```sh\ncp a.yaml b.yaml\n```\n```text\n$ cat b.yaml; pwd\n# a.yaml\nb: …\n~\n$ false\n```\n";
        let (found, problems) = blocks("p.md", page);
        assert_eq!(problems, []);
        assert_eq!(play("p.md", &found, Path::new("/bin/true")).unwrap(), []);
    }

    #[test]
    fn what_does_not_hold_is_told_with_its_line() {
        let page = "```sh\nfalse\ntrue\n```\n```text\n$ echo one\ntwo\n```\n";
        let (found, _) = blocks("p.md", page);
        let problems = play("p.md", &found, Path::new("/bin/true")).unwrap();
        assert_eq!(
            problems,
            [
                Problem::new("p.md", 1, "the commands fail:\n"),
                Problem::new(
                    "p.md",
                    6,
                    "`echo one` prints something else\n  page:    two\n  printed: one\nall of it:\none"
                ),
            ]
        );
    }
}
