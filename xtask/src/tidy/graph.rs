//! Checks all direct and indirect dependencies of pure crates.

use std::collections::{BTreeMap, VecDeque};

/// Packages with I/O, which pure crates must not depend on, even indirectly.
const FORBIDDEN: &[&str] = &["tokio", "hyper", "kube", "reqwest", "rustls", "tar"];
/// Hundreds of generated types, only for the crate that renders objects.
const OBJECT_TYPES: &str = "k8s-openapi";
const RENDERS_OBJECTS: &str = "sono-manifest";

/// Packages by ID, with the IDs of their dependencies outside of tests and build scripts.
pub(super) type Graph = BTreeMap<String, Package>;

pub(super) struct Package {
    pub(super) name: String,
    pub(super) uses: Vec<String>,
}

/// The forbidden dependencies of the pure crate `name`, each with a dependency path.
pub(super) fn check(graph: &Graph, id: &str, name: &str) -> Vec<String> {
    let object_types = (name != RENDERS_OBJECTS).then_some(OBJECT_TYPES);
    paths(graph, id)
        .into_iter()
        .filter(|path| {
            path.last()
                .is_some_and(|end| FORBIDDEN.contains(end) || object_types == Some(*end))
        })
        .map(|path| format!("forbidden dependency of a pure crate: {}", path.join(" → ")))
        .collect()
}

/// One of the shortest dependency paths to each package, as names.
fn paths<'a>(graph: &'a Graph, start: &str) -> Vec<Vec<&'a str>> {
    let mut found: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut pending: VecDeque<(&str, Vec<&str>)> = VecDeque::new();
    let (start, package) = graph
        .get_key_value(start)
        .expect("cargo metadata has a node for every member");
    pending.push_back((start, vec![package.name.as_str()]));
    while let Some((id, path)) = pending.pop_front() {
        if found.contains_key(id) {
            continue;
        }
        let below = graph.get(id).map_or(&[][..], |package| &package.uses);
        for (next, package) in below.iter().filter_map(|next| graph.get_key_value(next)) {
            let mut longer = path.clone();
            longer.push(&package.name);
            pending.push_back((next, longer));
        }
        found.insert(id, path);
    }
    found.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &[&str])]) -> Graph {
        edges
            .iter()
            .map(|(name, uses)| {
                let package = Package {
                    name: (*name).to_owned(),
                    uses: uses.iter().map(|name| format!("{name}@1")).collect(),
                };
                (format!("{name}@1"), package)
            })
            .collect()
    }

    #[test]
    fn check_finds_shortest_paths_in_cyclic_graph() {
        let graph = graph(&[
            ("sono-types", &["serde", "a"]),
            ("serde", &["sono-types"]),
            ("a", &["b"]),
            ("b", &["c", "tokio"]),
            ("c", &["tokio", "k8s-openapi"]),
            ("tokio", &[]),
            ("tokio-util", &["tar"]),
            ("k8s-openapi", &[]),
            ("tar", &[]),
        ]);
        assert_eq!(
            check(&graph, "sono-types@1", "sono-types"),
            [
                "forbidden dependency of a pure crate: sono-types → a → b → c → k8s-openapi",
                "forbidden dependency of a pure crate: sono-types → a → b → tokio",
            ]
        );
    }

    #[test]
    fn object_types_allowed_only_for_renderer() {
        let graph = graph(&[
            ("sono-manifest", &["k8s-openapi"]),
            ("sono-results", &["k8s-openapi"]),
            ("k8s-openapi", &[]),
        ]);
        assert_eq!(check(&graph, "sono-manifest@1", "sono-manifest"), Vec::<String>::new());
        assert_eq!(
            check(&graph, "sono-results@1", "sono-results"),
            ["forbidden dependency of a pure crate: sono-results → k8s-openapi"]
        );
    }
}
