//! Overview of a run: one line for each plugin, and one for each target with a problem. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sono_types::{
    LeftOut, PluginStatus, RunStatus,
    constants::GLOBAL,
    item,
    status::{folded_count, plugin_status},
};

use super::{
    counts::plugins,
    obstacles::Obstacle,
    words::{grouped, names, without_variations},
};
use crate::output::{Grid, Markdown, Text, Tone, markdown};

/// Maximum number of lines for failed targets of one plugin.
const MAX_TARGET_LINES: usize = 10;
const PENDING: &str = "pending";
const LEFT_OUT: &str = "left out";
const NONE: &str = "-";

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

/// Lines of the overview at this time. `all`: one for each row of the status.
pub(crate) fn lines(status: &RunStatus, obstacles: &[Obstacle], all: bool, now: Timestamp) -> Vec<Line> {
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
            of_plugin(plugin, rows, obstacles, all, now)
                .into_iter()
                .chain(gaps.map(gap))
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

/// Lines of a plugin: one for each reason of rows with a problem, then one for each state of the others.
fn of_plugin(plugin: &str, rows: &[PluginStatus], obstacles: &[Obstacle], all: bool, now: Timestamp) -> Vec<Line> {
    let rows = rows.iter().filter(|row| row.plugin == plugin);
    let mut problems: Vec<(String, Option<&Obstacle>, Vec<&PluginStatus>)> = Vec::new();
    let mut groups: BTreeMap<(&str, &str), Vec<&PluginStatus>> = BTreeMap::new();
    for (index, row) in rows.enumerate() {
        let obstacle = obstacle_of(row, obstacles);
        let is_failed = row.status == plugin_status::FAILED
            || matches!(row.result_status.as_str(), item::status::FAILED | item::status::TIMEOUT);
        if !all && obstacle.is_none() && !is_failed {
            groups.entry((&row.status, &row.result_status)).or_default().push(row);
            continue;
        }
        let key = match obstacle {
            _ if all => index.to_string(),
            Some(obstacle) => obstacle.key(),
            // Without an error, the counts differ.
            None if row.error.is_empty() => index.to_string(),
            None => without_variations(&row.error, &row.node),
        };
        let is_full = problems.len() >= MAX_TARGET_LINES;
        match problems.iter_mut().find(|(known, ..)| *known == key) {
            Some((.., same)) => same.push(row),
            None if !all && obstacle.is_none() && is_full => {
                groups.entry((&row.status, &row.result_status)).or_default().push(row);
            }
            None => problems.push((key, obstacle, vec![row])),
        }
    }
    let lines = problems.iter().map(|(_, obstacle, rows)| line(rows, *obstacle, now));
    lines.chain(groups.values().map(|rows| line(rows, None, now))).collect()
}

/// One sentence for each plugin that skips nodes.
pub(crate) fn gaps(status: &RunStatus) -> Vec<String> {
    let views = plugins(status).into_iter().filter(|view| !view.left_out.is_empty());
    views
        .map(|view| format!("{}: {}{}", view.name, view.target(), view.gap()))
        .collect()
}

/// One sentence for each of the first reasons why targets have no result, and the number of further ones.
pub(crate) fn reasons(status: &RunStatus) -> Vec<String> {
    let mut groups: Vec<(String, &PluginStatus, Vec<&str>)> = Vec::new();
    for row in status.rows().iter().filter(|row| !row.error.is_empty()) {
        let key = format!("{} {}", row.plugin, without_variations(&row.error, &row.node));
        match groups.iter_mut().find(|(known, ..)| *known == key) {
            Some((.., nodes)) => nodes.push(&row.node),
            None => groups.push((key, row, vec![&row.node])),
        }
    }
    let sentence = |(_, row, nodes): &(String, &PluginStatus, Vec<&str>)| match nodes.as_slice() {
        [GLOBAL] => format!("{}: {}", row.plugin, row.reason()),
        nodes => format!("{} on {}: {}", row.plugin, names(nodes), row.reason()),
    };
    let mut reasons: Vec<String> = groups.iter().take(MAX_TARGET_LINES).map(sentence).collect();
    let more = groups
        .iter()
        .skip(MAX_TARGET_LINES)
        .map(|(.., nodes)| nodes.len())
        .sum::<usize>();
    if more > 0 {
        reasons.push(format!("{more} more have no result: sono status --show-all -o table"));
    }
    reasons
}

/// Obstacle of a row without a result yet.
pub(crate) fn obstacle_of<'a>(row: &PluginStatus, obstacles: &'a [Obstacle]) -> Option<&'a Obstacle> {
    if row.status != plugin_status::RUNNING {
        return None;
    }
    let of_plugin = || {
        obstacles
            .iter()
            .filter(|obstacle| obstacle.plugin.as_deref() == Some(&row.plugin))
    };
    let here = of_plugin().find(|obstacle| row.node == GLOBAL || obstacle.node.as_deref() == Some(&row.node));
    here.or_else(|| of_plugin().find(|obstacle| obstacle.node.is_none()))
}

/// One line for one or more rows of the same kind.
fn line(rows: &[&PluginStatus], obstacle: Option<&Obstacle>, now: Timestamp) -> Line {
    let first = rows[0];
    let or_none = |text: &str| if text.is_empty() { NONE } else { text }.to_owned();
    let state = match obstacle {
        Some(obstacle) if obstacle.pending => PENDING,
        _ => &first.status,
    };
    let key = |row: &PluginStatus| without_variations(&row.error, &row.node);
    let is_one_reason = !first.error.is_empty() && rows.iter().all(|row| key(row) == key(first));
    Line {
        plugin: first.plugin.clone(),
        target: target(rows, obstacle.is_some() || is_one_reason),
        state: state.to_owned(),
        result: or_none(&first.result_status),
        progress: or_none(&progress(rows)),
        detail: match obstacle {
            Some(obstacle) => obstacle.why.text(now),
            None if is_one_reason => first.reason().into_owned(),
            None => String::new(),
        },
    }
}

/// Target of the rows; `named`: the nodes have a problem in common.
fn target(rows: &[&PluginStatus], named: bool) -> String {
    let count: usize = rows.iter().map(|row| folded_count(&row.node).unwrap_or(1)).sum();
    match rows {
        [row] if count == 1 => row.node.clone(),
        rows if named && count == rows.len() => names(&rows.iter().map(|row| row.node.as_str()).collect::<Vec<_>>()),
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
pub(super) fn table_within(lines: &[Line], width: Option<usize>) -> Text {
    let widest = |column: usize| {
        let texts = lines.iter().map(|line| cells(line)[column].width());
        texts.chain([HEADER[column].len()]).max().unwrap_or_default()
    };
    // Including a blank on each side of every cell.
    let needed = (0..FIXED_COLUMNS).map(|column| widest(column) + 2).sum::<usize>();
    let columns = width;
    let width = width.unwrap_or(usize::MAX);
    let target = widest(1)
        .saturating_sub(needed.saturating_sub(width))
        .max(MIN_TARGET_WIDTH);
    let below = lines.iter().any(|line| !line.detail.is_empty()) && width < needed + MIN_DETAIL_WIDTH;
    let has_column = !below && lines.iter().any(|line| !line.detail.is_empty());
    let header = if has_column {
        &HEADER[..]
    } else {
        &HEADER[..FIXED_COLUMNS]
    };
    let mut table = Grid::within(header, columns);
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
    use sono_kube::stuck::Explanation;

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

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
            plugin: Some("bench".to_owned()),
            node: Some("n3".to_owned()),
            pending: true,
            failed_pod: None,
            why: Explanation::new("ErrImagePull", "image i: not found", None),
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
            cells(&lines(&status(), &obstacles(), false, NOW)),
            [
                "e2e; global; running; -; 231/414, 2 failed; ",
                "bench; n2; complete; failed; 1 passed, 1 failed, 3 odd; ",
                "bench; n3; pending; -; -; image i: not found",
                "bench; n4; failed; -; -; pod b on n4 was evicted",
                "bench; 9,901 nodes; complete; passed; 19,802 passed; ",
            ]
        );
        assert_eq!(lines(&status(), &[], true, NOW).len(), 6);
    }

    #[test]
    fn first_reasons_are_listed() {
        assert_eq!(reasons(&status()), ["bench on n4: pod b on n4 was evicted"]);
        let rows: Vec<_> = (0..12)
            .map(|node| json!({"plugin": "p", "node": format!("n{node}"), "status": "failed", "error": "x".repeat(node + 1)}))
            .collect();
        let many = serde_json::from_value(json!({"status": "running", "plugins": rows})).unwrap();
        let shown = reasons(&many);
        assert_eq!((shown.len(), shown[9].as_str()), (11, "p on n9: xxxxxxxxxx"));
        assert_eq!(shown[10], "2 more have no result: sono status --show-all -o table");
    }

    /// 100 nodes with one reason are one entry.
    #[test]
    fn equal_problems_of_many_nodes_are_one_entry() {
        let rows: Vec<_> = (1..=100)
            .map(|node| {
                let (state, error) = if node > 3 {
                    ("running", String::new())
                } else {
                    ("failed", format!("pod sonobuoy-p-{node} on n{node} was evicted"))
                };
                json!({"plugin": "p", "node": format!("n{node}"), "status": state, "error": error})
            })
            .collect();
        let status = serde_json::from_value(json!({"status": "running", "plugins": rows})).unwrap();
        let obstacle = |node: Option<String>| Obstacle {
            plugin: Some("p".to_owned()),
            node,
            pending: true,
            failed_pod: None,
            why: Explanation::new("FailedCreate", "no pod can be created: exceeded quota", None),
        };
        let evicted = "p; n1, n2, n3; failed; -; -; pod sonobuoy-p-1 on n1 was evicted";
        let waiting = "p; n4, n5 and 95 more; pending; -; -; no pod can be created: exceeded quota";
        let each: Vec<Obstacle> = (4..=100).map(|node| obstacle(Some(format!("n{node}")))).collect();
        for obstacles in [each, vec![obstacle(None)]] {
            assert_eq!(cells(&lines(&status, &obstacles, false, NOW)), [evicted, waiting]);
        }
        assert_eq!(
            reasons(&status),
            ["p on n1, n2, n3: pod sonobuoy-p-1 on n1 was evicted"]
        );
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
        let lines = lines(&status(), &obstacles(), false, NOW);
        let text = table(&lines);
        assert_eq!(text.plain().lines().count(), 6, "{text:?}");
        assert_eq!(
            markdown(&status(), &lines).as_str().lines().nth(6),
            Some("| bench | n3 | pending | - | - | image i: not found |")
        );
    }
}
