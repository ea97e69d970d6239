//! Renders cluster health as text.

use super::{ComponentHealth, Health, HealthDetail};

/// The report's text, each line terminated.
pub fn health_report(health: &Health) -> String {
    health_lines(health).join("\n") + "\n"
}

/// The lines of [`health_report`], without terminators. Names and messages may contain line breaks.
pub fn health_lines(health: &Health) -> Vec<String> {
    let mut lines = vec![
        "Run Details:".to_owned(),
        format!("API Server version: {}", health.api_version),
    ];
    component(&mut lines, "Node", "nodes", &health.node_health);
    if !health.pod_health.details.is_empty() {
        component(&mut lines, "Pods", "pods", &health.pod_health);
    }
    if health.error_summary.is_empty() {
        return lines;
    }
    lines.push("Errors detected in files:".to_owned());
    for (class, files) in &health.error_summary {
        lines.push(format!("{class}:"));
        let mut files: Vec<(&String, &u64)> = files.iter().collect();
        files.sort_by(|one, other| other.1.cmp(one.1).then_with(|| one.0.cmp(other.0)));
        let width = files.first().map_or(0, |(_, max)| max.to_string().len());
        lines.extend(files.into_iter().map(|(file, count)| format!("{count:>width$} {file}")));
    }
    lines
}

fn component(lines: &mut Vec<String>, title: &str, plural: &str, health: &ComponentHealth) {
    let percent = (health.healthy_nodes * 100).checked_div(health.total_nodes);
    lines.push(format!(
        "{title} health: {}/{}{}",
        health.healthy_nodes,
        health.total_nodes,
        percent.map(|percent| format!(" ({percent}%)")).unwrap_or_default()
    ));
    let mut failed: Vec<&HealthDetail> = health.details.iter().filter(|detail| !detail.healthy).collect();
    if failed.is_empty() {
        return;
    }
    failed.sort_by(|one, other| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)));
    lines.push(format!("Details for failed {plural}:"));
    for detail in failed {
        let namespace = match detail.namespace.as_str() {
            "" => String::new(),
            namespace => format!("{namespace}/"),
        };
        lines.push(format!(
            "{namespace}{} Ready:{}: {}: {}",
            detail.name, detail.ready, detail.reason, detail.message
        ));
    }
    if plural == "nodes" {
        lines.push(String::new());
    }
}
