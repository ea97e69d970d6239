//! The pod that plants canaries: values that must not be in the archive, in its log and its result.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use fs_err as fs;
use sono_redact::{log_writes, result_files};
use sono_types::{
    canary::{SEED_VARIABLE, Seed},
    constants, env, exit,
};

/// Between writes to the log, so that the container runtime reads them separately.
const PAUSE: Duration = Duration::from_millis(100);
/// Directory of the result files in that of the results.
const DIRECTORY: &str = "canaries";

/// Writes canaries to the log, then to the result.
pub(super) fn plant() -> anyhow::Result<ExitCode> {
    let seed = std::env::var(SEED_VARIABLE).unwrap_or_default();
    let seed = Seed::parse(&seed).with_context(|| format!("{SEED_VARIABLE} must have 32 hexadecimal digits"))?;
    let mut log = std::io::stdout().lock();
    for text in log_writes(seed) {
        log.write_all(text.as_bytes())
            .and_then(|()| log.flush())
            .context("cannot write to standard output")?;
        std::thread::sleep(PAUSE);
    }
    let results = [env::SONOBUOY_RESULTS_DIR, env::RESULTS_DIR]
        .into_iter()
        .find_map(std::env::var_os)
        .map_or_else(|| PathBuf::from(constants::RESULTS_DIR), PathBuf::from);
    write_results(&results, seed)?;
    Ok(ExitCode::from(exit::SUCCESS))
}

/// Writes the result files, then the done file.
fn write_results(results: &Path, seed: Seed) -> anyhow::Result<()> {
    let directory = std::path::absolute(results.join(DIRECTORY)).context("cannot find the results directory")?;
    fs::create_dir_all(&directory)?;
    for (name, content) in result_files(seed)? {
        fs::write(directory.join(name), content)?;
    }
    let unfinished = results.join(".done");
    fs::write(&unfinished, directory.to_string_lossy().as_bytes())?;
    fs::rename(&unfinished, results.join(constants::DONE_FILE))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_complete_when_the_done_file_names_them() {
        let directory = tempfile::tempdir().unwrap();
        write_results(directory.path(), Seed::new(3)).unwrap();
        let done = fs::read_to_string(directory.path().join("done")).unwrap();
        let mut names: Vec<String> = fs::read_dir(done)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["canary.log.gz", "canary.tar.gz", "canary.txt", "canary.xml"]);
    }
}
