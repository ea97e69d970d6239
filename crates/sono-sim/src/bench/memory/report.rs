//! The measured points as a table and as JSON.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "prints the report")]

use anyhow::ensure;
use serde::Serialize;
use serde_json::json;

use super::Point;
use crate::bench::{facts::Facts, report::table};

#[derive(Debug, Serialize)]
pub(super) struct Report {
    machine: Facts,
    points: Vec<Point>,
    #[serde(skip)]
    prints_progress: bool,
}

impl Report {
    /// Creates a report. With `prints_progress` it prints each point when it is added.
    pub(super) fn new(machine: Facts, prints_progress: bool) -> Self {
        let points = Vec::new();
        Self {
            machine,
            points,
            prints_progress,
        }
    }

    pub(super) fn add(&mut self, point: Point) {
        if self.prints_progress {
            eprintln!("{}", json!(point));
        }
        self.points.push(point);
    }

    /// Prints all points; fails if one exceeds its limit.
    pub(super) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        if as_json {
            println!("{:#}", json!(self));
        } else {
            println!("{}", serde_json::to_string(&self.machine)?);
            println!("{}", self.table());
        }
        let broken = self
            .points
            .iter()
            .filter(|point| point.program != "other" && !point.is_within());
        let broken: Vec<String> = broken
            .map(|point| format!("{} nodes use {} MB", point.nodes, megabytes(point.memory_kib)))
            .collect();
        ensure!(broken.is_empty(), "memory limit exceeded: {}", broken.join(", "));
        Ok(())
    }

    fn table(&self) -> String {
        let mut table = table(&[
            "server",
            "program",
            "nodes",
            "MB at start",
            "MB",
            "allowed",
            "resident",
            "resumed",
            "s to the last pod",
            "s delete --wait",
            "s kubectl delete ns",
        ]);
        let seconds = |seconds: Option<f64>| seconds.map_or_else(String::new, |seconds| format!("{seconds:.1}"));
        for point in &self.points {
            table.add_row([
                point.server.to_owned(),
                point.program.clone(),
                point.nodes.to_string(),
                megabytes(point.started_kib),
                megabytes(point.memory_kib),
                point.bound().map(|bound| bound.to_string()).unwrap_or_default(),
                megabytes(point.resident_kib),
                point.resumed_kib.map(megabytes).unwrap_or_default(),
                seconds(Some(point.pods_seconds)),
                seconds(point.delete_seconds),
                seconds(point.namespace_seconds),
            ]);
        }
        table.to_string()
    }
}

/// MB of 1,000,000 bytes with one decimal.
fn megabytes(kibibytes: u64) -> String {
    let tenths = kibibytes * 1024 / 100_000;
    format!("{}.{}", tenths / 10, tenths % 10)
}
