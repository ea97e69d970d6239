//! Runs programs that query a cluster and measures their time and memory.

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

/// Interval between two memory samples. Peak memory never decreases, so only growth after the last sample is missed.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(2);
/// The aggregator's log messages for each request at the level `trace`; the second one is of earlier versions.
const REQUEST_MESSAGES: [&str; 2] = ["API server responded", "asked the API server"];

/// Measurements of a program's queries.
#[derive(Debug)]
pub(super) struct Queried {
    pub(super) seconds: f64,
    pub(super) memory_kib: u64,
    pub(super) stored_bytes: u64,
    /// Number of found pods; 0 for kubectl, which does not report it.
    pub(super) pods: usize,
    /// Number of incomplete queries.
    pub(super) incomplete: usize,
}

/// Runs the aggregator's queries.
pub(super) async fn query(program: &Path, kubeconfig: &Path, config: &Value) -> anyhow::Result<Queried> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("out");
    let mut command = command(program, kubeconfig, config, folder.path())?;
    let (status, seconds, memory_kib) = run_and_measure(&mut command).await?;
    let rows = rows(&out).with_context(|| failed(status, folder.path()))?;
    let rows = rows.as_array().context("the query times are not a list")?;
    let pods = rows.iter().filter(|row| row["queryobj"] == "pods");
    let pods: u64 = pods.filter_map(|row| row["items"].as_u64()).sum();
    Ok(Queried {
        seconds,
        memory_kib,
        stored_bytes: size(&out)?,
        pods: usize::try_from(pods)?,
        incomplete: rows.iter().filter(|row| row["outcome"] != "complete").count(),
    })
}

/// The request paths of the aggregator's queries, in order.
pub(super) async fn paths(program: &Path, kubeconfig: &Path, config: &Value) -> anyhow::Result<Vec<String>> {
    let folder = tempfile::tempdir()?;
    let mut command = command(program, kubeconfig, config, folder.path())?;
    let status = command.args(["--level", "trace"]).status().await?;
    rows(&folder.path().join("out")).with_context(|| failed(status, folder.path()))?;
    let log = fs_err::read_to_string(folder.path().join("log"))?;
    let requests = log
        .lines()
        .filter(|line| REQUEST_MESSAGES.iter().any(|message| line.contains(*message)));
    let paths: Vec<String> = requests.filter_map(request_path).map(str::to_owned).collect();
    ensure!(!paths.is_empty(), "the aggregator's log has no requests");
    Ok(paths)
}

/// Runs `kubectl get pods` with its output in a file.
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
    let (status, seconds, memory_kib) = run_and_measure(&mut command).await?;
    ensure!(status.success(), "kubectl: {status}");
    Ok(Queried {
        seconds,
        memory_kib,
        stored_bytes: fs_err::metadata(&file)?.len(),
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

/// Runs a program to its end; returns exit status, seconds and peak memory (`VmHWM`) in KiB.
async fn run_and_measure(command: &mut Command) -> anyhow::Result<(ExitStatus, f64, u64)> {
    let began = Instant::now();
    let mut child = command.spawn()?;
    let id = child.id().context("the program has ended")?;
    let mut memory = 0;
    let mut samples = interval(SAMPLE_INTERVAL);
    samples.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            status = child.wait() => return Ok((status?, began.elapsed().as_secs_f64(), memory >> 10)),
            _ = samples.tick() => memory = memory.max(high_water(id).unwrap_or_default()),
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

/// The path in a line of the log; request paths contain no quotation marks.
fn request_path(line: &str) -> Option<&str> {
    line.split_once("path=\"")?.1.split_once('"').map(|(path, _)| path)
}

/// Total size of all files below a directory, in bytes.
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
    fn request_path_parsed_from_log_line() {
        let line = r#"2026 TRACE sono_kube::query::reader: API server responded path="/api/v1/pods?limit=500&continue=a%3D" status=200 run_id="""#;
        assert_eq!(request_path(line), Some("/api/v1/pods?limit=500&continue=a%3D"));
        assert_eq!(request_path("API server responded"), None);
    }

    #[test]
    fn size_counts_nested_files() {
        let folder = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(folder.path().join("a/b")).unwrap();
        fs_err::write(folder.path().join("a/b/c"), "123").unwrap();
        fs_err::write(folder.path().join("d"), "4567").unwrap();
        assert_eq!(size(folder.path()).unwrap(), 7);
    }
}
