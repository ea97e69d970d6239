//! Inputs that end the process: a stack that overflows, an abort. Nothing in the process can tell of them afterwards, so
//! each input is put into a file before it is tried, and the parent looks into it.

use std::{
    io::{self, Seek as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
};

use fs_err as fs;

/// The file that holds the input that is being tried.
#[derive(Debug)]
pub struct Keeper {
    file: fs::File,
}

impl Keeper {
    /// Opens the file, empty, and makes the directory it is in.
    pub fn new(path: &Path) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        Ok(Self {
            file: fs::File::create(path)?,
        })
    }

    /// Puts the input there. Not synced: it has to survive the process, not the machine.
    pub fn keep(&mut self, input: &[u8]) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(input)
    }
}

/// How a process that tries inputs ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this exit code; it has said the rest.
    Told(u8),
    /// Some input ended it.
    Killed {
        /// How, in the system's words.
        how: String,
        /// Where the input is.
        input: PathBuf,
    },
}

/// Runs a process that keeps its inputs in `running`. What ends it is moved to `failing`.
pub fn supervise(command: &mut Command, running: &Path, failing: &Path) -> io::Result<Ended> {
    let status = command.status()?;
    if let Some(code) = told(status) {
        fs::remove_file(running).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        return Ok(Ended::Told(code));
    }
    fs::rename(running, failing)?;
    Ok(Ended::Killed {
        how: status.to_string(),
        input: failing.to_path_buf(),
    })
}

/// The exit code, where it is one of ours; Windows has codes for what are signals elsewhere.
fn told(status: ExitStatus) -> Option<u8> {
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

    /// Not a test by itself: the process that the test below starts.
    #[test]
    fn the_process_that_is_ended() {
        let Some(root) = env::var_os(ROOT).map(PathBuf::from) else {
            return;
        };
        let mut keeper = Keeper::new(&root.join("running")).unwrap();
        fuzz(&DEADLY, 1, Duration::from_mins(1), |input| keeper.keep(input).unwrap());
    }

    fn child(root: &Path) -> Command {
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(["--exact", "keep::tests::the_process_that_is_ended", "--nocapture"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .env(ROOT, root);
        command
    }

    #[test]
    fn an_input_that_ends_the_process_is_kept() {
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
    fn a_process_that_ends_by_itself_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (running, failing) = (folder.path().join("running"), folder.path().join("f"));
        fs::write(&running, "last").unwrap();
        let mut command = child(folder.path());
        command.env_remove(ROOT);
        assert_eq!(supervise(&mut command, &running, &failing).unwrap(), Ended::Told(0));
        assert!(!running.exists() && !failing.exists());
    }
}
