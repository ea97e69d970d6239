//! Obstacles: why pods of a run do not run. Equal reasons of several nodes are one entry. Pure.

use jiff::Timestamp;
use sono_kube::stuck::Explanation;

use super::words::{names, without_variations};

/// Obstacle that prevents a pod from running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Obstacle {
    /// Plugin of the pod; `None` for the aggregator.
    pub(crate) plugin: Option<String>,
    /// Node of the pod, if known.
    pub(crate) node: Option<String>,
    /// Whether the containers have not been started.
    pub(crate) pending: bool,
    /// Name of the pod, if a container of it ended with an error.
    pub(crate) failed_pod: Option<String>,
    pub(crate) why: Explanation,
}

impl Obstacle {
    /// Text that equal obstacles of other nodes share.
    pub(crate) fn key(&self) -> String {
        let subject = self.plugin.as_deref().unwrap_or_default();
        let why = without_variations(&self.why.message, self.node.as_deref().unwrap_or_default());
        format!("{subject} {why}")
    }
}

/// Equal obstacles of several nodes, as sentences such as `bench on n1, n2: image i: not found (ErrImagePull, 3s)`.
pub(crate) fn sentences<'a>(obstacles: impl IntoIterator<Item = &'a Obstacle>, now: Timestamp) -> Vec<String> {
    let mut groups: Vec<(String, &Obstacle, Vec<&str>)> = Vec::new();
    for obstacle in obstacles {
        let key = obstacle.key();
        let node = obstacle.node.as_deref().filter(|_| obstacle.plugin.is_some());
        match groups.iter_mut().find(|(known, ..)| *known == key) {
            Some((.., nodes)) => nodes.extend(node),
            None => groups.push((key, obstacle, node.into_iter().collect())),
        }
    }
    let sentence = |(_, first, nodes): (String, &Obstacle, Vec<&str>)| {
        let subject = first.plugin.as_deref().unwrap_or("aggregator");
        let nodes = match nodes.as_slice() {
            [] => String::new(),
            nodes => format!(" on {}", names(nodes)),
        };
        format!("{subject}{nodes}: {}", first.why.text(now))
    };
    groups.into_iter().map(sentence).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_obstacles_of_many_nodes_are_one_sentence() {
        let obstacle = |plugin: Option<&str>, node: &str, message: &str| Obstacle {
            plugin: plugin.map(str::to_owned),
            node: Some(node.to_owned()),
            pending: true,
            failed_pod: None,
            why: Explanation::new("FailedCreate", message, None),
        };
        let mut all: Vec<Obstacle> = (1..=100)
            .map(|number| {
                obstacle(
                    Some("p"),
                    &format!("node{number}"),
                    &format!("pod sonobuoy-p-{number}x on node{number} was refused"),
                )
            })
            .collect();
        all.push(obstacle(Some("p"), "node7", "image i: not found"));
        all.push(obstacle(None, "node1", "quota"));
        assert_eq!(
            sentences(&all, Timestamp::UNIX_EPOCH),
            [
                "p on node1, node2 and 98 more: pod sonobuoy-p-1x on node1 was refused",
                "p on node7: image i: not found",
                "aggregator: quota"
            ]
        );
    }
}
