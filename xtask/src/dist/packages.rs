//! The packages of the program for one target, from `cargo metadata` and the lock file.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::Context;
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId, TargetKind, semver::Version};
use fs_err as fs;

/// The package of the command-line program.
pub(super) const ROOT: &str = "sono-cli";

#[derive(Debug)]
pub(super) struct Packages {
    /// ID of the command-line package.
    pub(super) root: PackageId,
    pub(super) version: Version,
    /// All packages, including the root, sorted by name and version.
    pub(super) parts: Vec<Part>,
}

#[derive(Debug)]
pub(super) struct Part {
    pub(super) package: Package,
    /// Whether the program contains its code; otherwise it is only used during the build.
    pub(super) is_linked: bool,
    /// SHA-256 of the registry's package, from the lock file.
    pub(super) checksum: Option<String>,
    /// Dependencies, sorted.
    pub(super) needs: Vec<PackageId>,
}

impl Packages {
    pub(super) fn of(tree: &Path, triple: &str) -> anyhow::Result<Self> {
        let metadata = MetadataCommand::new()
            .cargo_path(sono_testbed::command::cargo())
            .current_dir(tree)
            .other_options(["--locked", "--filter-platform", triple].map(ToOwned::to_owned))
            .exec()
            .context("cannot read the packages from cargo")?;
        let lock = fs::read_to_string(tree.join("Cargo.lock"))?;
        Self::from_metadata(metadata, &checksums(&lock))
    }

    fn from_metadata(metadata: Metadata, checksums: &BTreeMap<(String, String), String>) -> anyhow::Result<Self> {
        let graph = metadata.resolve.context("cargo returned no dependency graph")?;
        let mut packages: BTreeMap<PackageId, Package> = metadata
            .packages
            .into_iter()
            .map(|package| (package.id.clone(), package))
            .collect();
        let root = packages.values().find(|package| package.name.as_str() == ROOT);
        let (root, version) = root
            .map(|package| (package.id.clone(), package.version.clone()))
            .with_context(|| format!("package {ROOT} does not exist"))?;
        // Skip test dependencies. Dependencies of procedural macros and build scripts are only used during the build.
        let edges: BTreeMap<&PackageId, Vec<(&PackageId, bool)>> = graph
            .nodes
            .iter()
            .map(|node| {
                let needs = node.deps.iter().filter_map(|dependency| {
                    let has = |kind| dependency.dep_kinds.iter().any(|found| found.kind == kind);
                    let is_macro = packages.get(&dependency.pkg).is_some_and(is_procedural_macro);
                    let is_normal = has(DependencyKind::Normal);
                    (is_normal || has(DependencyKind::Build)).then_some((&dependency.pkg, is_normal && !is_macro))
                });
                (&node.id, needs.collect())
            })
            .collect();
        let mut reached: BTreeMap<PackageId, bool> = BTreeMap::new();
        let mut pending = vec![(&root, true)];
        while let Some((id, is_linked)) = pending.pop() {
            let known = reached.get(id).copied();
            if known == Some(true) || known == Some(is_linked) {
                continue;
            }
            reached.insert(id.clone(), is_linked);
            let needs = edges.get(id).into_iter().flatten();
            pending.extend(needs.map(|(needed, linked)| (*needed, is_linked && *linked)));
        }
        let needs_of = |id: &PackageId| {
            let needs = edges.get(id).into_iter().flatten();
            needs
                .map(|(needed, _)| (*needed).clone())
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect()
        };
        let mut parts: Vec<Part> = reached
            .iter()
            .filter_map(|(id, is_linked)| {
                let package = packages.remove(id)?;
                let key = (package.name.to_string(), package.version.to_string());
                Some(Part {
                    package,
                    is_linked: *is_linked,
                    checksum: checksums.get(&key).cloned(),
                    needs: needs_of(id),
                })
            })
            .collect();
        parts.sort_by(|one, other| {
            let key = |part: &Part| (part.package.name.to_string(), part.package.version.clone());
            key(one).cmp(&key(other))
        });
        Ok(Self { root, version, parts })
    }

    /// Third-party packages with code in the program.
    pub(super) fn third_parties(&self) -> impl Iterator<Item = &Package> {
        let linked = self.parts.iter().filter(|part| part.is_linked);
        linked
            .map(|part| &part.package)
            .filter(|package| package.source.is_some())
    }
}

fn is_procedural_macro(package: &Package) -> bool {
    package
        .targets
        .iter()
        .any(|target| target.is_kind(TargetKind::ProcMacro))
}

/// Checksums by name and version. Cargo writes one key per line.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let blocks = lock.split("[[package]]").skip(1);
    blocks
        .filter_map(|block| {
            let value = |key: &str| {
                let mut lines = block.lines();
                lines.find_map(|line| {
                    line.strip_prefix(key)?
                        .strip_prefix(" = \"")?
                        .strip_suffix('"')
                        .map(ToOwned::to_owned)
                })
            };
            Some(((value("name")?, value("version")?), value("checksum")?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_parsed_from_lock_file() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"r\"\nchecksum = \"12ab\"\n\n\
                    [[package]]\nname = \"ours\"\nversion = \"0.1.0\"\ndependencies = [\n \"a\",\n]\n";
        let expected = BTreeMap::from([(("a".to_owned(), "1.0.0".to_owned()), "12ab".to_owned())]);
        assert_eq!(checksums(lock), expected);
    }

    #[test]
    fn packages_distinguish_linked_build_and_test() {
        let packages = Packages::of(&sono_testbed::repository::root(), "x86_64-unknown-linux-gnu").unwrap();
        let linked = |name: &str| {
            let mut parts = packages.parts.iter();
            parts
                .find(|part| part.package.name.as_str() == name)
                .map(|part| part.is_linked)
        };
        assert_eq!(linked("sono-cli"), Some(true));
        assert_eq!(linked("sono-worker"), Some(true));
        assert_eq!(linked("tokio"), Some(true));
        assert_eq!(linked("serde_derive"), Some(false), "a procedural macro");
        assert_eq!(linked("cc"), Some(false), "of a build script");
        assert_eq!(linked("assert_cmd"), None, "of tests");
        assert_eq!(linked("windows-sys"), None, "of another system");
        assert!(
            packages
                .third_parties()
                .all(|package| !package.name.starts_with("sono-"))
        );
        let foreign = packages.parts.iter().filter(|part| part.package.source.is_some());
        let unlocked: Vec<&str> = foreign
            .filter(|part| part.checksum.is_none())
            .map(|part| part.package.name.as_str())
            .collect();
        assert_eq!(unlocked, Vec::<&str>::new());
    }
}
