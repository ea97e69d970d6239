//! The tests of a plugin with their verdicts, without the nodes on which they ran.

use std::collections::{BTreeMap, HashMap};

use sono_results::Leaf;
use sono_types::item::status;

use crate::{limits, lines::head};

/// Directory of results that belong to no node.
const GLOBAL: &str = "global";
/// Prefix of test names in Ginkgo 2.
const GINKGO_PREFIX: &str = "[It]";

/// Verdict of a test, the least severe first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TestStatus {
    /// It passed.
    Passed,
    /// A status of the plugin's own.
    Other,
    /// Not known.
    Unknown,
    /// It did not end in time.
    Timeout,
    /// It failed.
    Failed,
}

impl TestStatus {
    const ALL: [(Self, char); 5] = [
        (Self::Passed, 'p'),
        (Self::Other, 'o'),
        (Self::Unknown, 'u'),
        (Self::Timeout, 't'),
        (Self::Failed, 'f'),
    ];

    /// The letter in a run's card.
    pub fn letter(self) -> char {
        Self::ALL
            .into_iter()
            .find_map(|(status, letter)| (status == self).then_some(letter))
            .unwrap_or('u')
    }

    /// The status with this letter; `Unknown` for any other.
    pub fn from_letter(letter: char) -> Self {
        Self::ALL
            .into_iter()
            .find_map(|(status, of_status)| (of_status == letter).then_some(status))
            .unwrap_or(Self::Unknown)
    }

    /// The word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Other => "other",
            Self::Unknown => "unknown",
            Self::Timeout => "timed out",
            Self::Failed => "failed",
        }
    }

    /// The result status of a leaf with this verdict.
    pub(crate) fn status(self) -> &'static str {
        match self {
            Self::Passed => status::PASSED,
            Self::Other | Self::Unknown => status::UNKNOWN,
            Self::Timeout => status::TIMEOUT,
            Self::Failed => status::FAILED,
        }
    }

    /// Whether it failed or timed out.
    pub fn is_failed(self) -> bool {
        matches!(self, Self::Failed | Self::Timeout)
    }
}

/// Tests of a plugin in their order. The verdict of a test on several nodes is the most severe.
#[derive(Debug, Default)]
pub(crate) struct TestList {
    tests: Vec<(Name, TestStatus)>,
    positions: HashMap<Name, usize>,
    bytes: usize,
    /// Verdicts by node and position, if they are requested.
    nodes: Option<BTreeMap<String, Vec<(usize, TestStatus)>>>,
    node_verdicts: usize,
    /// Number of tests that were not run.
    pub(crate) skipped: u64,
    /// Number of tests beyond the limits.
    pub(crate) left_out: u64,
}

/// Name of a test, and the suites in its file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Name {
    suites: String,
    name: String,
}

/// Nodes with equal verdicts of a plugin's tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeGroup {
    /// A letter for each test of the plugin, as in a run's card; `-` for a test without a verdict on these nodes.
    pub statuses: String,
    /// Names of the nodes.
    pub nodes: Vec<String>,
}

impl TestList {
    /// A list that also has the verdicts on each node.
    pub(crate) fn of_nodes() -> Self {
        Self {
            nodes: Some(BTreeMap::new()),
            ..Self::default()
        }
    }

    /// Nodes by their verdicts, the smallest groups first.
    pub(crate) fn node_groups(&self) -> Vec<NodeGroup> {
        let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (node, verdicts) in self.nodes.iter().flatten() {
            let mut statuses = vec!['-'; self.tests.len()];
            for (at, verdict) in verdicts {
                if let Some(status) = statuses.get_mut(*at) {
                    *status = verdict.letter();
                }
            }
            groups
                .entry(statuses.into_iter().collect())
                .or_default()
                .push(node.clone());
        }
        let groups = groups
            .into_iter()
            .map(|(statuses, nodes)| NodeGroup { statuses, nodes });
        let mut groups: Vec<NodeGroup> = groups.collect();
        groups.sort_by_key(|group| group.nodes.len());
        groups
    }

    fn on_node(&mut self, leaf: Leaf<'_>, at: usize, verdict: TestStatus) {
        let (Some(nodes), Some(node)) = (&mut self.nodes, node(leaf)) else {
            return;
        };
        if self.node_verdicts < limits::NODE_VERDICTS {
            self.node_verdicts += 1;
            nodes.entry(node.to_owned()).or_default().push((at, verdict));
        }
    }

    pub(crate) fn add(&mut self, leaf: Leaf<'_>) {
        let verdict = match leaf.item.status.as_str() {
            status::PASSED => TestStatus::Passed,
            status::FAILED => TestStatus::Failed,
            status::TIMEOUT => TestStatus::Timeout,
            status::UNKNOWN => TestStatus::Unknown,
            status::SKIPPED => {
                self.skipped += 1;
                return;
            }
            _ => TestStatus::Other,
        };
        let name = Name {
            suites: suites(leaf),
            name: test_name(&leaf.item.name).to_owned(),
        };
        if let Some(at) = self.positions.get(&name).copied() {
            if let Some((_, before)) = self.tests.get_mut(at) {
                *before = verdict.max(*before);
            }
            self.on_node(leaf, at, verdict);
            return;
        }
        let bytes = name.suites.len() + name.name.len();
        if self.tests.len() >= limits::CARD_TESTS || self.bytes + bytes > limits::CARD_NAME_BYTES {
            self.left_out += 1;
            return;
        }
        self.bytes += bytes;
        self.on_node(leaf, self.tests.len(), verdict);
        self.positions.insert(name.clone(), self.tests.len());
        self.tests.push((name, verdict));
    }

    /// Names and verdicts. A name that occurs in several suites includes its suite.
    pub(crate) fn into_tests(self) -> Vec<(String, TestStatus)> {
        let mut uses: HashMap<&str, usize> = HashMap::new();
        for (name, _) in &self.tests {
            *uses.entry(&name.name).or_default() += 1;
        }
        self.tests
            .iter()
            .map(|(Name { suites, name }, verdict)| {
                let is_unique = uses.get(name.as_str()).is_none_or(|count| *count == 1);
                let shown = if is_unique || suites.is_empty() {
                    name.clone()
                } else {
                    format!("{suites}/{name}")
                };
                (shown, *verdict)
            })
            .collect()
    }
}

/// Name of a test without the prefix of Ginkgo, within the limit.
pub fn test_name(name: &str) -> &str {
    head(name.trim_start_matches(GINKGO_PREFIX).trim(), limits::NAME_BYTES)
}

/// The node of a leaf by its file: `results/node1/out.xml`.
fn node(leaf: Leaf<'_>) -> Option<&str> {
    let node = leaf.file?.split('/').nth(1)?;
    (node != GLOBAL).then(|| head(node, limits::KEY_BYTES))
}

/// The ancestors of a leaf without the plugin, the node and the file.
fn suites(leaf: Leaf<'_>) -> String {
    let target = leaf.file.and_then(|file| file.split('/').nth(1)).unwrap_or_default();
    let file = leaf.file.and_then(|file| file.rsplit('/').next()).unwrap_or_default();
    let ancestors = leaf.path.iter().enumerate().skip(1);
    let kept = ancestors
        .filter(|(depth, name)| !(*depth <= 2 && (**name == target || **name == file || name.ends_with(file))));
    let names: Vec<&str> = kept.map(|(_, name)| *name).collect();
    head(&names.join("/"), limits::NAME_BYTES).to_owned()
}

#[cfg(test)]
mod tests {
    use sono_results::visit_leaves;
    use sono_types::Item;

    use super::*;

    fn item(name: &str, status: &str, items: Vec<Item>) -> Item {
        Item {
            name: name.to_owned(),
            status: status.to_owned(),
            items,
            ..Item::default()
        }
    }

    fn file(name: &str, path: &str, items: Vec<Item>) -> Item {
        Item {
            meta: [("file".to_owned(), path.to_owned())].into(),
            ..item(name, "failed", items)
        }
    }

    #[test]
    fn test_on_several_nodes_has_its_most_severe_verdict() {
        let on_node = |node: &str, status: &str| {
            let tests = vec![item("clock", status, vec![]), item("disk", "skipped", vec![])];
            item(
                node,
                status,
                vec![file("out.yaml", &format!("results/{node}/out.yaml"), tests)],
            )
        };
        let root = item(
            "checks",
            "failed",
            vec![
                on_node("n1", "passed"),
                on_node("n2", "failed"),
                on_node("n3", "custom"),
            ],
        );
        let mut list = TestList::of_nodes();
        visit_leaves(&root, &mut |leaf| list.add(leaf));
        assert_eq!((list.skipped, list.left_out), (3, 0));
        let group = |statuses: &str, node: &str| NodeGroup {
            statuses: statuses.to_owned(),
            nodes: vec![node.to_owned()],
        };
        assert_eq!(
            list.node_groups(),
            [group("f", "n2"), group("o", "n3"), group("p", "n1")]
        );
        assert_eq!(list.into_tests(), [("clock".to_owned(), TestStatus::Failed)]);
    }

    #[test]
    fn equal_names_in_several_suites_include_the_suite() {
        let suite = |name: &str| item(name, "passed", vec![item("starts", "passed", vec![])]);
        let mut a = suite("a");
        a.items.push(item("[It] ends", "timeout", vec![]));
        let root = item(
            "p",
            "failed",
            vec![file("j.xml", "results/global/j.xml", vec![a, suite("b")])],
        );
        let mut list = TestList::default();
        visit_leaves(&root, &mut |leaf| list.add(leaf));
        assert_eq!(
            list.into_tests(),
            [
                ("a/starts".to_owned(), TestStatus::Passed),
                ("ends".to_owned(), TestStatus::Timeout),
                ("b/starts".to_owned(), TestStatus::Passed),
            ]
        );
    }

    #[test]
    fn letters_are_read_back() {
        for (status, letter) in TestStatus::ALL {
            assert_eq!(TestStatus::from_letter(status.letter()), status);
            assert_eq!(status.letter(), letter);
        }
        assert_eq!(TestStatus::from_letter('x'), TestStatus::Unknown);
    }
}
