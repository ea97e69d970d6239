//! Collects results from an archive in one pass. Leaves of result trees are streamed, and reading stops as soon as possible.

mod causes;
mod logs;
mod meta;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
    ops::ControlFlow,
    path::PathBuf,
};

use serde::Serialize;
use serde_json::Value;
use sono_bundle::{Bundle, MemoryBudget, ReadError};
use sono_results::{
    DetailedLine, JunitSuite, Leaf, LeafVisitor, Selection, Summary, Tally, YamlDigest, detailed_line, has_log,
    stream_json, stream_yaml, visit_leaves,
};
use sono_types::{Item, LeftOut, constants::HEALTH_PLUGIN, item::status, layout};

use self::{
    causes::Causes,
    logs::Logs,
    meta::{info, uuid},
};
use super::budget::{Budget, Used};
use crate::{error::CliError, trees};

/// Requested results.
#[derive(Debug)]
pub(super) struct Request<'a> {
    /// Only this plugin.
    pub(super) plugin: Option<&'a str>,
    /// Only items below the item of that name.
    pub(super) node: Option<&'a str>,
    /// Selection of leaves.
    pub(super) selection: &'a Selection,
    /// Form of the leaves.
    pub(super) part: PartKind,
    /// Whether the id of the run is included.
    pub(super) run: bool,
    /// Command that prints the logs of failed containers.
    pub(super) log_command: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PartKind {
    Text,
    Tally,
    Pieces,
    Summary,
    Leaves,
    Junit,
}

/// Collected results.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    archive: PathBuf,
    /// Names of plugins, in the order of the output.
    pub(super) names: Vec<String>,
    /// Nodes that plugins skipped.
    pub(super) left_out: Vec<LeftOut>,
    plugins: BTreeMap<String, Result<Plugin, CliError>>,
    /// `meta/clusterhealth.json`
    pub(super) health: Option<Vec<u8>>,
    /// The run's UUID.
    pub(super) run: Option<String>,
    /// What is proved about secrets in the archive, in a sentence.
    pub(super) redaction: Option<String>,
    /// Stored causes, for [`PartKind::Summary`].
    pub(super) causes: Causes,
}

impl Gathered {
    /// Results of a plugin, or the error of reading them.
    pub(super) fn plugin(&self, name: &str) -> Result<&Plugin, CliError> {
        match self.plugins.get(name) {
            Some(Ok(plugin)) => Ok(plugin),
            Some(Err(error)) => Err(error.clone()),
            None => Err(self.missing(&layout::results_file_named(name))),
        }
    }

    /// Number of selected leaves in all readable plugins; `None` if not counted.
    pub(super) fn matches(&self) -> Option<usize> {
        let plugins = self.plugins.values().filter_map(|plugin| plugin.as_ref().ok());
        plugins.map(|plugin| plugin.part.leaves()).sum()
    }

    pub(super) fn missing(&self, file: &str) -> CliError {
        CliError::new(format!("cannot read `{}`", self.archive.display()))
            .details([format!("failed to find file \"{file}\" in archive")])
    }
}

/// Results of one plugin.
#[derive(Debug)]
pub(super) struct Plugin {
    /// Root without its items.
    pub(super) root: Item,
    pub(super) part: Part,
}

#[derive(Debug)]
pub(super) enum Part {
    Text(Vec<u8>),
    /// Tally, and failures with the end of a log.
    Tally(Tally, Logs),
    Pieces(Vec<Piece>),
    /// Summary, with statuses and names of leaves if a selection was requested.
    Summary(Summary, Option<Vec<(String, String)>>),
    Leaves(BTreeMap<String, u64>, Vec<LeafDocument>),
    Junit(JunitSuite),
}

/// Part of the detailed view.
#[derive(Debug)]
pub(super) enum Piece {
    /// Lines to print unchanged.
    Data(String),
    /// File of the archive, and its prefix.
    File { prefix: String, path: String },
}

/// Leaf in a document.
#[derive(Debug, Serialize)]
pub(super) struct LeafDocument {
    path: Vec<String>,
    name: String,
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    meta: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    details: BTreeMap<String, Value>,
}

impl Part {
    fn new(request: &Request<'_>) -> Self {
        match request.part {
            PartKind::Text => Self::Text(Vec::new()),
            PartKind::Tally => Self::Tally(Tally::default(), Logs::default()),
            PartKind::Pieces => Self::Pieces(Vec::new()),
            PartKind::Summary => {
                let Selection { name, statuses, .. } = request.selection;
                let listed = (name.is_some() || !statuses.is_empty()).then(Vec::new);
                Self::Summary(Summary::default(), listed)
            }
            PartKind::Leaves => Self::Leaves(BTreeMap::new(), Vec::new()),
            PartKind::Junit => Self::Junit(JunitSuite::new(request.log_command)),
        }
    }

    fn leaves(&self) -> Option<usize> {
        match self {
            Self::Text(_) | Self::Junit(_) => None,
            Self::Tally(tally, _) => Some(tally.total()),
            Self::Pieces(pieces) => Some(pieces.len()),
            Self::Summary(_, listed) => listed.as_ref().map(Vec::len),
            Self::Leaves(_, leaves) => Some(leaves.len()),
        }
    }

    /// Whether it retains more than counts of such a leaf.
    fn retains(&self, leaf: &Item) -> bool {
        match self {
            Self::Text(_) => false,
            Self::Tally(..) | Self::Summary(_, None) => {
                !matches!(leaf.status.as_str(), status::PASSED | status::SKIPPED)
            }
            Self::Pieces(_) | Self::Summary(_, Some(_)) | Self::Leaves(..) | Self::Junit(_) => true,
        }
    }

    fn add(&mut self, plugin: &str, leaf: Leaf<'_>) {
        match self {
            Self::Text(_) => {}
            Self::Tally(tally, logs) => {
                tally.add(leaf.item);
                if has_log(leaf.item) {
                    logs.add(leaf);
                }
            }
            Self::Pieces(pieces) => match detailed_line(leaf, plugin) {
                DetailedLine::File { prefix, path } => pieces.push(Piece::File { prefix, path }),
                DetailedLine::Json(line) => {
                    if let Some(Piece::Data(text)) = pieces.last_mut() {
                        text.push_str(&line);
                        text.push('\n');
                    } else {
                        pieces.push(Piece::Data(line + "\n"));
                    }
                }
            },
            Self::Summary(summary, listed) => {
                summary.add(leaf);
                if let Some(listed) = listed {
                    listed.push((leaf.item.status.clone(), leaf.item.name.clone()));
                }
            }
            Self::Leaves(counts, leaves) => {
                let Item {
                    name,
                    status,
                    meta,
                    details,
                    items: _,
                } = leaf.item;
                *counts.entry(status.clone()).or_default() += 1;
                leaves.push(LeafDocument {
                    path: leaf.path.iter().skip(1).map(ToString::to_string).collect(),
                    name: name.clone(),
                    status: status.clone(),
                    file: leaf.file.map(str::to_owned),
                    meta: meta.clone(),
                    details: details.clone(),
                });
            }
            Self::Junit(suite) => suite.add(leaf),
        }
    }
}

/// Reads the archive until all requested results are known.
pub(super) fn gather(bundle: &Bundle, request: &Request<'_>) -> Result<Gathered, CliError> {
    let mut pass = Pass {
        request,
        found: Gathered {
            archive: bundle.path().to_path_buf(),
            ..Gathered::default()
        },
        info: request.plugin.map(|plugin| vec![plugin.to_owned()]),
        folders: BTreeSet::new(),
        from_json: BTreeMap::new(),
        reread: Vec::new(),
        memory: MemoryBudget::new(bundle.limits()),
        budget: Budget::new(bundle.limits()),
        saw_meta: false,
        left_meta: false,
    };
    bundle
        .visit(&mut |name, content| pass.file(name, content))
        .map_err(|error| unreadable(&error))?;
    for name in std::mem::take(&mut pass.reread) {
        let files = trees::of_plugin(bundle, &name).map_err(|error| unreadable(&error))?;
        let tree = files
            .unwrap_or_default()
            .tree()
            .map_err(|error| CliError::new(format!("cannot read the results of plugin `{name}`")).caused_by(&error));
        let plugin = tree.and_then(|root| pass.whole(bundle, &name, &root));
        pass.found.plugins.insert(name, plugin);
    }
    let Pass {
        mut found,
        info,
        folders,
        ..
    } = pass;
    found.names = match info {
        Some(names) if !names.is_empty() => names,
        // Archives of old versions do not list their plugins.
        _ => folders.iter().cloned().collect(),
    };
    if let Some(plugin) = request
        .plugin
        .filter(|plugin| !folders.contains(*plugin) && *plugin != HEALTH_PLUGIN)
    {
        let missing = found.missing(&layout::results_file_named(plugin));
        let found: Vec<&str> = folders.iter().map(String::as_str).collect();
        return Err(match found.as_slice() {
            [] => missing,
            found => missing.hint(format!("plugins in the archive: {}", found.join(", "))),
        });
    }
    if found.names.is_empty() {
        return Err(
            CliError::new(format!("`{}` contains no results of plugins", bundle.path().display()))
                .hint("expected an archive from sono retrieve or sonobuoy retrieve, not a result file of a plugin"),
        );
    }
    if request.plugin.is_none() {
        found.names.push(HEALTH_PLUGIN.to_owned());
    }
    Ok(found)
}

fn unreadable(error: &ReadError) -> CliError {
    CliError::of_archive(error.to_string(), error)
}

struct Pass<'a> {
    request: &'a Request<'a>,
    found: Gathered,
    /// Expected plugins.
    info: Option<Vec<String>>,
    /// Plugins with a directory.
    folders: BTreeSet<String>,
    /// The plugin according to its JSON, the budget before and after reading it, and the digest of the YAML, which follows it
    /// in the archive.
    from_json: BTreeMap<String, (Plugin, [Used; 2], YamlDigest)>,
    /// Plugins with results that must be read as a whole.
    reread: Vec<String>,
    memory: MemoryBudget,
    budget: Budget,
    saw_meta: bool,
    left_meta: bool,
}

impl Pass<'_> {
    fn file(&mut self, name: &str, content: &mut dyn Read) -> io::Result<ControlFlow<()>> {
        let in_meta = name.starts_with("meta/");
        self.saw_meta |= in_meta;
        self.left_meta |= self.saw_meta && !in_meta;
        if name == layout::INFO && self.info.is_none() {
            let (names, left_out) = info(&self.memory.read(name, content)?);
            self.info = Some(names);
            self.found.left_out = left_out;
        } else if name == layout::CLUSTER_HEALTH && self.needs_health() {
            self.found.health = Some(self.memory.read(name, content)?);
        } else if name == layout::REDACTIONS && self.request.part == PartKind::Summary {
            self.found.redaction = super::redaction::proved(&self.memory.read(name, content)?);
        } else if name == layout::CONFIG && self.request.run {
            self.found.run = uuid(&self.memory.read(name, content)?);
        }
        let plugin = name.strip_prefix("plugins/").and_then(|rest| rest.split_once('/'));
        let plugin = plugin.map(|(plugin, _)| plugin);
        self.found.causes.enter(plugin);
        if let Some(plugin) = plugin {
            self.plugin_file(plugin, name, content)?;
        }
        Ok(if self.is_done() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    }

    fn plugin_file(&mut self, plugin: &str, name: &str, content: &mut dyn Read) -> io::Result<()> {
        // A plugin without a YAML file has no results, even with a JSON file.
        if !self.folders.contains(plugin) && name != layout::results_json_file_named(plugin) {
            self.folders.insert(plugin.to_owned());
        }
        let is_requested = self.request.plugin.is_none_or(|requested| requested == plugin);
        if is_requested && self.request.part == PartKind::Summary && name == layout::causes_file_named(plugin) {
            return self.found.causes.read(plugin, content);
        }
        if !is_requested || self.found.plugins.contains_key(plugin) {
            return Ok(());
        }
        // A selection by node requires the whole tree.
        let streams = self.request.node.is_none() && self.request.part != PartKind::Text;
        if name == layout::results_json_file_named(plugin) && streams {
            let before = self.budget.used();
            let read = self.stream(plugin, content, |json, visit| stream_json(json, visit));
            self.budget.check()?;
            if let Ok((part, (root, yaml))) = read {
                let plugin_found = Plugin::finished(root, part);
                let used = [before, self.budget.used()];
                self.from_json.insert(plugin.to_owned(), (plugin_found, used, yaml));
            }
        } else if name == layout::results_file_named(plugin) {
            self.yaml(plugin, name, content, streams)?;
        }
        Ok(())
    }

    fn yaml(&mut self, plugin: &str, name: &str, content: &mut dyn Read, streams: bool) -> io::Result<()> {
        if self.request.part == PartKind::Text {
            let plugin_found = Plugin {
                root: Item::default(),
                part: Part::Text(self.memory.read(name, content)?),
            };
            self.found.plugins.insert(plugin.to_owned(), Ok(plugin_found));
            return Ok(());
        }
        let from_json = self.from_json.remove(plugin);
        if let Some((from_json, [before, after], yaml)) = from_json {
            // The YAML is only hashed.
            if YamlDigest::of(content)? == yaml {
                self.found.plugins.insert(plugin.to_owned(), Ok(from_json));
            } else {
                self.budget.release(before, after);
                self.reread.push(plugin.to_owned());
            }
        } else if !streams {
            self.reread.push(plugin.to_owned());
        } else {
            match self.stream(plugin, content, |yaml, visit| stream_yaml(yaml, visit)) {
                Ok((part, root)) => {
                    let plugin_found = Plugin::finished(root, part);
                    self.found.plugins.insert(plugin.to_owned(), Ok(plugin_found));
                }
                Err(_) => self.reread.push(plugin.to_owned()),
            }
            self.budget.check()?;
        }
        Ok(())
    }

    /// Streams the selected leaves. If streaming fails, the tree is read as a whole, which reports the error.
    fn stream<T, E>(
        &self,
        plugin: &str,
        content: &mut dyn Read,
        read: impl FnOnce(&mut dyn Read, &mut LeafVisitor<'_>) -> Result<T, E>,
    ) -> Result<(Part, T), E> {
        let (mut part, before) = (Part::new(self.request), self.budget.used());
        let mut reader = self.budget.reader(content);
        let read = read(&mut reader, &mut |leaf| self.add(&mut part, plugin, leaf));
        if read.is_err() && self.budget.check().is_ok() {
            self.budget.release(before, self.budget.used());
        }
        Ok((part, read?))
    }

    /// Adds a leaf if it is selected and the budget permits.
    fn add(&self, part: &mut Part, plugin: &str, leaf: Leaf<'_>) {
        if self.budget.leaf(leaf) && self.request.selection.matches(leaf.item) {
            if part.retains(leaf.item) {
                self.budget.retain(leaf);
            }
            part.add(plugin, leaf);
        }
    }

    /// Selects leaves from a whole tree in memory.
    fn whole(&self, bundle: &Bundle, plugin: &str, root: &Item) -> Result<Plugin, CliError> {
        let item = match self.request.node {
            None => root,
            Some(node) => root.find(node).ok_or_else(|| {
                CliError::new(format!(
                    "node named \"{node}\" not found in the results of plugin `{plugin}`"
                ))
                .hint(format!("nodes: {}", children(root)))
            })?,
        };
        let mut part = Part::new(self.request);
        visit_leaves(item, &mut |leaf| self.add(&mut part, plugin, leaf));
        self.budget.check().map_err(|source| {
            unreadable(&ReadError::File {
                path: bundle.path().to_path_buf(),
                name: layout::results_file_named(plugin),
                source,
            })
        })?;
        let head = Item {
            name: item.name.clone(),
            status: item.status.clone(),
            ..Item::default()
        };
        Ok(Plugin::finished(head, part))
    }

    fn needs_health(&self) -> bool {
        self.request.plugin.is_none_or(|plugin| plugin == HEALTH_PLUGIN)
    }

    /// Whether all requested results are known. Entries of a directory are contiguous, so an optional file that is missing
    /// at the end of its directory does not exist.
    fn is_done(&self) -> bool {
        let Some(names) = self.info.as_ref().filter(|names| !names.is_empty()) else {
            return false;
        };
        let health = !self.needs_health() || self.found.health.is_some() || self.left_meta;
        let run = !self.request.run || self.found.run.is_some() || self.left_meta;
        let has = |name: &String| self.found.plugins.contains_key(name) || self.reread.contains(name);
        let has_failed = |name: &str| {
            let plugin = self.found.plugins.get(name).and_then(|plugin| plugin.as_ref().ok());
            plugin.is_some_and(|plugin| plugin.root.status != status::PASSED)
        };
        let causes = self.request.part != PartKind::Summary || !self.found.causes.may_follow(has_failed);
        health && run && causes && names.iter().filter(|name| *name != HEALTH_PLUGIN).all(has)
    }
}

impl Plugin {
    fn finished(root: Item, part: Part) -> Self {
        let part = match part {
            Part::Summary(summary, listed) => Part::Summary(
                Summary {
                    name: root.name.clone(),
                    status: root.status.clone(),
                    ..summary
                },
                listed,
            ),
            part => part,
        };
        Self { root, part }
    }
}

fn children(root: &Item) -> String {
    let names: Vec<&str> = root.items.iter().take(10).map(|item| item.name.as_str()).collect();
    names.join(", ")
}
