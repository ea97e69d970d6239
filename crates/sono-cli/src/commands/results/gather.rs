//! What is wanted of an archive, in one pass over it: of a tree of results its leaves one by one, and no more of the
//! archive than it takes.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
    ops::ControlFlow,
    path::PathBuf,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sono_bundle::{Bundle, MemoryBudget, ReadError, ReadLimits};
use sono_results::{
    DetailedLine, JunitSuite, Leaf, LeafVisitor, Selection, Summary, Tally, YamlDigest, detailed_line, stream_json,
    stream_yaml, visit_leaves,
};
use sono_types::{Item, LeftOut, constants::HEALTH_PLUGIN, layout};

use crate::{error::CliError, trees};

/// What is wanted.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    /// Only this plugin.
    pub(super) plugin: Option<&'a str>,
    /// Only what is below the item of that name.
    pub(super) node: Option<&'a str>,
    /// Which leaves.
    pub(super) selection: &'a Selection,
    /// What of them.
    pub(super) part: PartKind,
    /// The run's identity too.
    pub(super) run: bool,
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

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    archive: PathBuf,
    /// In the order in which they are shown.
    pub(super) names: Vec<String>,
    /// Nodes that plugins left out.
    pub(super) left_out: Vec<LeftOut>,
    plugins: BTreeMap<String, Result<Plugin, CliError>>,
    /// `meta/clusterhealth.json`
    pub(super) health: Option<Vec<u8>>,
    /// The run's UUID.
    pub(super) run: Option<String>,
}

impl Gathered {
    /// A plugin, or why it cannot be shown.
    pub(super) fn plugin(&self, name: &str) -> Result<&Plugin, CliError> {
        match self.plugins.get(name) {
            Some(Ok(plugin)) => Ok(plugin),
            Some(Err(error)) => Err(error.clone()),
            None => Err(self.missing(&layout::results_file_named(name))),
        }
    }

    /// How many leaves were wanted of all plugins that can be read; `None` where nobody counted.
    pub(super) fn matches(&self) -> Option<usize> {
        let plugins = self.plugins.values().filter_map(|plugin| plugin.as_ref().ok());
        plugins.map(|plugin| plugin.part.leaves()).sum()
    }

    pub(super) fn missing(&self, file: &str) -> CliError {
        CliError::new(format!("cannot read `{}`", self.archive.display()))
            .details([format!("failed to find file \"{file}\" in archive")])
    }
}

/// One plugin, or the part of its tree that is wanted.
#[derive(Debug)]
pub(super) struct Plugin {
    /// Without what is below it.
    pub(super) root: Item,
    pub(super) part: Part,
}

#[derive(Debug)]
pub(super) enum Part {
    Text(Vec<u8>),
    Tally(Tally),
    Pieces(Vec<Piece>),
    /// With statuses and names, where leaves of a kind were asked for.
    Summary(Summary, Option<Vec<(String, String)>>),
    Leaves(BTreeMap<String, u64>, Vec<LeafDocument>),
    Junit(JunitSuite),
}

/// A piece of the detailed view.
#[derive(Debug)]
pub(super) enum Piece {
    /// Lines as they are.
    Data(String),
    /// A file of the archive, and what stands in front of it.
    File { prefix: String, path: String },
}

/// A leaf in a document.
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
    fn new(asked: &Asked<'_>) -> Self {
        match asked.part {
            PartKind::Text => Self::Text(Vec::new()),
            PartKind::Tally => Self::Tally(Tally::default()),
            PartKind::Pieces => Self::Pieces(Vec::new()),
            PartKind::Summary => {
                let Selection { name, statuses, .. } = asked.selection;
                let listed = (name.is_some() || !statuses.is_empty()).then(Vec::new);
                Self::Summary(Summary::default(), listed)
            }
            PartKind::Leaves => Self::Leaves(BTreeMap::new(), Vec::new()),
            PartKind::Junit => Self::Junit(JunitSuite::default()),
        }
    }

    fn leaves(&self) -> Option<usize> {
        match self {
            Self::Text(_) | Self::Junit(_) => None,
            Self::Tally(tally) => Some(tally.total()),
            Self::Pieces(pieces) => Some(pieces.len()),
            Self::Summary(_, listed) => listed.as_ref().map(Vec::len),
            Self::Leaves(_, leaves) => Some(leaves.len()),
        }
    }

    fn add(&mut self, plugin: &str, leaf: Leaf<'_>) {
        match self {
            Self::Text(_) => {}
            Self::Tally(tally) => tally.add(leaf.item),
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

/// Reads the archive up to where all that is wanted is known.
pub(super) fn gather(bundle: &Bundle, asked: &Asked<'_>) -> Result<Gathered, CliError> {
    let mut pass = Pass {
        asked,
        found: Gathered {
            archive: bundle.path().to_path_buf(),
            ..Gathered::default()
        },
        info: asked.plugin.map(|plugin| vec![plugin.to_owned()]),
        folders: BTreeSet::new(),
        from_json: BTreeMap::new(),
        again: Vec::new(),
        memory: MemoryBudget::new(bundle.limits()),
        limits: *bundle.limits(),
        items: 0,
        saw_meta: false,
        left_meta: false,
    };
    bundle
        .visit(&mut |name, content| pass.file(name, content))
        .map_err(|error| unreadable(&error))?;
    for name in std::mem::take(&mut pass.again) {
        let files = trees::of_plugin(bundle, &name).map_err(|error| unreadable(&error))?;
        let tree = files
            .unwrap_or_default()
            .tree()
            .map_err(|error| CliError::new(format!("the results of plugin `{name}` cannot be read")).caused_by(&error));
        let plugin = tree.and_then(|root| pass.whole(&name, &root));
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
        // Archives of the first versions do not say which plugins were run.
        _ => folders.iter().cloned().collect(),
    };
    if let Some(plugin) = asked
        .plugin
        .filter(|plugin| !folders.contains(*plugin) && *plugin != HEALTH_PLUGIN)
    {
        let missing = found.missing(&layout::results_file_named(plugin));
        let there: Vec<&str> = folders.iter().map(String::as_str).collect();
        return Err(match there.as_slice() {
            [] => missing,
            there => missing.hint(format!("the plugins in it: {}", there.join(", "))),
        });
    }
    if found.names.is_empty() {
        return Err(CliError::new(format!("`{}` has no results of plugins", bundle.path().display())).hint(
            "it should have come from sono retrieve or sonobuoy retrieve; a plugin's own results are shown by other programs",
        ));
    }
    if asked.plugin.is_none() {
        found.names.push(HEALTH_PLUGIN.to_owned());
    }
    Ok(found)
}

fn unreadable(error: &ReadError) -> CliError {
    CliError::of_archive(error.to_string(), error)
}

struct Pass<'a> {
    asked: &'a Asked<'a>,
    found: Gathered,
    /// The plugins that there should be.
    info: Option<Vec<String>>,
    /// Those that have a folder.
    folders: BTreeSet<String>,
    /// What their JSON says, of how many items, and the YAML that it was written with, which follows it in the archive.
    from_json: BTreeMap<String, (Plugin, u64, YamlDigest)>,
    /// Those whose results have to be read as a whole.
    again: Vec<String>,
    memory: MemoryBudget,
    limits: ReadLimits,
    /// Result items so far.
    items: u64,
    saw_meta: bool,
    left_meta: bool,
}

/// What a reader of leaves has seen.
struct Streamed<T> {
    part: Part,
    items: u64,
    read: T,
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
        } else if name == layout::CLUSTER_HEALTH && self.wants_health() {
            self.found.health = Some(self.memory.read(name, content)?);
        } else if name == layout::CONFIG && self.asked.run {
            self.found.run = uuid(&self.memory.read(name, content)?);
        } else if let Some(plugin) = name.strip_prefix("plugins/").and_then(|rest| rest.split_once('/')) {
            self.plugin_file(plugin.0, name, content)?;
        }
        Ok(if self.is_done() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    }

    fn plugin_file(&mut self, plugin: &str, name: &str, content: &mut dyn Read) -> io::Result<()> {
        // A plugin has results only where the YAML is: JSON alone does not count.
        if !self.folders.contains(plugin) && name != layout::results_json_file_named(plugin) {
            self.folders.insert(plugin.to_owned());
        }
        let asked = self.asked.plugin.is_none_or(|asked| asked == plugin);
        if !asked || self.found.plugins.contains_key(plugin) {
            return Ok(());
        }
        // Whether an item has the wanted name is known only when it is reached, and all below it is wanted then.
        let streams = self.asked.node.is_none() && self.asked.part != PartKind::Text;
        if name == layout::results_json_file_named(plugin) && streams {
            // What the JSON takes is not taken from the YAML, which may be read in its place.
            let mut memory = MemoryBudget::new(&self.limits);
            let json = memory.reader(name, content);
            let read = self.stream(plugin, |visit| stream_json(json, visit));
            if let Streamed {
                part,
                items,
                read: Ok((root, yaml)),
            } = read
            {
                let plugin_found = Plugin::finished(root, part);
                self.from_json.insert(plugin.to_owned(), (plugin_found, items, yaml));
            }
        } else if name == layout::results_file_named(plugin) {
            self.yaml(plugin, name, content, streams)?;
        }
        Ok(())
    }

    fn yaml(&mut self, plugin: &str, name: &str, content: &mut dyn Read, streams: bool) -> io::Result<()> {
        if self.asked.part == PartKind::Text {
            let plugin_found = Plugin {
                root: Item::default(),
                part: Part::Text(self.memory.read(name, content)?),
            };
            self.found.plugins.insert(plugin.to_owned(), Ok(plugin_found));
            return Ok(());
        }
        let from_json = self.from_json.remove(plugin);
        let was_in_json = from_json.is_some();
        if let Some((from_json, items, yaml)) = from_json
            // It is only hashed.
            && YamlDigest::of(content)? == yaml
        {
            self.items += items;
            self.found.plugins.insert(plugin.to_owned(), Ok(from_json));
        } else if was_in_json || !streams {
            self.again.push(plugin.to_owned());
        } else {
            let mut memory = std::mem::replace(&mut self.memory, MemoryBudget::new(&self.limits));
            let Streamed { part, items, read } =
                self.stream(plugin, |visit| stream_yaml(memory.reader(name, content), visit));
            self.memory = memory;
            self.items += items;
            match read {
                Ok(root) => {
                    let plugin_found = Plugin::finished(root, part);
                    self.found.plugins.insert(plugin.to_owned(), Ok(plugin_found));
                }
                Err(_) => self.again.push(plugin.to_owned()),
            }
        }
        if self.items > self.limits.max_items {
            let message = format!("the archive has more than {} result items", self.limits.max_items);
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        Ok(())
    }

    /// What is wanted of the leaves. Where the reader fails, for whatever reason, the tree is read as a whole, which fails for
    /// the same one.
    fn stream<T, E>(
        &self,
        plugin: &str,
        read: impl FnOnce(&mut LeafVisitor<'_>) -> Result<T, E>,
    ) -> Streamed<Result<T, E>> {
        let (mut part, mut items) = (Part::new(self.asked), 0);
        let most = self.limits.max_items.saturating_sub(self.items);
        let read = read(&mut |leaf| {
            items += 1;
            if items <= most && self.asked.selection.matches(leaf.item) {
                part.add(plugin, leaf);
            }
        });
        Streamed { part, items, read }
    }

    /// The same from the whole tree in memory.
    fn whole(&self, plugin: &str, root: &Item) -> Result<Plugin, CliError> {
        let item = match self.asked.node {
            None => root,
            Some(node) => root.find(node).ok_or_else(|| {
                CliError::new(format!(
                    "node named \"{node}\" not found in the results of plugin `{plugin}`"
                ))
                .hint(format!("there are: {}", children(root)))
            })?,
        };
        let mut part = Part::new(self.asked);
        visit_leaves(item, &mut |leaf| {
            if self.asked.selection.matches(leaf.item) {
                part.add(plugin, leaf);
            }
        });
        let head = Item {
            name: item.name.clone(),
            status: item.status.clone(),
            ..Item::default()
        };
        Ok(Plugin::finished(head, part))
    }

    fn wants_health(&self) -> bool {
        self.asked.plugin.is_none_or(|plugin| plugin == HEALTH_PLUGIN)
    }

    /// Entries of one directory stand together in an archive: what is optional and not there by the end of its directory
    /// does not come any more.
    fn is_done(&self) -> bool {
        let Some(names) = self.info.as_ref().filter(|names| !names.is_empty()) else {
            return false;
        };
        let health = !self.wants_health() || self.found.health.is_some() || self.left_meta;
        let run = !self.asked.run || self.found.run.is_some() || self.left_meta;
        let has = |name: &String| self.found.plugins.contains_key(name) || self.again.contains(name);
        health && run && names.iter().filter(|name| *name != HEALTH_PLUGIN).all(has)
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

/// The names in `meta/info.json`, and the nodes that plugins left out; none where it is of no use.
fn info(text: &[u8]) -> (Vec<String>, Vec<LeftOut>) {
    #[derive(Default, Deserialize)]
    struct Info {
        plugins: Option<Vec<String>>,
        #[serde(rename = "left-out", default)]
        left_out: Vec<LeftOut>,
    }
    let info: Info = serde_json::from_slice(text).unwrap_or_default();
    (info.plugins.unwrap_or_default(), info.left_out)
}

fn uuid(text: &[u8]) -> Option<String> {
    let config: Value = serde_json::from_slice(text).ok()?;
    let uuid = config.get("UUID")?.as_str()?;
    (!uuid.is_empty()).then(|| uuid.to_owned())
}

fn children(root: &Item) -> String {
    let names: Vec<&str> = root.items.iter().take(10).map(|item| item.name.as_str()).collect();
    names.join(", ")
}
