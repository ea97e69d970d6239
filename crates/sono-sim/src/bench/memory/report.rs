//! The curve as a table and as JSON.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its report is what it is for")]

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
    tells: bool,
}

impl Report {
    /// Prints every point when it is known, where it `tells`.
    pub(super) fn new(machine: Facts, tells: bool) -> Self {
        let points = Vec::new();
        Self { machine, points, tells }
    }

    pub(super) fn add(&mut self, point: Point) {
        if self.tells {
            eprintln!("{}", json!(point));
        }
        self.points.push(point);
    }

    /// Prints all points; fails where a bound is broken.
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
            .map(|point| format!("{} nodes take {} MB", point.nodes, megabytes(point.memory_kib)))
            .collect();
        ensure!(broken.is_empty(), "more than allowed: {}", broken.join(", "));
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
            "taken up",
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
                point.taken_up_kib.map(megabytes).unwrap_or_default(),
                seconds(Some(point.pods_seconds)),
                seconds(point.delete_seconds),
                seconds(point.namespace_seconds),
            ]);
        }
        table.to_string()
    }
}

/// MB of 1,000,000 bytes; tenths are exact enough.
fn megabytes(kibibytes: u64) -> String {
    let tenths = kibibytes * 1024 / 100_000;
    format!("{}.{}", tenths / 10, tenths % 10)
}
