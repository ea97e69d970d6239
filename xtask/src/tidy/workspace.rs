//! Reads the input of the checks; the only part of `tidy` that starts cargo and reads files.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context;
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, camino::Utf8Path};
use fs_err as fs;
use sono_testbed::command;

use super::{
    edges::{Member, Use},
    enabled::{self, Enabled},
    graph::{Graph, Package},
    manifest::{Manifest, Section},
};

/// The platform of the product's containers, and the only one on which all packages are built.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

pub(super) struct Workspace {
    pub(super) members: Vec<MemberFiles>,
    pub(super) graph: Graph,
    pub(super) enabled: Enabled,
    pub(super) clippy: String,
    /// All pages, by their path.
    pub(super) pages: BTreeMap<String, String>,
}

pub(super) struct MemberFiles {
    pub(super) member: Member,
    /// ID in the graph.
    pub(super) id: String,
    /// Directory relative to the repository.
    pub(super) directory: String,
    /// Root files of its crates, relative to the repository.
    pub(super) roots: Vec<String>,
    /// All `.rs` files below `src` and `tests`, by path relative to the repository.
    pub(super) sources: BTreeMap<String, String>,
    pub(super) clippy: Option<String>,
}

pub(super) fn gather(root: &Path) -> anyhow::Result<Workspace> {
    let metadata = MetadataCommand::new()
        .cargo_path(command::cargo())
        .manifest_path(root.join("Cargo.toml"))
        .other_options(["--locked".to_owned()])
        .exec()?;
    let mut tree = command::new(
        command::cargo(),
        [
            "tree",
            "--workspace",
            "--locked",
            "--target",
            PLATFORM,
            "--prefix",
            "none",
            "--format",
            "{p}",
        ],
    );
    let tree = command::output(tree.current_dir(root))?;
    Ok(Workspace {
        members: members(&metadata)?,
        graph: graph(&metadata)?,
        enabled: enabled::parse(&tree),
        clippy: fs::read_to_string(root.join(".clippy.toml"))?,
        pages: pages(root)?,
    })
}

/// The Markdown files that git tracks.
fn pages(root: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let mut list = command::new(
        "git",
        ["ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
    );
    let list = command::output(list.current_dir(root))?;
    let present = list.lines().filter(|page| root.join(page).exists());
    present
        .map(|page| Ok((page.to_owned(), fs::read_to_string(root.join(page))?)))
        .collect()
}

fn members(metadata: &Metadata) -> anyhow::Result<Vec<MemberFiles>> {
    let root = &metadata.workspace_root;
    let member = |package: &cargo_metadata::Package| -> anyhow::Result<MemberFiles> {
        let directory = package
            .manifest_path
            .parent()
            .context("the Cargo.toml has no parent directory")?;
        let mut sources = BTreeMap::new();
        for part in ["src", "tests"] {
            read_sources(root, &directory.join(part), &mut sources)?;
        }
        let clippy = directory.join(".clippy.toml");
        let roots = package.targets.iter().map(|target| relative(root, &target.src_path));
        Ok(MemberFiles {
            id: package.id.repr.clone(),
            directory: relative(root, directory)?,
            roots: roots.collect::<anyhow::Result<_>>()?,
            sources,
            clippy: clippy.exists().then(|| fs::read_to_string(&clippy)).transpose()?,
            member: Member {
                name: package.name.to_string(),
                path: relative(root, &package.manifest_path)?,
                manifest: Manifest::parse(&fs::read_to_string(&package.manifest_path)?),
                uses: package.dependencies.iter().map(declared_use).collect(),
            },
        })
    };
    metadata.workspace_packages().into_iter().map(member).collect()
}

fn declared_use(dependency: &cargo_metadata::Dependency) -> Use {
    Use {
        section: match dependency.kind {
            DependencyKind::Development => Section::Development,
            DependencyKind::Build => Section::Build,
            _ => Section::Normal,
        },
        package: dependency.name.clone(),
        written: dependency.rename.as_ref().unwrap_or(&dependency.name).clone(),
    }
}

fn graph(metadata: &Metadata) -> anyhow::Result<Graph> {
    let resolve = metadata
        .resolve
        .as_ref()
        .context("cargo metadata returned no dependency graph")?;
    let names: BTreeMap<_, _> = metadata
        .packages
        .iter()
        .map(|package| (&package.id, package.name.as_str()))
        .collect();
    let package = |node: &cargo_metadata::Node| {
        let name = names
            .get(&node.id)
            .with_context(|| format!("{} has no package", node.id))?;
        let uses = node
            .deps
            .iter()
            .filter(|edge| edge.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal))
            .map(|edge| edge.pkg.repr.clone());
        let package = Package {
            name: (*name).to_owned(),
            uses: uses.collect(),
        };
        Ok((node.id.repr.clone(), package))
    };
    resolve.nodes.iter().map(package).collect()
}

fn read_sources(root: &Utf8Path, directory: &Utf8Path, sources: &mut BTreeMap<String, String>) -> anyhow::Result<()> {
    if !directory.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let path = Utf8Path::from_path(&path).with_context(|| format!("{} is not UTF-8", path.display()))?;
        if path.is_dir() {
            read_sources(root, path, sources)?;
        } else if path.extension() == Some("rs") {
            sources.insert(relative(root, path)?, fs::read_to_string(path)?);
        }
    }
    Ok(())
}

fn relative(root: &Utf8Path, path: &Utf8Path) -> anyhow::Result<String> {
    let inside = path
        .strip_prefix(root)
        .with_context(|| format!("{path} is not in {root}"))?;
    let parts: Vec<&str> = inside.components().map(|part| part.as_str()).collect();
    Ok(parts.join("/"))
}
