//! Measures the aggregator's memory while a DaemonSet plugin runs on many nodes.
//!
//! The API is the fake one with nodes and pods of realistic size, or a real API server with Node objects without machines.
//! The result is the process's peak memory (`VmHWM`) from its start to some time after the creation of the last pod.

mod api_server;
mod fake;
mod objects;
mod report;

use std::{path::PathBuf, time::Duration};

use clap::Args;
use serde::Serialize;

use super::facts;

#[derive(Debug, Args)]
pub(crate) struct Memory {
    /// Path of the aggregator program, for the fake API
    #[arg(long, value_name = "FILE", required_unless_present = "kubeconfig")]
    aggregator: Option<PathBuf>,
    /// Path of another aggregator program to compare with, such as an earlier version
    #[arg(long, value_name = "FILE", requires = "aggregator")]
    against: Option<PathBuf>,
    /// Numbers of nodes to measure, with one pod each
    #[arg(long, value_name = "COUNT", value_delimiter = ',', default_values_t = [1, 1_001, 2_201, 10_000],
        value_parser = clap::value_parser!(u32).range(1..=20_000))]
    nodes: Vec<u32>,
    /// Size of a node and of a pod from the fake API, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 25_000)]
    object_bytes: usize,
    /// Seconds between the last pod and the measurement
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    hold: u64,
    /// Measure on this cluster with its images instead; creates nodes and deletes them afterwards
    #[arg(long, value_name = "FILE", requires_all = ["sono", "kubectl"], conflicts_with = "aggregator")]
    kubeconfig: Option<PathBuf>,
    /// Path of the program `sono`, for that cluster
    #[arg(long, value_name = "FILE", requires = "kubeconfig")]
    sono: Option<PathBuf>,
    /// Path of kubectl; its namespace deletion is the lower bound of `sono delete --wait`
    #[arg(long, value_name = "FILE", requires = "kubeconfig")]
    kubectl: Option<PathBuf>,
    /// Do not measure the time of deletions
    #[arg(long, requires = "kubeconfig")]
    no_delete: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// One measured point.
#[derive(Debug, Clone, Default, Serialize)]
struct Point {
    server: &'static str,
    program: String,
    nodes: usize,
    /// Peak memory before the first pod, after listing the nodes.
    started_kib: u64,
    /// Peak memory some time after the last pod.
    memory_kib: u64,
    /// Resident memory at that time.
    resident_kib: u64,
    /// Peak memory of a second process that resumes the run and lists all pods.
    #[serde(rename = "taken_up_kib")]
    resumed_kib: Option<u64>,
    /// Time from the start to the last pod.
    pods_seconds: f64,
    /// Time of `sono delete --wait`.
    delete_seconds: Option<f64>,
    /// Time of `kubectl delete namespace` for an equal run: the API server alone.
    namespace_seconds: Option<f64>,
}

/// Memory limits by number of nodes, in MB of 1,000,000 bytes.
const BOUNDS: [(usize, u64); 4] = [(10, 16), (1_001, 40), (2_201, 64), (10_000, 128)];

impl Point {
    fn bound(&self) -> Option<u64> {
        let covers = |(nodes, _): &&(usize, u64)| self.nodes <= *nodes;
        BOUNDS.iter().find(covers).map(|(_, megabytes)| *megabytes)
    }

    fn is_within(&self) -> bool {
        let bound = self.bound().unwrap_or(u64::MAX >> 20);
        self.memory_kib * 1024 <= bound * 1_000_000
    }
}

/// Measures all points; fails if the program of `--aggregator` exceeds a limit.
pub(crate) async fn memory(arguments: Memory) -> anyhow::Result<()> {
    let mut nodes: Vec<usize> = arguments.nodes.iter().map(|nodes| *nodes as usize).collect();
    nodes.sort_unstable();
    let hold = Duration::from_secs(arguments.hold);
    let mut report = report::Report::new(facts::facts(&std::env::temp_dir()), !arguments.json);
    if let (Some(kubeconfig), Some(sono), Some(kubectl)) = (&arguments.kubeconfig, &arguments.sono, &arguments.kubectl)
    {
        let cluster = api_server::Cluster::new(kubeconfig, sono, kubectl, hold, !arguments.no_delete)?;
        cluster.measure(&nodes, &mut report).await?;
    }
    for &nodes in &nodes {
        for (name, program) in [("sono", &arguments.aggregator), ("other", &arguments.against)] {
            if let Some(program) = program {
                let program = program.canonicalize()?;
                report.add(fake::measure(name, &program, nodes, arguments.object_bytes, hold).await?);
            }
        }
    }
    report.print(arguments.json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bound_is_that_of_next_larger_cluster() {
        let within = |nodes, memory_kib| {
            let point = Point {
                nodes,
                memory_kib,
                ..Point::default()
            };
            (point.bound(), point.is_within())
        };
        assert_eq!(within(1, 15_625), (Some(16), true));
        assert_eq!(within(1, 15_626), (Some(16), false));
        assert_eq!(within(1_001, 39_062), (Some(40), true));
        assert_eq!(within(2_201, 62_501), (Some(64), false));
        assert_eq!(within(10_000, 125_000), (Some(128), true));
        assert_eq!(within(10_001, 125_001), (None, true));
    }
}
