//! The measurements as a table and as JSON.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "prints the report")]

use serde::Serialize;
use serde_json::json;

use super::{Cell, QuerySet};
use crate::bench::{
    facts::Facts,
    report::{median, table},
};

#[derive(Debug, Serialize)]
pub(super) struct Report {
    machine: Facts,
    cells: Vec<Cell>,
    #[serde(skip)]
    prints_progress: bool,
}

/// Medians of the repetitions of a measurement, and the maximum of memory.
#[derive(Debug, Serialize)]
struct Row {
    server: &'static str,
    pods: usize,
    #[serde(rename = "asked")]
    queries: QuerySet,
    client: String,
    turns: usize,
    seconds: f64,
    requests: Option<usize>,
    answer_bytes: Option<u64>,
    #[serde(rename = "kept_bytes")]
    stored_bytes: u64,
    memory_kib: Option<u64>,
    incomplete: Option<usize>,
    load_average: f64,
}

impl Report {
    /// Creates a report. With `prints_progress` it prints each measurement when it is added.
    pub(super) fn new(machine: Facts, prints_progress: bool) -> Self {
        let cells = Vec::new();
        Self {
            machine,
            cells,
            prints_progress,
        }
    }

    pub(super) fn add(&mut self, cell: Cell) {
        if self.prints_progress {
            eprintln!("{}", json!(cell));
        }
        self.cells.push(cell);
    }

    fn rows(&self) -> Vec<Row> {
        let kind = |cell: &Cell| (cell.server, cell.pods, cell.queries, cell.client.clone());
        let mut rows: Vec<Row> = Vec::new();
        for first in &self.cells {
            if rows
                .iter()
                .any(|row| (row.server, row.pods, row.queries, row.client.clone()) == kind(first))
            {
                continue;
            }
            let cells: Vec<&Cell> = self.cells.iter().filter(|cell| kind(cell) == kind(first)).collect();
            let of =
                |value: fn(&Cell) -> f64| median(cells.iter().map(|cell| value(cell)).collect()).unwrap_or_default();
            rows.push(Row {
                server: first.server,
                pods: first.pods,
                queries: first.queries,
                client: first.client.clone(),
                turns: cells.len(),
                seconds: of(|cell| cell.seconds),
                requests: cells.iter().filter_map(|cell| cell.requests).max(),
                answer_bytes: cells.iter().filter_map(|cell| cell.answer_bytes).max(),
                stored_bytes: cells.iter().map(|cell| cell.stored_bytes).max().unwrap_or_default(),
                memory_kib: cells.iter().filter_map(|cell| cell.memory_kib).max(),
                incomplete: cells.iter().filter_map(|cell| cell.incomplete).max(),
                load_average: of(|cell| cell.load_average),
            });
        }
        rows
    }

    pub(super) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        let rows = self.rows();
        if as_json {
            let mut whole = json!(self);
            whole["rows"] = json!(rows);
            println!("{whole:#}");
            return Ok(());
        }
        println!("{}", serde_json::to_string(&self.machine)?);
        let mut table = table(&[
            "server",
            "pods",
            "queries",
            "client",
            "turns",
            "s",
            "requests",
            "MB received",
            "MB stored",
            "MiB",
            "incomplete",
            "load",
        ]);
        let number = |number: Option<usize>| number.map_or_else(String::new, |number| number.to_string());
        for row in rows {
            table.add_row([
                row.server.to_owned(),
                row.pods.to_string(),
                row.queries.name().to_owned(),
                row.client,
                row.turns.to_string(),
                format!("{:.2}", row.seconds),
                number(row.requests),
                row.answer_bytes.map_or_else(String::new, megabytes),
                megabytes(row.stored_bytes),
                row.memory_kib.map_or_else(String::new, mebibytes),
                number(row.incomplete),
                format!("{:.1}", row.load_average),
            ]);
        }
        println!("{table}");
        Ok(())
    }
}

/// MB of 1,000,000 bytes with one decimal.
fn megabytes(bytes: u64) -> String {
    let tenths = bytes / 100_000;
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn mebibytes(kibibytes: u64) -> String {
    let tenths = kibibytes * 10 / 1024;
    format!("{}.{}", tenths / 10, tenths % 10)
}
