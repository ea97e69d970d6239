//! `sono logs --archive`: logs in the archive of a run.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, BufRead as _, BufReader, Read},
    ops::ControlFlow,
    path::Path,
};

use serde_json::Value;
use sono_bundle::{Bundle, MemoryBudget};
use sono_kube::Pod;
use sono_types::{constants, exit, layout};

use super::{
    line,
    sources::{self, Source},
};
use crate::{
    aggregator::{is_aggregator, node, plugin_of},
    error::CliError,
    output::Printer,
};

/// Namespace of the logs of a local run, whose pods are named by their plugins.
const LOCAL: &str = "local";
/// Maximum size of a piece of a line that is read at once.
const MAX_PIECE: u64 = 1 << 20;

/// Selected logs.
#[derive(Debug, Default)]
pub(super) struct LogSelection<'a> {
    pub(super) plugin: Option<&'a str>,
    pub(super) node: Option<&'a str>,
    /// Whether only containers that ended with an error are selected.
    pub(super) failed: bool,
    /// Number of last lines of each log.
    pub(super) tail: Option<usize>,
}

/// A log of the archive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Log {
    path: String,
    namespace: String,
    source: Source,
}

/// Prints the selected logs.
pub(super) fn print(archive: &Path, selection: &LogSelection<'_>, printer: &Printer) -> Result<u8, CliError> {
    let unreadable = |error: &sono_bundle::ReadError| CliError::of_archive(error.to_string(), error);
    let bundle = Bundle::open(archive).map_err(|error| unreadable(&error))?;
    let mut pods: BTreeMap<(String, String), Pod> = BTreeMap::new();
    let mut logs: Vec<Log> = Vec::new();
    let mut memory = MemoryBudget::new(bundle.limits());
    let pods_file = layout::namespaced_resource("", "", "v1", "pods");
    let pods_file = pods_file.rsplit('/').next().unwrap_or_default();
    bundle
        .visit(&mut |name, content| {
            if let Some(log) = log_of(name) {
                logs.push(log);
            } else if name.starts_with("resources/ns/") && name.rsplit('/').next() == Some(pods_file) {
                add_pods(&memory.read(name, content)?, &mut pods);
            } else if name.starts_with("plugins/") && name.rsplit('/').next() == Some(constants::ERROR_FILE) {
                add_failed_pod(&memory.read(name, content)?, &mut pods);
            }
            Ok(ControlFlow::Continue(()))
        })
        .map_err(|error| unreadable(&error))?;
    logs.sort();
    logs.retain(|log| {
        is_selected(
            log,
            pods.get(&(log.namespace.clone(), log.source.pod.clone())),
            selection,
        )
    });
    if logs.is_empty() {
        let what = match (selection.failed, selection.plugin) {
            (true, _) => "no failed containers".to_owned(),
            (false, Some(plugin)) => format!("the archive has no logs of plugin `{plugin}`"),
            (false, None) => "the archive has no logs of the run".to_owned(),
        };
        if selection.failed {
            printer.note(&what);
            return Ok(exit::SUCCESS);
        }
        return Err(CliError::new(what)
            .hint("the run stores logs of its own pods, unless Limits.PodLogs in its configuration excludes them"));
    }
    let paths: Vec<&str> = logs.iter().map(|log| log.path.as_str()).collect();
    let mut failure = None;
    bundle
        .read_in_order(&paths, &mut |number, content| {
            let (Some(log), Some(content)) = (logs.get(number), content) else {
                return Ok(ControlFlow::Continue(()));
            };
            if let Err(error) = print_one(&log.source, content, selection.tail, printer)? {
                failure = Some(error);
            }
            Ok(if failure.is_some() || printer.is_broken() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })
        .map_err(|error| unreadable(&error))?;
    failure.map_or(Ok(exit::SUCCESS), Err)
}

/// `podlogs/<namespace>/<pod>/logs/<container>[.previous].txt`
fn log_of(name: &str) -> Option<Log> {
    let parts: Vec<&str> = name.split('/').collect();
    let ["podlogs", namespace, pod, "logs", file] = parts.as_slice() else {
        return None;
    };
    let container = file.strip_suffix(".txt")?;
    let (container, previous) = match container.strip_suffix(".previous") {
        Some(container) => (container, true),
        None => (container, false),
    };
    Some(Log {
        path: name.to_owned(),
        namespace: (*namespace).to_owned(),
        source: Source {
            pod: (*pod).to_owned(),
            container: container.to_owned(),
            restarts: 0,
            previous,
        },
    })
}

/// Adds the run's pods of a list: an array, or an object with items.
fn add_pods(list: &[u8], pods: &mut BTreeMap<(String, String), Pod>) {
    let list: Value = serde_json::from_slice(list).unwrap_or_default();
    let items = list.get("items").unwrap_or(&list).as_array();
    for pod in items.into_iter().flatten() {
        add_pod(pod, pods);
    }
}

/// Adds the pod of a missing result, which may have been deleted before the cluster was queried.
fn add_failed_pod(error: &[u8], pods: &mut BTreeMap<(String, String), Pod>) {
    let error: Value = serde_json::from_slice(error).unwrap_or_default();
    if let Some(pod) = error.get("pod") {
        add_pod(pod, pods);
    }
}

fn add_pod(pod: &Value, pods: &mut BTreeMap<(String, String), Pod>) {
    let Ok(pod) = serde_json::from_value::<Pod>(pod.clone()) else {
        return;
    };
    if plugin_of(&pod).is_some() || is_aggregator(&pod) {
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        let name = pod.metadata.name.clone().unwrap_or_default();
        pods.insert((namespace, name), pod);
    }
}

fn is_selected(log: &Log, pod: Option<&Pod>, selection: &LogSelection<'_>) -> bool {
    let LogSelection {
        plugin,
        node: on_node,
        failed,
        tail: _,
    } = selection;
    let Some(pod) = pod else {
        let is_local = log.namespace == LOCAL && !failed && on_node.is_none();
        return is_local && plugin.is_none_or(|plugin| plugin == log.source.pod);
    };
    let is_of_plugin = match *plugin {
        None => true,
        Some(constants::HEALTH_PLUGIN) => is_aggregator(pod),
        Some(plugin) => plugin_of(pod) == Some(plugin),
    };
    let is_failed = || {
        sources::failed(pod)
            .iter()
            .any(|failed| failed.container == log.source.container && failed.previous == log.source.previous)
    };
    is_of_plugin && (on_node.is_none() || node(pod) == *on_node) && (!failed || is_failed())
}

/// Prints a log, or its last lines. The outer error is that of the archive.
fn print_one(
    source: &Source,
    content: &mut dyn Read,
    tail: Option<usize>,
    printer: &Printer,
) -> io::Result<Result<(), CliError>> {
    let mut reader = BufReader::new(content);
    let mut last: VecDeque<Vec<u8>> = VecDeque::new();
    loop {
        let mut bytes = Vec::new();
        if reader.by_ref().take(MAX_PIECE).read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        let line = line::with_prefix(source, &bytes);
        let Some(tail) = tail else {
            if let Err(error) = printer.log(&line) {
                return Ok(Err(error));
            }
            continue;
        };
        last.push_back(line);
        if last.len() > tail {
            last.pop_front();
        }
    }
    Ok(last.iter().try_for_each(|line| printer.log(line)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn logs_are_selected_by_plugin_node_and_failure() {
        let status = |name: &str, restarts: u32, state: Value, last: Value| json!({"name": name, "image": "", "imageID": "", "ready": false, "restartCount": restarts, "state": state, "lastState": last});
        let failed = json!({"terminated": {"exitCode": 1}});
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "x", "namespace": "ns", "labels": {"sonobuoy-plugin": "p"}},
            "spec": {"nodeName": "n1", "containers": [{"name": "a"}, {"name": "b"}]},
            "status": {"containerStatuses": [
                status("a", 0, failed.clone(), json!({})),
                status("b", 1, json!({"running": {}}), failed)]}
        }))
        .unwrap();
        let log = |path: &str| log_of(path).unwrap();
        let logs = [
            log("podlogs/ns/x/logs/a.txt"),
            log("podlogs/ns/x/logs/b.txt"),
            log("podlogs/ns/x/logs/b.previous.txt"),
        ];
        let selected = |selection: &LogSelection<'_>| {
            let selected = logs.iter().filter(|log| is_selected(log, Some(&pod), selection));
            selected.map(|log| log.source.to_string()).collect::<Vec<_>>()
        };
        let all = LogSelection::default;
        assert_eq!(selected(&all()).len(), 3);
        assert_eq!(
            selected(&LogSelection {
                plugin: Some("q"),
                ..all()
            })
            .len(),
            0
        );
        assert_eq!(
            selected(&LogSelection {
                plugin: Some("p"),
                node: Some("n1"),
                ..all()
            })
            .len(),
            3
        );
        assert_eq!(
            selected(&LogSelection {
                node: Some("n2"),
                ..all()
            })
            .len(),
            0
        );
        assert_eq!(
            selected(&LogSelection { failed: true, ..all() }),
            ["x/a", "x/b (before its restart)"]
        );
        // Logs of pods that do not belong to the run.
        assert!(!is_selected(&logs[0], None, &all()));
        assert!(is_selected(
            &log("podlogs/local/p/logs/a.txt"),
            None,
            &LogSelection {
                plugin: Some("p"),
                ..all()
            }
        ));
        assert_eq!(log_of("podlogs/ns/x/logs/a.log"), None);
        assert_eq!(log_of("podlogs/ns/x/other/a.txt"), None);
    }
}
