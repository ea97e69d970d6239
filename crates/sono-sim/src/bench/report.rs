//! Figures as a table and as JSON.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its report is what it is for")]

use comfy_table::{Table, presets::NOTHING};
use serde::Serialize;
use serde_json::json;

use super::{Cell, StatusCell, facts::Facts};

/// All figures of one run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    machine: Facts,
    ingest: Vec<Cell>,
    status: Vec<StatusCell>,
    left_out: Vec<String>,
}

impl Report {
    pub(super) fn new(machine: Facts) -> Self {
        Self {
            machine,
            ingest: Vec::new(),
            status: Vec::new(),
            left_out: Vec::new(),
        }
    }

    pub(super) fn leave_out(&mut self, workers: usize, bytes: u64, cap: u64) {
        self.left_out
            .push(format!("{workers} workers with {bytes} bytes: more than {cap} MiB"));
    }

    /// Takes note of a cell; tells that it is done, since all of them take a while.
    pub(super) fn add(&mut self, cell: Cell, tells: bool) {
        if tells {
            eprintln!("{}", json!(cell));
        }
        self.ingest.push(cell);
    }

    pub(super) fn add_status(&mut self, cell: StatusCell, tells: bool) {
        if tells {
            eprintln!("{}", json!(cell));
        }
        self.status.push(cell);
    }

    pub(super) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        if as_json {
            println!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        println!("{}", serde_json::to_string(&self.machine)?);
        let mut table = table(&[
            "server",
            "workers",
            "bytes",
            "stalled",
            "uploads/s",
            "MiB/s",
            "p50 ms",
            "p99 ms",
            "max ms",
            "again",
            "lost",
            "MiB",
            "sealed s",
        ]);
        for cell in &self.ingest {
            let measured = &cell.measured;
            table.add_row([
                cell.server.clone(),
                cell.workers.to_string(),
                cell.bytes.to_string(),
                cell.stalled.to_string(),
                format!("{:.0}", measured.uploads_per_second),
                format!("{:.1}", measured.mib_per_second),
                format!("{:.1}", measured.p50_ms),
                format!("{:.1}", measured.p99_ms),
                format!("{:.1}", measured.max_ms),
                measured.failed_tries.to_string(),
                measured.lost.to_string(),
                cell.memory_mib.map_or_else(String::new, |memory| memory.to_string()),
                seconds(cell.sealed_seconds),
            ]);
        }
        println!("{table}");
        let mut table = self::table(&[
            "server",
            "nodes",
            "status writes",
            "largest",
            "all bytes",
            "full status ms",
            "bytes",
            "MiB",
            "sealed s",
        ]);
        for cell in &self.status {
            let full = cell
                .full_status_ms
                .map_or_else(String::new, |time| format!("{time:.1}"));
            table.add_row([
                cell.server.clone(),
                cell.nodes.to_string(),
                cell.writes.to_string(),
                cell.largest_write.to_string(),
                cell.all_writes.to_string(),
                full,
                cell.full_status_bytes
                    .map_or_else(String::new, |bytes| bytes.to_string()),
                cell.memory_mib.map_or_else(String::new, |memory| memory.to_string()),
                seconds(cell.sealed_seconds),
            ]);
        }
        if !self.status.is_empty() {
            println!("{table}");
        }
        for cell in &self.left_out {
            println!("left out: {cell}");
        }
        Ok(())
    }
}

fn seconds(time: Option<f64>) -> String {
    time.map_or_else(String::new, |time| format!("{time:.2}"))
}

fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(columns);
    table
}
