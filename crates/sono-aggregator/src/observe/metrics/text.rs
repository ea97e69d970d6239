//! Prometheus' text format, version 0.0.4 (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Write as _},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use sono_types::{OverallStatus, RunStatus, status::plugin_status};

use super::{BOUNDS, Metrics, Refused};

/// All counters, and the numbers in the status.
pub(crate) fn text(metrics: &Metrics, status: &RunStatus) -> String {
    let mut text = String::new();
    write(metrics, status, &mut text).expect("writing to a string cannot fail");
    text
}

#[expect(clippy::too_many_lines, reason = "one block per metric")]
fn write(metrics: &Metrics, status: &RunStatus, out: &mut String) -> fmt::Result {
    let load = |counter: &AtomicU64| counter.load(Relaxed);
    head(
        out,
        "sono_run_info",
        "gauge",
        "UUID of the run and version of the aggregator; always 1.",
    )?;
    let run = metrics.run.get().map_or("", String::as_str);
    let version = env!("CARGO_PKG_VERSION");
    row(out, "sono_run_info", &[("run", run), ("version", version)], 1)?;

    head(
        out,
        "sono_run_phase",
        "gauge",
        "1 for the current phase of the run, 0 for the others.",
    )?;
    for phase in [
        OverallStatus::Running,
        OverallStatus::PostProcessing,
        OverallStatus::Complete,
        OverallStatus::Failed,
    ] {
        let is_now = u64::from(status.status == phase);
        row(out, "sono_run_phase", &[("phase", phase.as_str())], is_now)?;
    }

    head(
        out,
        "sono_results",
        "gauge",
        "Results of each plugin, by state; expected includes the complete and the failed ones.",
    )?;
    let mut plugins: BTreeMap<&str, [u64; 3]> = BTreeMap::new();
    for result in status.rows() {
        let [expected, complete, failed] = plugins.entry(&result.plugin).or_default();
        *expected += 1;
        *complete += u64::from(result.status == plugin_status::COMPLETE);
        *failed += u64::from(result.status == plugin_status::FAILED);
    }
    for (plugin, counts) in plugins {
        for (state, count) in ["expected", "complete", "failed"].into_iter().zip(counts) {
            row(out, "sono_results", &[("plugin", plugin), ("state", state)], count)?;
        }
    }

    head(
        out,
        "sono_uploads_accepted_total",
        "counter",
        "Uploads answered with 200.",
    )?;
    row(out, "sono_uploads_accepted_total", &[], load(&metrics.accepted))?;
    head(
        out,
        "sono_uploads_refused_total",
        "counter",
        "Uploads answered with any other status, by reason.",
    )?;
    for (why, count) in Refused::ALL.into_iter().zip(&metrics.refused) {
        row(
            out,
            "sono_uploads_refused_total",
            &[("reason", why.word())],
            load(count),
        )?;
    }
    head(
        out,
        "sono_connections_dropped_total",
        "counter",
        "Connections closed before their request because of the connection limit.",
    )?;
    row(out, "sono_connections_dropped_total", &[], load(&metrics.dropped))?;
    head(
        out,
        "sono_upload_bytes_total",
        "counter",
        "Bytes of request bodies received.",
    )?;
    row(out, "sono_upload_bytes_total", &[], load(&metrics.bytes))?;

    let name = "sono_upload_duration_seconds";
    head(
        out,
        name,
        "histogram",
        "Time from the request head of an accepted upload to its response.",
    )?;
    let mut sum = 0;
    let bounds = BOUNDS.iter().map(|bound| seconds(bound * 1_000));
    for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(&metrics.took) {
        sum += load(count);
        row(out, "sono_upload_duration_seconds_bucket", &[("le", &bound)], sum)?;
    }
    let took = seconds(load(&metrics.took_microseconds));
    row(out, "sono_upload_duration_seconds_sum", &[], took)?;
    row(out, "sono_upload_duration_seconds_count", &[], sum)?;

    head(out, "sono_journal_syncs_total", "counter", "Syncs of the journal.")?;
    let syncs = metrics.syncs.get().map_or(0, |syncs| load(syncs));
    row(out, "sono_journal_syncs_total", &[], syncs)?;
    head(
        out,
        "sono_status_writes_total",
        "counter",
        "Writes of the status annotation, by outcome.",
    )?;
    row(
        out,
        "sono_status_writes_total",
        &[("outcome", "written")],
        load(&metrics.written),
    )?;
    row(
        out,
        "sono_status_writes_total",
        &[("outcome", "failed")],
        load(&metrics.unwritten),
    )
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) -> fmt::Result {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

fn row(out: &mut String, name: &str, labels: &[(&str, &str)], value: impl Display) -> fmt::Result {
    out.push_str(name);
    for (number, (label, text)) in labels.iter().enumerate() {
        let before = if number == 0 { '{' } else { ',' };
        write!(out, "{before}{label}=\"{}\"", escaped(text))?;
    }
    let after = if labels.is_empty() { "" } else { "}" };
    writeln!(out, "{after} {value}")
}

fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

/// Exact, since a fraction of microseconds has six digits.
fn seconds(microseconds: u64) -> String {
    let text = format!("{}.{:06}", microseconds / 1_000_000, microseconds % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use sono_types::PluginStatus;

    use super::*;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let metrics = Metrics::default();
        metrics.identify("4b5b\"9");
        metrics.identify("a second word does not count");
        metrics.uploaded(Duration::from_millis(5));
        metrics.uploaded(Duration::from_micros(70_001));
        metrics.uploaded(Duration::from_secs(301));
        metrics.refused(Refused::Identity);
        metrics.refused(Refused::Ending);
        metrics.refused(Refused::Ending);
        metrics.received(1_000);
        metrics.syncs_of(Arc::new(AtomicU64::new(7)));
        metrics.status_written(true);
        metrics.status_written(false);
        let result = |plugin: &str, node: &str, status: &str| PluginStatus {
            plugin: plugin.to_owned(),
            node: node.to_owned(),
            status: status.to_owned(),
            ..PluginStatus::default()
        };
        let status = RunStatus {
            plugins: Some(vec![
                result("logs", "n1", plugin_status::COMPLETE),
                result("logs", "n2", plugin_status::FAILED),
                result("e2e", "global", plugin_status::RUNNING),
            ]),
            ..RunStatus::default()
        };
        let text = text(&metrics, &status);
        let rows: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            rows,
            [
                concat!(
                    r#"sono_run_info{run="4b5b\"9",version=""#,
                    env!("CARGO_PKG_VERSION"),
                    r#""} 1"#
                ),
                r#"sono_run_phase{phase="running"} 1"#,
                r#"sono_run_phase{phase="post-processing"} 0"#,
                r#"sono_run_phase{phase="complete"} 0"#,
                r#"sono_run_phase{phase="failed"} 0"#,
                r#"sono_results{plugin="e2e",state="expected"} 1"#,
                r#"sono_results{plugin="e2e",state="complete"} 0"#,
                r#"sono_results{plugin="e2e",state="failed"} 0"#,
                r#"sono_results{plugin="logs",state="expected"} 2"#,
                r#"sono_results{plugin="logs",state="complete"} 1"#,
                r#"sono_results{plugin="logs",state="failed"} 1"#,
                "sono_uploads_accepted_total 3",
                r#"sono_uploads_refused_total{reason="identity"} 1"#,
                r#"sono_uploads_refused_total{reason="unexpected"} 0"#,
                r#"sono_uploads_refused_total{reason="already-received"} 0"#,
                r#"sono_uploads_refused_total{reason="too-late"} 0"#,
                r#"sono_uploads_refused_total{reason="content"} 0"#,
                r#"sono_uploads_refused_total{reason="busy"} 0"#,
                r#"sono_uploads_refused_total{reason="broken"} 0"#,
                r#"sono_uploads_refused_total{reason="storage"} 0"#,
                r#"sono_uploads_refused_total{reason="no-room"} 0"#,
                r#"sono_uploads_refused_total{reason="ending"} 2"#,
                "sono_connections_dropped_total 0",
                "sono_upload_bytes_total 1000",
                r#"sono_upload_duration_seconds_bucket{le="0.005"} 1"#,
                r#"sono_upload_duration_seconds_bucket{le="0.01"} 1"#,
                r#"sono_upload_duration_seconds_bucket{le="0.05"} 1"#,
                r#"sono_upload_duration_seconds_bucket{le="0.1"} 2"#,
                r#"sono_upload_duration_seconds_bucket{le="0.5"} 2"#,
                r#"sono_upload_duration_seconds_bucket{le="1"} 2"#,
                r#"sono_upload_duration_seconds_bucket{le="5"} 2"#,
                r#"sono_upload_duration_seconds_bucket{le="30"} 2"#,
                r#"sono_upload_duration_seconds_bucket{le="60"} 2"#,
                r#"sono_upload_duration_seconds_bucket{le="300"} 2"#,
                r#"sono_upload_duration_seconds_bucket{le="+Inf"} 3"#,
                "sono_upload_duration_seconds_sum 301.075001",
                "sono_upload_duration_seconds_count 3",
                "sono_journal_syncs_total 7",
                r#"sono_status_writes_total{outcome="written"} 1"#,
                r#"sono_status_writes_total{outcome="failed"} 1"#,
            ]
        );
        // Each metric has its two lines before its rows, once.
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (name, kind) = line.split_once(' ').unwrap();
            assert_eq!(text.matches(&format!("# HELP {name} ")).count(), 1);
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
        }
    }

    #[test]
    fn whole_seconds_have_no_point() {
        let texts = [0, 5_000, 10_000_000, 100_000_000].map(seconds);
        assert_eq!(texts, ["0", "0.005", "10", "100"]);
    }
}
