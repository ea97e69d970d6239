//! The health as text.

use std::fmt::{self, Write};

use super::{ComponentHealth, Health, HealthDetail};

/// The report's text, each line ended.
pub fn health_report(health: &Health) -> String {
    let mut text = String::new();
    write_report(&mut text, health).expect("writing to a string cannot fail");
    text
}

fn write_report(text: &mut String, health: &Health) -> fmt::Result {
    writeln!(text, "Run Details:\nAPI Server version: {}", health.api_version)?;
    component(text, "Node", "nodes", &health.node_health)?;
    if !health.pod_health.details.is_empty() {
        component(text, "Pods", "pods", &health.pod_health)?;
    }
    if health.error_summary.is_empty() {
        return Ok(());
    }
    writeln!(text, "Errors detected in files:")?;
    for (class, files) in &health.error_summary {
        writeln!(text, "{class}:")?;
        let mut files: Vec<(&String, &u64)> = files.iter().collect();
        files.sort_by(|one, other| other.1.cmp(one.1).then_with(|| one.0.cmp(other.0)));
        let width = files.first().map_or(0, |(_, most)| most.to_string().len());
        for (file, count) in files {
            writeln!(text, "{count:>width$} {file}")?;
        }
    }
    Ok(())
}

fn component(text: &mut String, title: &str, plural: &str, health: &ComponentHealth) -> fmt::Result {
    write!(text, "{title} health: {}/{}", health.healthy_nodes, health.total_nodes)?;
    if let Some(percent) = (health.healthy_nodes * 100).checked_div(health.total_nodes) {
        write!(text, " ({percent}%)")?;
    }
    writeln!(text)?;
    let mut failed: Vec<&HealthDetail> = health.details.iter().filter(|detail| !detail.healthy).collect();
    if failed.is_empty() {
        return Ok(());
    }
    failed.sort_by(|one, other| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)));
    writeln!(text, "Details for failed {plural}:")?;
    for detail in failed {
        if !detail.namespace.is_empty() {
            write!(text, "{}/", detail.namespace)?;
        }
        writeln!(
            text,
            "{} Ready:{}: {}: {}",
            detail.name, detail.ready, detail.reason, detail.message
        )?;
    }
    if plural == "nodes" {
        writeln!(text)?;
    }
    Ok(())
}
