//! Programs that ask a cluster, looked at while they do.

use std::{
    ffi::OsStr,
    path::Path,
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use sono_types::{env, layout};
use tokio::{
    process::Command,
    time::{MissedTickBehavior, interval},
};

use crate::aggregator::high_water;

/// Between two looks at its memory. The mark does not sink: only what it takes after the last look is missed.
const LOOK: Duration = Duration::from_millis(2);
/// What the aggregator says of each request at the level `trace`.
const ASKED: &str = "asked the API server";

/// What came of it.
#[derive(Debug)]
pub(super) struct Queried {
    pub(super) seconds: f64,
    pub(super) memory_kib: u64,
    pub(super) kept_bytes: u64,
    /// Pods that were found; kubectl does not tell.
    pub(super) pods: usize,
    /// Queries that lack something.
    pub(super) incomplete: usize,
}

/// Runs the aggregator's queries.
pub(super) async fn query(program: &Path, kubeconfig: &Path, config: &Value) -> anyhow::Result<Queried> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("out");
    let mut command = command(program, kubeconfig, config, folder.path())?;
    let (status, seconds, memory_kib) = watched(&mut command).await?;
    let rows = rows(&out).with_context(|| failed(status, folder.path()))?;
    let rows = rows.as_array().context("the times of queries are a list")?;
    let pods = rows.iter().filter(|row| row["queryobj"] == "pods");
    let pods: u64 = pods.filter_map(|row| row["items"].as_u64()).sum();
    Ok(Queried {
        seconds,
        memory_kib,
        kept_bytes: size(&out)?,
        pods: usize::try_from(pods)?,
        incomplete: rows.iter().filter(|row| row["outcome"] != "complete").count(),
    })
}

/// The paths that the aggregator's queries ask for, in the order in which it did.
pub(super) async fn paths(program: &Path, kubeconfig: &Path, config: &Value) -> anyhow::Result<Vec<String>> {
    let folder = tempfile::tempdir()?;
    let mut command = command(program, kubeconfig, config, folder.path())?;
    let status = command.args(["--level", "trace"]).status().await?;
    rows(&folder.path().join("out")).with_context(|| failed(status, folder.path()))?;
    let log = fs_err::read_to_string(folder.path().join("log"))?;
    let asked = log.lines().filter(|line| line.contains(ASKED));
    let paths: Vec<String> = asked.filter_map(asked_for).map(str::to_owned).collect();
    ensure!(!paths.is_empty(), "the aggregator's log names no request");
    Ok(paths)
}

/// `kubectl get pods`, into a file.
pub(super) async fn kubectl(program: &Path, kubeconfig: &Path) -> anyhow::Result<Queried> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("pods.json");
    let mut command = Command::new(program);
    command
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args(["get", "pods", "--all-namespaces", "--output", "json"])
        .stdin(Stdio::null())
        .stdout(fs_err::File::create(&file)?.into_parts().0)
        .kill_on_drop(true);
    let (status, seconds, memory_kib) = watched(&mut command).await?;
    ensure!(status.success(), "kubectl: {status}");
    Ok(Queried {
        seconds,
        memory_kib,
        kept_bytes: fs_err::metadata(&file)?.len(),
        pods: 0,
        incomplete: 0,
    })
}

fn command(program: &Path, kubeconfig: &Path, config: &Value, folder: &Path) -> anyhow::Result<Command> {
    let path = folder.join("config.json");
    fs_err::write(&path, config.to_string())?;
    let mut command = Command::new(program);
    command
        .args([OsStr::new("query"), OsStr::new("--kubeconfig"), kubeconfig.as_os_str()])
        .arg("--output")
        .arg(folder.join("out"))
        .env(env::SONOBUOY_CONFIG, &path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs_err::File::create(folder.join("log"))?.into_parts().0)
        .kill_on_drop(true);
    Ok(command)
}

/// Exit status, seconds and `VmHWM` in KiB of a program that is run to its end.
async fn watched(command: &mut Command) -> anyhow::Result<(ExitStatus, f64, u64)> {
    let began = Instant::now();
    let mut child = command.spawn()?;
    let id = child.id().context("it has just begun")?;
    let mut memory = 0;
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            status = child.wait() => return Ok((status?, began.elapsed().as_secs_f64(), memory >> 10)),
            _ = looks.tick() => memory = memory.max(high_water(id).unwrap_or_default()),
        }
    }
}

fn rows(out: &Path) -> anyhow::Result<Value> {
    Ok(serde_json::from_str(&fs_err::read_to_string(
        out.join(layout::QUERY_TIME),
    )?)?)
}

fn failed(status: ExitStatus, folder: &Path) -> String {
    let log = fs_err::read_to_string(folder.join("log")).unwrap_or_default();
    format!("the queries ended with {status}: {log}")
}

/// The path in a line of the log; those of requests have no quotation marks.
fn asked_for(line: &str) -> Option<&str> {
    line.split_once("path=\"")?.1.split_once('"').map(|(path, _)| path)
}

/// Bytes of all files below a directory.
fn size(directory: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in fs_err::read_dir(directory)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() {
            size(&entry.path())?
        } else {
            entry.metadata()?.len()
        };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_names_paths() {
        let line = r#"2026 TRACE sono_kube::query::reader: asked the API server path="/api/v1/pods?limit=500&continue=a%3D" status=200 run_id="""#;
        assert_eq!(asked_for(line), Some("/api/v1/pods?limit=500&continue=a%3D"));
        assert_eq!(asked_for("asked the API server"), None);
    }

    #[test]
    fn files_of_all_depths_count() {
        let folder = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(folder.path().join("a/b")).unwrap();
        fs_err::write(folder.path().join("a/b/c"), "123").unwrap();
        fs_err::write(folder.path().join("d"), "4567").unwrap();
        assert_eq!(size(folder.path()).unwrap(), 7);
    }
}
