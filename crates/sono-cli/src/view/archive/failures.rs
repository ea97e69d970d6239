//! Failures of a plugin. Equal failures of several nodes are one entry. Pure.

use std::collections::{BTreeMap, BTreeSet};

use sono_results::Failure;
use sono_types::{constants::GLOBAL, status::reason};

use crate::view::words::{counted, names, without_variations};

/// Equal failures.
#[derive(Debug)]
pub(super) struct FailureGroup<'a> {
    pub(super) first: &'a Failure,
    /// Their nodes, in the order of the failures.
    nodes: Vec<&'a str>,
    known_nodes: BTreeSet<&'a str>,
    pub(super) count: usize,
}

impl FailureGroup<'_> {
    /// `   on n1, n2 and 98 more`; empty for a plugin without nodes, and if the name contains the only node.
    pub(super) fn nodes(&self) -> String {
        match self.nodes.as_slice() {
            [] => String::new(),
            [node] if self.first.name.contains(node) => String::new(),
            nodes => format!("   on {}", names(nodes)),
        }
    }
}

/// Groups failures in the order of their first members. Texts of missing results differ in names of pods and nodes; names
/// of tests are compared exactly.
pub(super) fn groups(failures: &[Failure]) -> Vec<FailureGroup<'_>> {
    let mut groups: Vec<FailureGroup<'_>> = Vec::new();
    let mut known: BTreeMap<(String, String), usize> = BTreeMap::new();
    for failure in failures {
        let node = failure.target().filter(|target| *target != GLOBAL);
        let is_error = failure.is_error_result();
        let key = if is_error {
            (
                without_variations(&failure.name, node.unwrap_or_default()),
                String::new(),
            )
        } else {
            (failure.name.clone(), failure.message_first_lines.join("\n"))
        };
        let at = known.get(&key).copied().filter(|at| {
            // Equal tests of one node are different results.
            let group = &groups[*at];
            node.is_some_and(|node| is_error || !group.known_nodes.contains(node))
                && group.first.is_error_result() == is_error
        });
        if let Some(at) = at {
            let group = &mut groups[at];
            group.count += 1;
            let new = node.filter(|node| group.known_nodes.insert(node));
            group.nodes.extend(new);
            continue;
        }
        known.insert(key, groups.len());
        groups.push(FailureGroup {
            first: failure,
            nodes: node.into_iter().collect(),
            known_nodes: node.into_iter().collect(),
            count: 1,
        });
    }
    groups
}

/// Ends of logs of a plugin's failed containers; `others` have none here.
pub(crate) fn logs(plugin: &str, failures: &[Failure], others: u64) -> Vec<String> {
    let lines = groups(failures).into_iter().flat_map(|group| {
        let first = format!("{plugin}: {}{}", reason(&group.first.name), group.nodes());
        let quoted = group.first.message_first_lines.iter().map(|line| format!("  | {line}"));
        std::iter::once(first).chain(quoted).collect::<Vec<_>>()
    });
    let rest = (others > 0).then(|| format!("{plugin}: and {}", counted(others, "more log")));
    lines.chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(name: &str, file: &str, line: &str) -> Failure {
        Failure {
            name: name.to_owned(),
            file: Some(file.to_owned()),
            message_first_lines: vec![line.to_owned()],
            ..Failure::default()
        }
    }

    fn shown(failures: &[Failure]) -> Vec<(String, usize)> {
        let groups = groups(failures);
        let text = |group: &FailureGroup<'_>| (format!("{}{}", group.first.name, group.nodes()), group.count);
        groups.iter().map(text).collect()
    }

    #[test]
    fn equal_failures_of_many_nodes_are_one_entry() {
        let mut failures: Vec<Failure> = (1..=100)
            .map(|number| {
                let name = format!("pod sonobuoy-p-{number} on node node{number} ended");
                failure(
                    &name,
                    &format!("errors/node{number}/error.json"),
                    &format!("at {number}"),
                )
            })
            .collect();
        failures.push(failure("image not found", "errors/node7/error.json", ""));
        assert_eq!(
            shown(&failures),
            [
                (
                    "pod sonobuoy-p-1 on node node1 ended   on node1, node2 and 98 more".to_owned(),
                    100
                ),
                ("image not found   on node7".to_owned(), 1)
            ]
        );
        assert_eq!(
            logs("p", &failures, 0),
            [
                "p: pod sonobuoy-p-1 on node node1 ended   on node1, node2 and 98 more",
                "  | at 1",
                "p: image not found   on node7",
                "  | "
            ]
        );
        assert_eq!(
            logs("p", &failures[100..], 2_100),
            ["p: image not found   on node7", "  | ", "p: and 2,100 more logs"]
        );
    }

    #[test]
    fn tests_are_compared_by_name_and_message() {
        let failures = [
            failure("test 1", "results/n1/j.xml", "a"),
            failure("test 2", "results/n1/j.xml", "a"),
            failure("test 1", "results/n2/j.xml", "a"),
            failure("test 1", "results/n3/j.xml", "b"),
            failure("test 1", "results/n3/j.xml", "b"),
            failure("test 3", "results/global/j.xml", "a"),
            failure("test 3", "results/global/j.xml", "a"),
        ];
        assert_eq!(
            shown(&failures),
            [
                ("test 1   on n1, n2", 2),
                ("test 2   on n1", 1),
                ("test 1   on n3", 1),
                ("test 1   on n3", 1),
                ("test 3", 1),
                ("test 3", 1),
            ]
            .map(|(text, count)| (text.to_owned(), count))
        );
    }
}
