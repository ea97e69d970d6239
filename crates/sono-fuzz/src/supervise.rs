//! Finds inputs that kill the process, by a stack overflow or an abort. Each input is written to a file before its
//! execution; the parent process reads the file afterwards.

use std::{
    io::{self, Seek as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
};

use fs_err as fs;

/// The file that holds the current input.
#[derive(Debug)]
pub struct InputRecorder {
    file: fs::File,
}

impl InputRecorder {
    /// Creates or truncates the file, and creates its directory.
    pub fn new(path: &Path) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        Ok(Self {
            file: fs::File::create(path)?,
        })
    }

    /// Writes the input to the file. Not synced: it must survive the process, not the machine.
    pub fn record(&mut self, input: &[u8]) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(input)
    }
}

/// The end of a process that executes inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It exited with this code and printed its own report.
    Exited(u8),
    /// An input killed it.
    Killed {
        /// The exit status as text.
        how: String,
        /// Path of the input.
        input: PathBuf,
    },
}

/// Runs a process that records its inputs in `running`. Moves an input that kills it to `failing`.
pub fn supervise(command: &mut Command, running: &Path, failing: &Path) -> io::Result<Ended> {
    let status = command.status()?;
    if let Some(code) = own_exit_code(status) {
        fs::remove_file(running).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        return Ok(Ended::Exited(code));
    }
    fs::rename(running, failing)?;
    Ok(Ended::Killed {
        how: status.to_string(),
        input: failing.to_path_buf(),
    })
}

/// The exit code if it is 0 or 1. Windows reports crashes as other exit codes where Unix has signals.
fn own_exit_code(status: ExitStatus) -> Option<u8> {
    status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .filter(|code| *code <= 1)
}

#[cfg(test)]
mod tests {
    use std::{env, time::Duration};

    use super::*;
    use crate::{Target, fuzz};

    const ROOT: &str = "SONO_FUZZ_TEST_ROOT";

    static DEADLY: Target = Target {
        name: "deadly",
        run: |input| {
            if input.contains(&b'!') {
                std::process::abort();
            }
        },
        seeds: || vec![b"quiet".to_vec()],
        dictionary: &["!"],
    };

    /// Helper process of the test below, not a test.
    #[test]
    fn deadly_process() {
        let Some(root) = env::var_os(ROOT).map(PathBuf::from) else {
            return;
        };
        let mut recorder = InputRecorder::new(&root.join("running")).unwrap();
        fuzz(&DEADLY, 1, Duration::from_mins(1), |input| {
            recorder.record(input).unwrap();
        });
    }

    fn child(root: &Path) -> Command {
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(["--exact", "supervise::tests::deadly_process", "--nocapture"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .env(ROOT, root);
        command
    }

    #[test]
    fn supervise_deadly_input_saved_as_failing() {
        let folder = tempfile::tempdir().unwrap();
        let (running, failing) = (folder.path().join("running"), folder.path().join("deadly-1"));
        let ended = supervise(&mut child(folder.path()), &running, &failing).unwrap();
        let Ended::Killed { input, .. } = ended else {
            panic!("{ended:?}");
        };
        assert_eq!(input, failing);
        assert!(fs::read(&failing).unwrap().contains(&b'!'));
        assert!(!running.exists());
    }

    #[test]
    fn supervise_exited_process_leaves_no_files() {
        let folder = tempfile::tempdir().unwrap();
        let (running, failing) = (folder.path().join("running"), folder.path().join("f"));
        fs::write(&running, "last").unwrap();
        let mut command = child(folder.path());
        command.env_remove(ROOT);
        assert_eq!(supervise(&mut command, &running, &failing).unwrap(), Ended::Exited(0));
        assert!(!running.exists() && !failing.exists());
    }
}
