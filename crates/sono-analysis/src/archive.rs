//! Reads the files of an archive that explain its failures, or describe its run, in one pass.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
};

use sono_results::{Leaf, YamlDigest, stream_json, stream_yaml, visit_leaves};
use sono_types::{Item, layout};

use crate::{
    card::CardParts,
    limits::{MAX_LOG_BYTES, MAX_LOGS, MAX_LOGS_BYTES},
    output::{ContainerLog, TestOutput},
    verdicts::TestList,
};

/// Maximum size of the texts of passed tests in bytes. They only make causes less certain.
const MAX_PASSED_BYTES: u64 = 64 << 20;

/// Limits of what is read from an archive.
#[derive(Debug, Clone, Copy)]
pub struct TextLimits {
    /// Result items of all plugins.
    pub items: u64,
    /// Bytes of the texts of failed tests.
    pub bytes: u64,
    /// What happens to texts beyond that limit.
    pub beyond: BeyondLimit,
    /// Bytes of one tree of results.
    pub tree_bytes: u64,
}

/// What happens to texts of failed tests beyond the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeyondLimit {
    /// Reading fails.
    Refused,
    /// They are left out and counted; verdicts are read.
    LeftOut,
}

/// Texts of an archive.
#[derive(Debug, Default)]
pub struct ArchiveTexts {
    /// Failed tests, and passed ones with logs.
    pub outputs: Vec<TestOutput>,
    /// Logs of containers in the namespaces of tests.
    pub logs: Vec<ContainerLog>,
    /// Number of failed tests whose texts are left out.
    pub left_out: u64,
    /// Plugins with results.
    pub plugins: BTreeSet<String>,
    /// The parts of the run's card, if they were requested.
    pub card: Option<CardParts>,
}

/// Reads the files of an archive, in the order of the archive: the JSON of a tree precedes its YAML.
#[derive(Debug)]
pub struct ArchiveReader<'a> {
    plugin: Option<&'a str>,
    limits: TextLimits,
    found: ArchiveTexts,
    /// What the JSON of a plugin contains, and the digest of the YAML that follows it.
    from_json: BTreeMap<String, (Tree, YamlDigest)>,
    /// Plugins with results that must be read as a whole.
    unread: Vec<String>,
    /// Size of the texts of failed and passed tests, and of logs, in bytes.
    bytes: u64,
    passed_bytes: u64,
    log_bytes: usize,
    items: u64,
    has_details: bool,
}

/// What is kept of a plugin's tree.
#[derive(Debug, Default)]
struct Tree {
    outputs: Vec<TestOutput>,
    tests: TestList,
    status: String,
}

impl<'a> ArchiveReader<'a> {
    /// Reads the results of one plugin, or of all.
    pub fn new(plugin: Option<&'a str>, limits: TextLimits) -> Self {
        Self {
            plugin,
            limits,
            found: ArchiveTexts::default(),
            from_json: BTreeMap::new(),
            unread: Vec::new(),
            bytes: 0,
            passed_bytes: 0,
            log_bytes: 0,
            items: 0,
            has_details: false,
        }
    }

    fn tests(&self) -> TestList {
        if self.has_details {
            TestList::of_nodes()
        } else {
            TestList::default()
        }
    }

    /// Also reads what the run's card contains.
    #[must_use]
    pub fn with_card(mut self) -> Self {
        self.found.card = Some(CardParts::default());
        self
    }

    /// Also reads what the run's card does not contain and a report shows: the verdicts of each node, and the run's log.
    #[must_use]
    pub fn with_details(mut self) -> Self {
        self.found.card = Some(CardParts::with_details());
        self.has_details = true;
        self
    }

    /// Reads a file by its name in the archive; files without meaning here are not read.
    ///
    /// # Errors
    /// Fails if the content cannot be read, or exceeds a limit.
    pub fn file(&mut self, name: &str, content: &mut dyn Read) -> io::Result<()> {
        let plugin = name.strip_prefix("plugins/").and_then(|rest| rest.split_once('/'));
        let Some((plugin, _)) = plugin else {
            if let Some(card) = &mut self.found.card {
                card.file(name, content)?;
            }
            return Ok(());
        };
        if self.plugin.is_some_and(|only| only != plugin) {
            return Ok(());
        }
        if let Some((_, namespace)) = ContainerLog::place(name) {
            self.log(name, plugin, namespace, content)?;
        } else if name == layout::results_json_file_named(plugin) {
            let (tree, read) = self.stream(plugin, content, |json, visit| stream_json(json, visit));
            if let Ok((root, yaml)) = read {
                let status = root.status;
                self.from_json
                    .insert(plugin.to_owned(), (Tree { status, ..tree }, yaml));
            }
        } else if name == layout::results_file_named(plugin) {
            if self.found.plugins.insert(plugin.to_owned()) {
                self.yaml(plugin, content)?;
            }
        } else if let Some(card) = &mut self.found.card {
            card.plugin_file(plugin, name, content)?;
        }
        Ok(())
    }

    /// Plugins with trees that cannot be streamed, or whose JSON differs from the YAML: [`Self::tree`] must be called for each.
    pub fn unread(&mut self) -> Vec<String> {
        std::mem::take(&mut self.unread)
    }

    /// Adds the tree of a plugin that was read as a whole.
    ///
    /// # Errors
    /// Fails if it exceeds a limit.
    pub fn tree(&mut self, plugin: &str, root: &Item) -> io::Result<()> {
        let mut tree = Tree {
            status: root.status.clone(),
            tests: self.tests(),
            ..Tree::default()
        };
        visit_leaves(root, &mut |leaf| self.leaf(plugin, leaf, &mut tree));
        self.keep(plugin, tree)
    }

    /// Everything that was read.
    pub fn finish(self) -> ArchiveTexts {
        self.found
    }

    fn log(&mut self, name: &str, plugin: &str, namespace: &str, content: &mut dyn Read) -> io::Result<()> {
        if self.found.logs.len() >= MAX_LOGS || self.log_bytes >= MAX_LOGS_BYTES {
            return Ok(());
        }
        let mut text = Vec::new();
        content.take(MAX_LOG_BYTES as u64).read_to_end(&mut text)?;
        self.log_bytes += text.len();
        self.found.logs.push(ContainerLog {
            file: name.to_owned(),
            plugin: plugin.to_owned(),
            namespace: namespace.to_owned(),
            text: String::from_utf8_lossy(&text).into_owned(),
        });
        Ok(())
    }

    fn yaml(&mut self, plugin: &str, content: &mut dyn Read) -> io::Result<()> {
        if let Some((tree, yaml)) = self.from_json.remove(plugin) {
            // The YAML is only hashed.
            if YamlDigest::of(content)? == yaml {
                return self.keep(plugin, tree);
            }
            self.unread.push(plugin.to_owned());
            return Ok(());
        }
        let (tree, read) = self.stream(plugin, content, |yaml, visit| stream_yaml(yaml, visit));
        if let Ok(root) = read {
            let status = root.status;
            return self.keep(plugin, Tree { status, ..tree });
        }
        self.unread.push(plugin.to_owned());
        self.check()
    }

    fn keep(&mut self, plugin: &str, tree: Tree) -> io::Result<()> {
        self.found.outputs.extend(tree.outputs);
        if let Some(card) = &mut self.found.card {
            card.results(plugin, tree.status, tree.tests);
        }
        self.check()
    }

    /// What the leaves contain that a reader visits, and what it returns.
    fn stream<T>(
        &mut self,
        plugin: &str,
        content: &mut dyn Read,
        read: impl FnOnce(&mut dyn Read, &mut dyn FnMut(Leaf<'_>)) -> T,
    ) -> (Tree, T) {
        let mut tree = Tree {
            tests: self.tests(),
            ..Tree::default()
        };
        let mut limited = content.take(self.limits.tree_bytes);
        let read = read(&mut limited, &mut |leaf| self.leaf(plugin, leaf, &mut tree));
        (tree, read)
    }

    /// Stores the texts of a leaf if the limits permit.
    fn leaf(&mut self, plugin: &str, leaf: Leaf<'_>, tree: &mut Tree) {
        self.items = self.items.saturating_add(1);
        if self.check().is_err() {
            return;
        }
        if self.found.card.is_some() {
            tree.tests.add(leaf);
        }
        let Some(output) = TestOutput::of(plugin, leaf) else {
            return;
        };
        if output.is_failed() {
            let bytes = self.bytes.saturating_add(output.bytes());
            if bytes > self.limits.bytes && self.limits.beyond == BeyondLimit::LeftOut {
                self.found.left_out += 1;
                return;
            }
            self.bytes = bytes;
        } else if self.passed_bytes < MAX_PASSED_BYTES.min(self.limits.bytes) {
            self.passed_bytes += output.bytes();
        } else {
            return;
        }
        tree.outputs.push(output);
    }

    fn check(&self) -> io::Result<()> {
        let TextLimits { items, bytes, .. } = self.limits;
        let message = if self.items > items {
            format!("the archive has more than {items} result items")
        } else if self.bytes > bytes {
            format!("the texts of failures have more than {bytes} bytes")
        } else {
            return Ok(());
        };
        Err(io::Error::new(io::ErrorKind::FileTooLarge, message))
    }
}
