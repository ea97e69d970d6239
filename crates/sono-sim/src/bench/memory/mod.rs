//! How much memory the aggregator holds while a DaemonSet plugin runs on many nodes.
//!
//! The API is the fake one with nodes and pods of the usual size, or a real API server with Node objects behind which no machine
//! is. What counts is the high-water mark of its process (`VmHWM`) from its start to some time after the last pod exists.

mod fake;
mod objects;
mod report;
mod there;

use std::{path::PathBuf, time::Duration};

use clap::Args;
use serde::Serialize;

use super::facts;

#[derive(Debug, Args)]
pub(crate) struct Memory {
    /// The aggregator's program, for the fake API
    #[arg(long, value_name = "FILE", required_unless_present = "kubeconfig")]
    aggregator: Option<PathBuf>,
    /// Another one, side by side: one from before a change
    #[arg(long, value_name = "FILE", requires = "aggregator")]
    against: Option<PathBuf>,
    /// Numbers of nodes, each with one pod
    #[arg(long, value_name = "COUNT", value_delimiter = ',', default_values_t = [1, 1_001, 2_201, 10_000],
        value_parser = clap::value_parser!(u32).range(1..=20_000))]
    nodes: Vec<u32>,
    /// Bytes of a node and of a pod, as the fake API sends them
    #[arg(long, value_name = "BYTES", default_value_t = 25_000)]
    object_bytes: usize,
    /// How long after the last pod the mark is read
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    hold: u64,
    /// Instead: on this cluster, with the images that it has; nodes are created and removed afterwards
    #[arg(long, value_name = "FILE", requires_all = ["sono", "kubectl"], conflicts_with = "aggregator")]
    kubeconfig: Option<PathBuf>,
    /// The command line, to run and to delete on that cluster
    #[arg(long, value_name = "FILE", requires = "kubeconfig")]
    sono: Option<PathBuf>,
    /// kubectl, whose deletion of a namespace is the lower bound of `sono delete --wait`
    #[arg(long, value_name = "FILE", requires = "kubeconfig")]
    kubectl: Option<PathBuf>,
    /// Do not measure how long deleting takes
    #[arg(long, requires = "kubeconfig")]
    no_delete: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// One point of the curve.
#[derive(Debug, Clone, Default, Serialize)]
struct Point {
    server: &'static str,
    program: String,
    nodes: usize,
    /// The mark before the first pod: the nodes have been listed.
    started_kib: u64,
    /// The mark some time after the last pod.
    memory_kib: u64,
    /// Resident at that time.
    resident_kib: u64,
    /// The mark of a second process that takes up the run, and lists all pods at once.
    taken_up_kib: Option<u64>,
    /// From the start to the last pod.
    pods_seconds: f64,
    /// `sono delete --wait`.
    delete_seconds: Option<f64>,
    /// `kubectl delete namespace` of an equal run: the API server alone.
    namespace_seconds: Option<f64>,
}

/// The most that is allowed up to so many nodes, in MB of 1,000,000 bytes (issue 15).
const BOUNDS: [(usize, u64); 4] = [(10, 16), (1_001, 40), (2_201, 64), (10_000, 128)];

impl Point {
    fn bound(&self) -> Option<u64> {
        let fits = |(nodes, _): &&(usize, u64)| self.nodes <= *nodes;
        BOUNDS.iter().find(fits).map(|(_, megabytes)| *megabytes)
    }

    fn is_within(&self) -> bool {
        let bound = self.bound().unwrap_or(u64::MAX >> 20);
        self.memory_kib * 1024 <= bound * 1_000_000
    }
}

/// Measures; fails where a bound is broken by the program that is not compared with.
pub(crate) async fn memory(arguments: Memory) -> anyhow::Result<()> {
    let mut nodes: Vec<usize> = arguments.nodes.iter().map(|nodes| *nodes as usize).collect();
    nodes.sort_unstable();
    let hold = Duration::from_secs(arguments.hold);
    let mut report = report::Report::new(facts::facts(&std::env::temp_dir()), !arguments.json);
    if let (Some(kubeconfig), Some(sono), Some(kubectl)) = (&arguments.kubeconfig, &arguments.sono, &arguments.kubectl)
    {
        let there = there::There::new(kubeconfig, sono, kubectl, hold, !arguments.no_delete)?;
        there.measure(&nodes, &mut report).await?;
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
    fn bounds_are_those_of_the_next_larger_cluster() {
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
