//! The measurements as a table and as JSON.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "prints the report")]

use comfy_table::{Table, presets::NOTHING};
use serde::Serialize;
use serde_json::json;

use super::{Cell, PLAIN, StatusCell, facts::Facts};

/// All measurements of one run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    machine: Facts,
    ingest: Vec<Cell>,
    status: Vec<StatusCell>,
    #[serde(rename = "left_out")]
    skipped: Vec<String>,
}

impl Report {
    pub(super) fn new(machine: Facts) -> Self {
        Self {
            machine,
            ingest: Vec::new(),
            status: Vec::new(),
            skipped: Vec::new(),
        }
    }

    pub(super) fn skip(&mut self, workers: usize, bytes: u64, cap: u64) {
        self.skipped
            .push(format!("{workers} workers with {bytes} bytes: more than {cap} MiB"));
    }

    /// Adds a measurement, and prints it if `prints_progress`.
    pub(super) fn add(&mut self, cell: Cell, prints_progress: bool) {
        if prints_progress {
            eprintln!("{}", json!(cell));
        }
        self.ingest.push(cell);
    }

    pub(super) fn add_status(&mut self, cell: StatusCell, prints_progress: bool) {
        if prints_progress {
            eprintln!("{}", json!(cell));
        }
        self.status.push(cell);
    }

    /// A row for each measurement, in the order of their first repetitions.
    fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        for cell in &self.ingest {
            let is_known = |row: &Row| row.is_of(cell);
            if !rows.iter().any(is_known) {
                rows.push(Row::new(cell, &self.ingest));
            }
        }
        rows
    }

    pub(super) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        if as_json {
            let mut whole = json!(self);
            whole["rows"] = json!(self.rows());
            println!("{whole:#}");
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
            "share",
            "p50 ms",
            "p99 ms",
            "max ms",
            "failed",
            "lost",
            "MiB",
            "by quarter",
            "sealed s",
            "load",
        ]);
        for row in self.rows() {
            let quarters = row
                .memory_by_quarter_mib
                .map(|quarters| quarters.map(|part| part.to_string()).join(" "));
            table.add_row([
                row.server.clone(),
                row.workers.to_string(),
                row.bytes.to_string(),
                row.stalled.to_string(),
                format!("{:.0}", row.uploads_per_second),
                format!("{:.1}", row.mib_per_second),
                row.share_of_plain
                    .map_or_else(String::new, |share| format!("{:.0} %", share * 100.0)),
                format!("{:.1}", row.p50_ms),
                format!("{:.1}", row.p99_ms),
                format!("{:.1}", row.max_ms),
                row.failed_tries.to_string(),
                row.lost.to_string(),
                row.memory_mib.map_or_else(String::new, |memory| memory.to_string()),
                quarters.unwrap_or_default(),
                seconds(row.sealed_seconds),
                format!("{:.1}", row.load_average),
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
        for cell in &self.skipped {
            println!("skipped: {cell}");
        }
        Ok(())
    }
}

/// Medians of the repetitions of a measurement, the sums of failures and the maximum of memory.
#[derive(Debug, Serialize)]
struct Row {
    server: String,
    workers: usize,
    bytes: u64,
    stalled: usize,
    turns: usize,
    uploads_per_second: f64,
    mib_per_second: f64,
    /// Uploads per second, relative to the plain loop in the same repetition without stalled clients.
    share_of_plain: Option<f64>,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    failed_tries: usize,
    lost: usize,
    memory_mib: Option<u64>,
    memory_by_quarter_mib: Option<[u64; 4]>,
    sealed_seconds: Option<f64>,
    load_average: f64,
}

impl Row {
    fn new(first: &Cell, all: &[Cell]) -> Self {
        let kind = |server: &str, stalled: usize| {
            let of_kind = move |cell: &&Cell| {
                cell.server == server
                    && cell.stalled == stalled
                    && (cell.workers, cell.bytes) == (first.workers, first.bytes)
            };
            all.iter().filter(of_kind).collect::<Vec<_>>()
        };
        let cells = kind(&first.server, first.stalled);
        let of = |value: fn(&Cell) -> f64| median(cells.iter().map(|cell| value(cell)).collect()).unwrap_or_default();
        let plain = kind(PLAIN, 0);
        let shares = cells.iter().zip(&plain).filter(|_| first.server != PLAIN);
        let share =
            |(cell, plain): (&&Cell, &&Cell)| cell.measured.uploads_per_second / plain.measured.uploads_per_second;
        Self {
            server: first.server.clone(),
            workers: first.workers,
            bytes: first.bytes,
            stalled: first.stalled,
            turns: cells.len(),
            uploads_per_second: of(|cell| cell.measured.uploads_per_second),
            mib_per_second: of(|cell| cell.measured.mib_per_second),
            share_of_plain: median(shares.map(share).collect()),
            p50_ms: of(|cell| cell.measured.p50_ms),
            p99_ms: of(|cell| cell.measured.p99_ms),
            max_ms: of(|cell| cell.measured.max_ms),
            failed_tries: cells.iter().map(|cell| cell.measured.failed_tries).sum(),
            lost: cells.iter().map(|cell| cell.measured.lost).sum(),
            memory_mib: cells.iter().filter_map(|cell| cell.memory_mib).max(),
            memory_by_quarter_mib: cells.iter().filter_map(|cell| cell.memory_by_quarter_mib).max(),
            sealed_seconds: median(cells.iter().filter_map(|cell| cell.sealed_seconds).collect()),
            load_average: of(|cell| cell.load_average),
        }
    }

    fn is_of(&self, cell: &Cell) -> bool {
        (&self.server, self.workers, self.bytes, self.stalled) == (&cell.server, cell.workers, cell.bytes, cell.stalled)
    }
}

/// The median; for an even number of values the lower of the two middle ones.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied()
}

fn seconds(time: Option<f64>) -> String {
    time.map_or_else(String::new, |time| format!("{time:.2}"))
}

pub(super) fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(columns);
    table
}
