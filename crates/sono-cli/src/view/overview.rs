//! Overview of a run: one line for each plugin, and one for each target with a problem. Pure.

use std::collections::BTreeMap;

use sono_types::{
    LeftOut, PluginStatus, RunStatus,
    constants::GLOBAL,
    item,
    status::{folded_count, plugin_status},
};

use super::{counts::plugins, words::grouped};
use crate::output::{Grid, Markdown, Text, Tone, markdown};

/// Maximum number of lines for failed targets of one plugin.
const MAX_TARGET_LINES: usize = 10;
const PENDING: &str = "pending";
const LEFT_OUT: &str = "left out";
const NONE: &str = "-";

/// Obstacle that prevents a pod from running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Obstacle {
    pub(crate) plugin: String,
    /// Node of the pod, if known.
    pub(crate) node: Option<String>,
    /// Whether the containers have not been started.
    pub(crate) pending: bool,
    pub(crate) why: String,
}

/// One line of the overview.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    plugin: String,
    target: String,
    state: String,
    result: String,
    progress: String,
    pub(crate) detail: String,
}

/// Lines of the overview. `all`: one for each row of the status.
pub(crate) fn lines(status: &RunStatus, obstacles: &[Obstacle], all: bool) -> Vec<Line> {
    let rows = status.rows();
    let mut plugins: Vec<&str> = Vec::new();
    for row in rows {
        if !plugins.contains(&row.plugin.as_str()) {
            plugins.push(&row.plugin);
        }
    }
    for left_out in &status.left_out {
        if !plugins.contains(&left_out.plugin.as_str()) {
            plugins.push(&left_out.plugin);
        }
    }
    plugins
        .into_iter()
        .flat_map(|plugin| {
            let gaps = status.left_out.iter().filter(move |left_out| left_out.plugin == plugin);
            of_plugin(plugin, rows, obstacles, all).into_iter().chain(gaps.map(gap))
        })
        .collect()
}

/// Line for nodes that a plugin skips.
fn gap(left_out: &LeftOut) -> Line {
    let nodes = left_out.to_string();
    let (nodes, reason) = nodes.split_once(": ").unwrap_or((&nodes, ""));
    Line {
        plugin: left_out.plugin.clone(),
        target: match left_out.count {
            1 => nodes.to_owned(),
            count => format!("{} nodes", grouped(count as u64)),
        },
        state: LEFT_OUT.to_owned(),
        result: NONE.to_owned(),
        progress: NONE.to_owned(),
        detail: match left_out.count {
            1 => reason.to_owned(),
            _ => left_out.to_string(),
        },
    }
}

fn of_plugin(plugin: &str, rows: &[PluginStatus], obstacles: &[Obstacle], all: bool) -> Vec<Line> {
    let rows = rows.iter().filter(|row| row.plugin == plugin);
    let mut lines = Vec::new();
    let mut groups: BTreeMap<(&str, &str), Vec<&PluginStatus>> = BTreeMap::new();
    let mut failed = 0;
    for row in rows {
        let obstacle = obstacle_of(row, obstacles);
        let is_failed = row.status == plugin_status::FAILED
            || matches!(row.result_status.as_str(), item::status::FAILED | item::status::TIMEOUT);
        failed += usize::from(is_failed);
        if all || obstacle.is_some() || (is_failed && failed <= MAX_TARGET_LINES) {
            lines.push(line(&[row], obstacle));
        } else {
            groups.entry((&row.status, &row.result_status)).or_default().push(row);
        }
    }
    lines.extend(groups.values().map(|rows| line(rows, None)));
    lines
}

/// One sentence for each plugin that skips nodes.
pub(crate) fn gaps(status: &RunStatus) -> Vec<String> {
    let views = plugins(status).into_iter().filter(|view| !view.left_out.is_empty());
    views
        .map(|view| format!("{}: {}{}", view.name, view.target(), view.gap()))
        .collect()
}

/// One sentence for each of the first targets without a result, and the number of further ones.
pub(crate) fn reasons(status: &RunStatus) -> Vec<String> {
    let rows = status.rows().iter().filter(|row| !row.error.is_empty());
    let mut reasons: Vec<String> = rows
        .map(|row| match row.node.as_str() {
            GLOBAL => format!("{}: {}", row.plugin, row.reason()),
            node => format!("{} on {node}: {}", row.plugin, row.reason()),
        })
        .collect();
    if reasons.len() > MAX_TARGET_LINES {
        let more = reasons.len() - MAX_TARGET_LINES;
        reasons.truncate(MAX_TARGET_LINES);
        reasons.push(format!("{more} more have no result: sono status --show-all -o table"));
    }
    reasons
}

/// Obstacle of a row without a result yet.
fn obstacle_of<'a>(row: &PluginStatus, obstacles: &'a [Obstacle]) -> Option<&'a Obstacle> {
    if row.status != plugin_status::RUNNING {
        return None;
    }
    let of_plugin = || obstacles.iter().filter(|obstacle| obstacle.plugin == row.plugin);
    let here = of_plugin().find(|obstacle| row.node == GLOBAL || obstacle.node.as_deref() == Some(&row.node));
    here.or_else(|| of_plugin().find(|obstacle| obstacle.node.is_none()))
}

/// One line for one or more rows of the same kind.
fn line(rows: &[&PluginStatus], obstacle: Option<&Obstacle>) -> Line {
    let first = rows[0];
    let or_none = |text: &str| if text.is_empty() { NONE } else { text }.to_owned();
    let state = match obstacle {
        Some(obstacle) if obstacle.pending => PENDING,
        _ => &first.status,
    };
    Line {
        plugin: first.plugin.clone(),
        target: target(rows),
        state: state.to_owned(),
        result: or_none(&first.result_status),
        progress: or_none(&progress(rows)),
        detail: match (obstacle, rows) {
            (Some(obstacle), _) => obstacle.why.clone(),
            (None, [row]) => row.reason().into_owned(),
            (None, _) => String::new(),
        },
    }
}

fn target(rows: &[&PluginStatus]) -> String {
    let count: usize = rows.iter().map(|row| folded_count(&row.node).unwrap_or(1)).sum();
    match rows {
        [row] if count == 1 => row.node.clone(),
        _ => format!("{} nodes", grouped(count as u64)),
    }
}

/// Counts of results, or progress.
fn progress(rows: &[&PluginStatus]) -> String {
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    for (status, count) in rows.iter().flat_map(|row| row.result_counts.iter().flatten()) {
        *counts.entry(status).or_default() += count;
    }
    let number = |count: i64| grouped(u64::try_from(count).unwrap_or_default());
    if !counts.is_empty() {
        let order = [
            item::status::PASSED,
            item::status::FAILED,
            item::status::TIMEOUT,
            item::status::SKIPPED,
        ];
        let known = order.iter().filter_map(|status| counts.get_key_value(status));
        let others = counts.iter().filter(|(status, _)| !order.contains(status));
        let texts: Vec<String> = known
            .chain(others)
            .filter(|(_, count)| **count > 0)
            .map(|(status, count)| format!("{} {status}", number(*count)))
            .collect();
        return texts.join(", ");
    }
    let updates: Vec<_> = rows.iter().filter_map(|row| row.progress.as_ref()).collect();
    if updates.is_empty() {
        return String::new();
    }
    let total: i64 = updates.iter().map(|update| update.total).sum();
    let failed: i64 = updates.iter().map(|update| update.failed()).sum();
    let done: i64 = failed + updates.iter().map(|update| update.completed).sum::<i64>();
    let text = format!("{}/{}", number(done), number(total));
    if failed > 0 {
        format!("{text}, {} failed", number(failed))
    } else {
        text
    }
}

/// Renders the lines as a table that fits the terminal.
pub(crate) fn table(lines: &[Line]) -> Text {
    table_within(lines, Grid::new(&[]).width())
}

/// Number of columns that are never wrapped.
const FIXED_COLUMNS: usize = 5;
/// Minimum width of the details column.
const MIN_DETAIL_WIDTH: usize = 30;
/// Minimum width of a shortened target.
const MIN_TARGET_WIDTH: usize = 12;

fn cells(line: &Line) -> [Text; FIXED_COLUMNS] {
    [&line.plugin, &line.target, &line.state, &line.result, &line.progress].map(Text::from)
}

/// Renders the table. If the details column does not fit, details are printed below their lines.
fn table_within(lines: &[Line], width: Option<usize>) -> Text {
    let widest = |column: usize| {
        let texts = lines.iter().map(|line| cells(line)[column].width());
        texts.chain([HEADER[column].len()]).max().unwrap_or_default()
    };
    // Including a blank on each side of every cell.
    let needed = (0..FIXED_COLUMNS).map(|column| widest(column) + 2).sum::<usize>();
    let width = width.unwrap_or(usize::MAX);
    let target = widest(1)
        .saturating_sub(needed.saturating_sub(width))
        .max(MIN_TARGET_WIDTH);
    let below = lines.iter().any(|line| !line.detail.is_empty()) && width < needed + MIN_DETAIL_WIDTH;
    let has_column = !below && lines.iter().any(|line| !line.detail.is_empty());
    let mut table = Grid::new(if has_column { &HEADER } else { &HEADER[..FIXED_COLUMNS] });
    for line in lines {
        let tone = match (line.result.as_str(), line.state.as_str()) {
            (item::status::FAILED | item::status::TIMEOUT, _) | (_, plugin_status::FAILED) => Tone::Bad,
            (item::status::PASSED, _) => Tone::Good,
            _ => Tone::Plain,
        };
        let [plugin, long_target, state, result, progress] = cells(line);
        let mut row = vec![
            (plugin, Tone::Plain),
            (shortened(&long_target.plain(), target).into(), Tone::Plain),
            (state, Tone::Plain),
            (result, tone),
            (progress, Tone::Plain),
        ];
        if has_column {
            row.push((Text::from(&line.detail), Tone::Plain));
        }
        table.row(row);
    }
    // Names and numbers must remain searchable; details may be wrapped.
    table.disable_wrapping(FIXED_COLUMNS);
    let mut shown = Vec::new();
    for (index, row) in table.lines().into_iter().enumerate() {
        shown.push(row);
        let line = index
            .checked_sub(1)
            .and_then(|index| lines.get(index))
            .filter(|_| below);
        if let Some(line) = line.filter(|line| !line.detail.is_empty()) {
            shown.push(format!("  {}", line.detail).into());
        }
    }
    Text::lines(shown)
}

/// Shortens a long name in the middle, since node names differ at their ends.
fn shortened(text: &str, length: usize) -> String {
    let characters: Vec<char> = text.chars().collect();
    if characters.len() <= length {
        return text.to_owned();
    }
    let remaining = length - 1;
    let (head, tail) = (remaining.div_ceil(2), remaining / 2);
    let head: String = characters[..head].iter().collect();
    let tail: String = characters[characters.len() - tail..].iter().collect();
    format!("{head}…{tail}")
}

const HEADER: [&str; 6] = ["PLUGIN", "TARGET", "STATE", "RESULT", "PROGRESS", "DETAIL"];

/// Renders the lines as Markdown, with the status of the run as title.
pub(crate) fn markdown(status: &RunStatus, lines: &[Line]) -> Markdown {
    let mut text = vec![
        markdown!["## Run ", Markdown::text(&status.status.to_string())],
        Markdown::default(),
        "| plugin | target | state | result | progress | detail |".into(),
        "| --- | --- | --- | --- | --- | --- |".into(),
    ];
    for line in lines {
        let Line {
            plugin,
            target,
            state,
            result,
            progress,
            detail,
        } = line;
        let cells = [plugin, target, state, result, progress, detail].map(|text| Markdown::text(text));
        text.push(markdown!["| ", Markdown::joined(cells, " | "), " |"]);
    }
    markdown![Markdown::lines(text), "\n"]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status() -> RunStatus {
        serde_json::from_value(json!({"status": "running", "plugins": [
            {"plugin": "e2e", "node": "global", "status": "running", "progress":
                {"name": "e2e", "node": "global", "timestamp": "2026-01-01T00:00:00Z", "total": 414, "completed": 229, "failures": ["x", "y"]}},
            {"plugin": "bench", "node": "n1", "status": "complete", "result-status": "passed", "result-counts": {"passed": 2}},
            {"plugin": "bench", "node": "n2", "status": "complete", "result-status": "failed", "result-counts": {"passed": 1, "failed": 1, "odd": 3}},
            {"plugin": "bench", "node": "n3", "status": "running"},
            {"plugin": "bench", "node": "n4", "status": "failed", "error": "pod b on n4 was evicted"},
            {"plugin": "bench", "node": "(9900 nodes)", "status": "complete", "result-status": "passed", "result-counts": {"passed": 19800}},
        ]}))
        .unwrap()
    }

    fn obstacles() -> Vec<Obstacle> {
        vec![Obstacle {
            plugin: "bench".to_owned(),
            node: Some("n3".to_owned()),
            pending: true,
            why: "image i: not found (ErrImagePull, 1m10s)".to_owned(),
        }]
    }

    fn cells(lines: &[Line]) -> Vec<String> {
        let cells = |line: &Line| {
            [
                &line.plugin,
                &line.target,
                &line.state,
                &line.result,
                &line.progress,
                &line.detail,
            ]
            .map(String::as_str)
            .join("; ")
        };
        lines.iter().map(cells).collect()
    }

    #[test]
    fn target_with_a_problem_has_its_own_line() {
        assert_eq!(
            cells(&lines(&status(), &obstacles(), false)),
            [
                "e2e; global; running; -; 231/414, 2 failed; ",
                "bench; n2; complete; failed; 1 passed, 1 failed, 3 odd; ",
                "bench; n3; pending; -; -; image i: not found (ErrImagePull, 1m10s)",
                "bench; n4; failed; -; -; pod b on n4 was evicted",
                "bench; 9,901 nodes; complete; passed; 19,802 passed; ",
            ]
        );
        assert_eq!(lines(&status(), &[], true).len(), 6);
    }

    #[test]
    fn first_reasons_are_listed() {
        assert_eq!(reasons(&status()), ["bench on n4: pod b on n4 was evicted"]);
        let rows: Vec<_> = (0..12)
            .map(|node| json!({"plugin": "p", "node": format!("n{node}"), "status": "failed", "error": "gone"}))
            .collect();
        let many = serde_json::from_value(json!({"status": "running", "plugins": rows})).unwrap();
        let shown = reasons(&many);
        assert_eq!((shown.len(), shown[9].as_str()), (11, "p on n9: gone"));
        assert_eq!(shown[10], "2 more have no result: sono status --show-all -o table");
    }

    /// Node names of cloud providers are long.
    #[test]
    fn table_with_long_names_fits_the_terminal() {
        let line = |target: &str, detail: &str| Line {
            plugin: "systemd-logs".to_owned(),
            target: target.to_owned(),
            state: "running".to_owned(),
            result: "-".to_owned(),
            progress: "231/414, 2 failed".to_owned(),
            detail: detail.to_owned(),
        };
        let long = "ip-172-31-32-222.eu-central-1.compute.internal";
        let lines = [line(long, ""), line("n1", "pod b on n1 was evicted")];
        assert_eq!(
            table_within(&lines, Some(80)).plain(),
            [
                "PLUGIN        TARGET                        STATE    RESULT  PROGRESS",
                "systemd-logs  ip-172-31-32-2…pute.internal  running  -       231/414, 2 failed",
                "systemd-logs  n1                            running  -       231/414, 2 failed",
                "  pod b on n1 was evicted",
            ]
            .join("\n")
        );
        assert_eq!(
            table_within(&lines[1..], Some(120)).plain(),
            [
                "PLUGIN        TARGET  STATE    RESULT  PROGRESS           DETAIL",
                "systemd-logs  n1      running  -       231/414, 2 failed  pod b on n1 was evicted",
            ]
            .join("\n")
        );
    }

    #[test]
    fn table_has_one_row_per_line() {
        let lines = lines(&status(), &obstacles(), false);
        let text = table(&lines);
        assert_eq!(text.plain().lines().count(), 6, "{text:?}");
        assert_eq!(
            markdown(&status(), &lines).as_str().lines().nth(6),
            Some("| bench | n3 | pending | - | - | image i: not found (ErrImagePull, 1m10s) |")
        );
    }
}
