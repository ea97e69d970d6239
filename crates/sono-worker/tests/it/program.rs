//! The program itself: environment, arguments, exit codes, signals.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use crate::{Plugin, aggregator::Aggregator};

pub(crate) fn program(plugin: &Plugin, args: &str) -> Command {
    let config = &plugin.config;
    let mut command = Command::new(env!("CARGO_BIN_EXE_sono-worker"));
    command
        .args(args.split(' '))
        .env_clear()
        .env("AGGREGATOR_URL", &config.aggregator_urls[0])
        .env("RESULT_TYPE", config.plugin.as_str())
        .env("SONOBUOY_RESULTS_DIR", &config.results_dir)
        .env("SONOBUOY_PROGRESS_PORT", "0")
        .env("SONOBUOY_DONE_FILE_DELAY", "0s")
        .env("CA_CERT", &config.ca_cert)
        .env("CLIENT_CERT", &config.client_cert)
        .env("CLIENT_KEY", &config.client_key)
        // Uploads stay in the cluster's network and ignore the plugin's proxy.
        .env("HTTPS_PROXY", "http://127.0.0.1:9")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// Reads the log up to a line that contains `text`.
pub(crate) fn log_until(log: &mut impl Iterator<Item = std::io::Result<String>>, text: &str) -> String {
    let mut before = String::new();
    for line in log {
        let line = line.unwrap();
        if line.contains(text) {
            return line;
        }
        before.push_str(&line);
        before.push('\n');
    }
    panic!("{text:?} is not in the log:\n{before}");
}

#[cfg(unix)]
fn terminate(child: &Child) {
    let status = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn a_global_worker_ends_after_the_upload() {
    let aggregator = Aggregator::up();
    let plugin = Plugin::of(&aggregator);
    plugin.finish("a.json", "{}");
    let mut command = program(&plugin, "worker global --level=trace -v=6 --logtostderr");
    command.env("SONO_RUN_ID", "4b5b9cb6");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{log}");
    for line in [
        "Waiting for waitfile",
        "Detected done file, transmitting result file",
        "Starting to listen on port 0 for progress updates and will relay them to https://",
        "Results transmitted to aggregator.",
    ] {
        assert!(log.contains(line), "{line:?} is not in the log:\n{log}");
    }
    let unnamed: Vec<&str> = log.lines().filter(|line| !line.contains("run=4b5b9cb6")).collect();
    assert_eq!(unnamed, Vec::<&str>::new(), "lines that do not name the run");
    assert!(!log.contains("PRIVATE KEY"), "{log}");
    assert_eq!(aggregator.received().len(), 1);
}

/// Core §3.1: unknown variables, empty variables that count as unset, an invalid delay, Windows line ends around
/// the path, an address with a path, and a node's worker that sleeps.
#[tokio::test]
async fn the_environment_is_read_as_the_protocol_has_it() {
    let aggregator = Aggregator::up();
    let plugin = Plugin::of(&aggregator);
    plugin.write("a.json", "{}");
    let done = format!("\r\n{}\r\n", plugin.path().join("a.json").display());
    plugin.write("done", done);
    let mut command = program(&plugin, "worker single-node --sleep=1");
    command
        .env(
            "AGGREGATOR_URL",
            format!("{}/an/old/path?and=query", plugin.config.aggregator_urls[0]),
        )
        .env("NODE_NAME", "n1")
        .env("MASTER_URL", "https://127.0.0.1:1")
        .env("RESULTS_DIR", "/no/such/directory")
        .env("SONO_DEADLINE", "")
        .env("SONO_AGGREGATOR_FALLBACK_URL", "")
        .env("SONOBUOY_DONE_FILE_DELAY", "soon");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{log}");
    for line in [
        "SONOBUOY_DONE_FILE_DELAY: \"soon\" is not a duration",
        "Results transmitted to aggregator.  Sleeping.",
    ] {
        assert!(log.contains(line), "{line:?} is not in the log:\n{log}");
    }
    let lines: Vec<_> = aggregator
        .received()
        .into_iter()
        .map(|received| received.line)
        .collect();
    assert_eq!(lines, ["PUT /api/v1/results/by-node/n1/cis-1.8 HTTP/1.1"]);
}

/// Core §3.1: a missing or invalid variable ends the worker at once and is named.
#[tokio::test]
async fn invalid_configuration_is_exit_code_1() {
    let aggregator = Aggregator::up();
    let plugin = Plugin::of(&aggregator);
    for (name, value, said) in [
        ("AGGREGATOR_URL", "", "(AggregatorURL not set)"),
        ("RESULT_TYPE", "", "(ResultsType not set)"),
        ("CA_CERT", "", "(Couldn't parse CaCert PEM)"),
        ("CA_CERT", "no PEM", "set up the connection to the aggregator"),
        ("CLIENT_KEY", "no PEM", "set up the connection to the aggregator"),
    ] {
        let mut command = program(&plugin, "worker global");
        command.env(name, value);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name}={value:?}: {log}");
        assert!(log.contains(said), "{name}={value:?}: {log}");
    }
    assert_eq!(aggregator.received(), []);
}

#[tokio::test]
async fn a_refusal_is_exit_code_1() {
    let aggregator = Aggregator::up();
    let plugin = Plugin::of(&aggregator);
    aggregator.answer(&[(403, "not yours")]);
    plugin.finish("a.json", "{}");
    let mut command = program(&plugin, "worker global");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(log.contains("ERROR") && log.contains("not yours"), "{log}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_sleeping_worker_of_a_node_ends_on_sigterm() {
    let aggregator = Aggregator::up();
    let plugin = Plugin::of(&aggregator);
    plugin.finish("a.json", "{}");
    let mut command = program(
        &plugin,
        "worker single-node --level=trace -v=6 --logtostderr --sleep=-1",
    );
    command.env("NODE_NAME", "n1");
    let (status, line) = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = log_until(&mut log, "Sleeping forever.");
        terminate(&child);
        (child.wait().unwrap(), line)
    })
    .await
    .unwrap();
    assert!(
        line.contains("Results transmitted to aggregator.  Sleeping forever."),
        "{line}"
    );
    assert_eq!(status.code(), Some(0));
    assert_eq!(
        aggregator.received()[0].line,
        "PUT /api/v1/results/by-node/n1/cis-1.8 HTTP/1.1"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn results_written_after_sigterm_are_sent() {
    let aggregator = Aggregator::up();
    let plugin = Plugin::of(&aggregator);
    let mut command = program(&plugin, "worker global");
    let (mut child, mut log) = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        log_until(&mut log, "Waiting for waitfile");
        terminate(&child);
        log_until(&mut log, "termination requested");
        (child, log)
    })
    .await
    .unwrap();
    plugin.finish("a.json", "{}");
    let status = tokio::task::spawn_blocking(move || {
        log_until(&mut log, "Results transmitted");
        child.wait().unwrap()
    })
    .await
    .unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(aggregator.received().len(), 1);
}

/// Peak memory in KiB of a worker that uploads a file of this size.
#[cfg(target_os = "linux")]
async fn peak_memory(size: u64) -> u64 {
    let aggregator = Aggregator::up();
    let plugin = Plugin::of(&aggregator);
    let file = fs_err::File::create(plugin.path().join("result")).unwrap();
    file.set_len(size).unwrap();
    plugin.write("done", "result");
    let mut command = program(&plugin, "worker single-node --sleep=-1");
    command.env("NODE_NAME", "n1");
    let status = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        log_until(&mut log, "Sleeping forever.");
        let status = fs_err::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        terminate(&child);
        child.wait().unwrap();
        status
    })
    .await
    .unwrap();
    assert_eq!(aggregator.received()[0].length as u64, size);
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Weakness W-12: Sonobuoy's worker holds the whole result.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_large_result_needs_no_more_memory_than_a_small_one() {
    let (small, large) = (peak_memory(1).await, peak_memory(256 << 20).await);
    println!("peak memory in KiB: {small} for a byte, {large} for 256 MiB");
    assert!(large < small + 4096, "{small} KiB for a byte, {large} KiB for 256 MiB");
}

#[test]
fn wrong_usage_is_exit_code_1() {
    let output = Command::new(env!("CARGO_BIN_EXE_sono-worker"))
        .args(["worker", "galactic"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let help = Command::new(env!("CARGO_BIN_EXE_sono-worker"))
        .arg("--help")
        .output()
        .unwrap();
    assert_eq!(help.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&help.stdout).contains("Usage: sono-worker"));
}
