//! Post-processing: the item tree of each plugin. The journal has the plugin in progress: if its files end the process, the next
//! process does not read them, and packs them unchanged.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufReader, BufWriter, Seek, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
};

use sono_bundle::{DirectoryFiles, StagedFile};
use sono_results::{Collected, Compatibility, PluginInput, TreeLimits, Verdict};
use sono_run::ResultSummary;
use sono_types::{PluginName, ResultFormat, Target, error_chain, item, layout};

use super::Finish;
use crate::{backend::Driver, durability::disk_full::IsDiskFull};

/// Bytes of items that are held in memory between reading and writing; more are in a file without a name.
const SPOOL_BYTES: usize = 256 << 10;

/// The error in the tree of a plugin whose post-processing ended the process or failed.
const ENDED_THE_PROCESS: &str = "its results were not read: the aggregator ended while it was reading them";
const PARSER_PANICKED: &str = "its results were not read: the parser panicked, which is a bug in sono";

/// Makes all trees, one after another. Returns the summary of every expected result, and the problems.
pub(super) async fn make(finish: &Finish) -> (Vec<ResultSummary>, Vec<String>) {
    let mut problems = Vec::new();
    let mut used = TreeLimits { items: 0, bytes: 0 };
    let mut verdicts = Vec::new();
    for (name, driver) in finish.drivers.iter() {
        let unread = finish.unprocessed.contains(name).then_some(ENDED_THE_PROCESS);
        if unread.is_none() {
            // The task of a run that is over is cancelled, so the outcome is not used.
            finish.coordinator.processing(name).await.ok();
        }
        let limits = TreeLimits::PLUGIN.min(TreeLimits::RUN.after(used));
        let work = Work::new(finish, driver.as_ref(), limits);
        let made = match unread {
            Some(reason) => unprocessed(finish, work, reason).await,
            None => process(finish, work).await,
        };
        if unread.is_none() {
            finish.coordinator.processed(name).await.ok();
        }
        match made {
            Ok(tree) => {
                problems.extend(tree.problems);
                used = TreeLimits {
                    items: used.items + tree.used.items,
                    bytes: used.bytes + tree.used.bytes,
                };
                let mine = finish.expected.iter().filter(|key| key.plugin == *name);
                verdicts.extend(mine.map(|key| {
                    let verdict = match &key.target {
                        Target::Global => Some(&tree.root),
                        Target::Node(node) => tree.nodes.get(node.as_str()),
                    };
                    (key.clone(), verdict.cloned())
                }));
            }
            Err(problem) => problems.push(error_chain(&problem)),
        }
    }
    let mut verdicts: BTreeMap<_, _> = verdicts.into_iter().collect();
    let processed = finish.expected.iter().map(|key| {
        let (status, counts) = match verdicts.remove(key).flatten() {
            Some(Verdict { status, counts }) => (status, counts),
            None => (item::status::UNKNOWN.to_owned(), BTreeMap::new()),
        };
        ResultSummary {
            key: key.clone(),
            status,
            counts,
        }
    });
    (processed.collect(), problems)
}

/// The outcome of one plugin.
struct Tree {
    root: Verdict,
    nodes: BTreeMap<String, Verdict>,
    used: TreeLimits,
    problems: Vec<String>,
}

impl Tree {
    fn of(name: &PluginName, collected: Collected) -> Self {
        let nodes = collected.nodes().into_iter();
        Self {
            root: collected.verdict(),
            nodes: nodes.map(|(node, verdict)| (node.to_owned(), verdict)).collect(),
            used: collected.used,
            problems: collected
                .problems
                .into_iter()
                .map(|problem| format!("plugin {name}, {}: {}", problem.file, problem.message))
                .collect(),
        }
    }

    fn unknown(name: &PluginName, reason: &str) -> Self {
        Self {
            root: Verdict {
                status: item::status::UNKNOWN.to_owned(),
                counts: BTreeMap::new(),
            },
            nodes: BTreeMap::new(),
            used: TreeLimits { items: 0, bytes: 0 },
            problems: vec![format!("plugin {name}: {reason}")],
        }
    }
}

/// The input for one plugin's tree, owned, for another thread.
struct Work {
    name: PluginName,
    format: ResultFormat,
    result_files: Vec<String>,
    per_node: bool,
    compatibility: Compatibility,
    limits: TreeLimits,
    root: PathBuf,
    yaml: PathBuf,
    json: PathBuf,
    incoming: PathBuf,
}

impl Work {
    fn new(finish: &Finish, driver: &dyn Driver, limits: TreeLimits) -> Arc<Self> {
        let name = driver.name().clone();
        Arc::new(Self {
            format: driver.result_format(),
            result_files: driver.result_files().to_vec(),
            per_node: driver.definition().driver == sono_manifest::DriverKind::DaemonSet,
            // An unknown name is a warning of the settings.
            compatibility: Compatibility::from_name(&finish.config.results_compatibility).unwrap_or_default(),
            limits,
            root: finish.directory.join(layout::plugin_dir(&name)),
            yaml: finish.directory.join(layout::results_file(&name)),
            json: finish.directory.join(layout::results_json_file(&name)),
            incoming: finish.incoming.clone(),
            name,
        })
    }

    fn collect_and_write(&self) -> Result<Collected, NoTree> {
        let input = PluginInput {
            name: &self.name,
            format: self.format,
            result_files: &self.result_files,
            per_node: self.per_node,
            compatibility: self.compatibility,
            limits: self.limits,
        };
        fs_err::create_dir_all(&self.root).map_err(NoTree::Directory)?;
        let files = DirectoryFiles::new(&self.root);
        let mut spool = BufWriter::new(tempfile::spooled_tempfile_in(SPOOL_BYTES, &self.incoming));
        let collected = sono_results::process_plugin(&input, &files, &mut spool).map_err(NoTree::Spool)?;
        spool.rewind().map_err(NoTree::Spool)?;
        let spool = spool.into_inner().map_err(|error| NoTree::Spool(error.into_error()))?;
        self.write(|yaml, json| collected.write(&mut BufReader::new(spool), yaml, json))?;
        Ok(collected)
    }

    fn write(&self, content: impl FnOnce(&mut dyn Write, &mut dyn Write) -> std::io::Result<()>) -> Result<(), NoTree> {
        fs_err::create_dir_all(&self.root).map_err(NoTree::Directory)?;
        let (mut yaml, mut json) = (StagedFile::create(&self.yaml)?, StagedFile::create(&self.json)?);
        content(&mut yaml, &mut json).map_err(NoTree::Write)?;
        // JSON that is older than the YAML is not read.
        yaml.commit()?;
        json.commit()?;
        Ok(())
    }
}

async fn process(finish: &Finish, work: Arc<Work>) -> Result<Tree, NoTree> {
    let mine = Arc::clone(&work);
    let guarded = move || match catch_unwind(AssertUnwindSafe(|| mine.collect_and_write())) {
        Ok(made) => made.map(Some),
        // The panic's own message is in the log.
        Err(_) => Ok(None),
    };
    let made = finish.disk_full.retry("storing a plugin's result tree", guarded).await;
    match made? {
        Some(collected) => Ok(Tree::of(&work.name, collected)),
        None => unprocessed(finish, work, PARSER_PANICKED).await,
    }
}

/// The tree of a plugin whose files are not read.
async fn unprocessed(finish: &Finish, work: Arc<Work>, reason: &'static str) -> Result<Tree, NoTree> {
    let tree = Tree::unknown(&work.name, reason);
    let write = move || work.write(|yaml, json| sono_results::unprocessed(&work.name, reason, yaml, json));
    finish.disk_full.retry("storing a plugin's result tree", write).await?;
    Ok(tree)
}

/// Plugins that did not end the process, when it stops regularly.
pub(crate) fn stopped_in_order<'a>(
    plugins: impl Iterator<Item = &'a PluginName>,
    unprocessed: &BTreeSet<PluginName>,
) -> BTreeSet<PluginName> {
    plugins.filter(|name| !unprocessed.contains(*name)).cloned().collect()
}

/// Why a plugin's tree of results is not on disk.
#[derive(Debug, thiserror::Error)]
enum NoTree {
    #[error("cannot make the plugin's directory")]
    Directory(#[source] std::io::Error),
    #[error("cannot write the items of the plugin's files")]
    Spool(#[source] std::io::Error),
    #[error("cannot write the plugin's tree of results")]
    Write(#[source] std::io::Error),
    #[error(transparent)]
    File(#[from] sono_bundle::StoreError),
}

impl IsDiskFull for NoTree {
    fn is_full(&self) -> bool {
        match self {
            Self::Directory(error) | Self::Spool(error) | Self::Write(error) => error.is_full(),
            Self::File(error) => error.is_full(),
        }
    }
}
