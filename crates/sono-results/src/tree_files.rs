//! A plugin's tree of results as files: YAML for everybody, and the same as JSON, which is read with less work.
//!
//! The JSON is `{"format":1,"tree":ITEM,"yaml":{"size":N,"sha256":"…"}}`. It counts only next to the YAML that it names:
//! where somebody changed that, the YAML alone holds.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Read, Write},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sono_types::{Item, PluginName, item::status};

use crate::{
    Compatibility, ItemError, PluginInput, Problem, TreeLimits,
    aggregate::{self, Rule},
    documents::{from_yaml, to_yaml},
    measure::Leaves,
    stream::stream_json,
    tree::{kind, meta},
};

/// Version of the JSON file.
pub(crate) const FORMAT: u32 = 1;

/// Size and SHA-256 of a YAML file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct YamlDigest {
    /// Its bytes.
    pub size: u64,
    /// In lower-case hexadecimal digits.
    pub sha256: String,
}

impl YamlDigest {
    /// Of everything that `content` has.
    ///
    /// # Errors
    /// Those of `content`.
    pub fn of(content: &mut dyn Read) -> io::Result<Self> {
        let mut hashing = Hashing::new(io::sink());
        io::copy(content, &mut hashing)?;
        Ok(hashing.digest())
    }
}

/// Hashes and counts what is written.
struct Hashing<W> {
    inner: W,
    sha256: Sha256,
    size: u64,
}

impl<W> Hashing<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            sha256: Sha256::new(),
            size: 0,
        }
    }

    fn digest(self) -> YamlDigest {
        use std::fmt::Write as _;
        let bytes = self.sha256.finalize();
        let sha256 = bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a string cannot fail");
            text
        });
        YamlDigest {
            size: self.size,
            sha256,
        }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.inner.write_all(buffer)?;
        self.sha256.update(buffer);
        self.size += buffer.len() as u64;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The tree in `yaml`, taken from `json` where that was written with it.
///
/// # Errors
/// Those of [`from_yaml`].
pub fn read_tree(yaml: &[u8], json: Option<&[u8]>) -> Result<Item, ItemError> {
    #[derive(Deserialize)]
    struct File {
        tree: Item,
    }
    if let Some(json) = json
        // As strictly as where only the leaves are read.
        && let Ok((_, digest)) = stream_json(json, &mut |_| {})
        && YamlDigest::of(&mut &*yaml).is_ok_and(|found| found == digest)
        && let Ok(File { tree }) = serde_json::from_slice(json)
    {
        return Ok(tree);
    }
    from_yaml(&String::from_utf8_lossy(yaml))
}

/// What a plugin, or one node of it, comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// `passed`, `failed`, `unknown`, or counts of the plugin's own statuses.
    pub status: String,
    /// Its leaves by status.
    pub counts: BTreeMap<String, i64>,
}

/// One node of a plugin that runs on every node.
#[derive(Debug)]
pub struct Node {
    name: String,
    /// Lines of the spool.
    files: usize,
    leaves: Leaves,
}

impl Node {
    pub(crate) fn new(name: String) -> Self {
        Self {
            name,
            files: 0,
            leaves: Leaves::default(),
        }
    }
}

/// A plugin whose files are read: their items are in a spool, a line each.
#[derive(Debug)]
pub struct Collected {
    name: String,
    per_node: bool,
    /// In the tree's order; a node with a result and an error is there twice.
    pub(crate) nodes: Vec<Node>,
    /// Of a plugin that does not run on every node.
    own: Node,
    compatibility: Compatibility,
    /// What could not be read.
    pub problems: Vec<Problem>,
    /// What its tree holds.
    pub used: TreeLimits,
}

impl Collected {
    pub(crate) fn new(input: &PluginInput<'_>) -> Self {
        Self {
            name: input.name.to_string(),
            per_node: input.per_node,
            nodes: Vec::new(),
            own: Node::new(String::new()),
            compatibility: input.compatibility,
            problems: Vec::new(),
            used: TreeLimits { items: 0, bytes: 0 },
        }
    }

    /// Counts one more file, which is the last node's.
    pub(crate) fn add(&mut self, leaves: &Leaves) {
        let node = match self.nodes.last_mut() {
            Some(node) if self.per_node => node,
            _ => &mut self.own,
        };
        node.files += 1;
        node.leaves.add(leaves);
    }

    fn rule(&self) -> Rule {
        let mut nodes = self.nodes.iter().chain([&self.own]);
        Rule::new(self.compatibility, nodes.any(|node| node.leaves.has_custom))
    }

    /// The plugin's verdict.
    pub fn verdict(&self) -> Verdict {
        let mut all = Node {
            files: self.own.files + self.nodes.len(),
            ..Node::new(String::new())
        };
        all.leaves.add(&self.own.leaves);
        for node in &self.nodes {
            all.leaves.add(&node.leaves());
        }
        all.verdict(self.rule())
    }

    /// The verdict of each node, by name; of a result and an error of one node, the result's.
    pub fn nodes(&self) -> BTreeMap<&str, Verdict> {
        let rule = self.rule();
        let mut verdicts = BTreeMap::new();
        for node in &self.nodes {
            verdicts.entry(node.name.as_str()).or_insert_with(|| node.verdict(rule));
        }
        verdicts
    }

    /// Writes the tree whose files' items are in `spool`, as YAML and as JSON.
    ///
    /// # Errors
    /// Those of the files, and where `spool` is not what was written to it.
    pub fn write(&self, spool: &mut dyn BufRead, yaml: &mut dyn Write, json: &mut dyn Write) -> io::Result<()> {
        let mut tree = TreeWriter {
            rule: self.rule(),
            spool,
            yaml: Hashing::new(yaml),
            json,
        };
        let root = Item {
            name: self.name.clone(),
            status: self.verdict().status,
            meta: kind_of(kind::SUMMARY),
            ..Item::default()
        };
        write!(tree.json, "{{\"format\":{FORMAT},\"tree\":")?;
        if self.per_node {
            tree.parent(&root, "", self.nodes.iter(), |tree, node| {
                let item = Item {
                    name: node.name.clone(),
                    status: node.verdict(tree.rule).status,
                    meta: kind_of(kind::NODE),
                    ..Item::default()
                };
                tree.parent(&item, "- ", 0..node.files, |tree, _| tree.file("  "))
            })?;
        } else {
            tree.parent(&root, "", 0..self.own.files, |tree, _| tree.file(""))?;
        }
        let TreeWriter { yaml, json, .. } = tree;
        json.write_all(b",\"yaml\":")?;
        serde_json::to_writer(&mut *json, &yaml.digest())?;
        json.write_all(b"}\n")
    }
}

impl Node {
    /// What its parent counts. Without files it is a leaf.
    fn leaves(&self) -> Leaves {
        if self.files == 0 {
            Leaves::one("")
        } else {
            self.leaves.clone()
        }
    }

    fn verdict(&self, rule: Rule) -> Verdict {
        let Leaves {
            rolled_up, by_status, ..
        } = self.leaves();
        let status = if self.files == 0 {
            status::UNKNOWN.to_owned()
        } else {
            aggregate::status_of(&rolled_up, rule)
        };
        Verdict {
            status,
            counts: by_status,
        }
    }
}

fn kind_of(kind: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(meta::TYPE.to_owned(), kind.to_owned())])
}

struct TreeWriter<'a> {
    rule: Rule,
    spool: &'a mut dyn BufRead,
    yaml: Hashing<&'a mut dyn Write>,
    json: &'a mut dyn Write,
}

impl TreeWriter<'_> {
    /// Writes an item and then those below it. `dash` is what stands in front of its first line.
    fn parent<T>(
        &mut self,
        item: &Item,
        dash: &str,
        children: impl ExactSizeIterator<Item = T>,
        child: impl Fn(&mut Self, T) -> io::Result<()>,
    ) -> io::Result<()> {
        let indent = " ".repeat(dash.len());
        for (number, line) in to_yaml(item).lines().enumerate() {
            writeln!(self.yaml, "{}{line}", if number == 0 { dash } else { &indent })?;
        }
        let text = serde_json::to_string(item)?;
        let Some(open) = text.strip_suffix('}').filter(|_| children.len() > 0) else {
            return self.json.write_all(text.as_bytes());
        };
        writeln!(self.yaml, "{indent}items:")?;
        write!(self.json, "{open},\"items\":[")?;
        for (number, each) in children.enumerate() {
            if number > 0 {
                self.json.write_all(b",")?;
            }
            child(self, each)?;
        }
        self.json.write_all(b"]}")
    }

    /// Writes the next file's item.
    fn file(&mut self, indent: &str) -> io::Result<()> {
        let mut line = Vec::new();
        self.spool.read_until(b'\n', &mut line)?;
        let mut item: Item = serde_json::from_slice(&line)?;
        drop(line);
        aggregate::roll_up(&mut item, self.rule);
        serde_json::to_writer(&mut *self.json, &item)?;
        let text = to_yaml(&item);
        for (number, line) in text.split_terminator('\n').enumerate() {
            // Blank lines of a text have no indentation to keep.
            match (number, line) {
                (0, line) => writeln!(self.yaml, "{indent}- {line}")?,
                (_, "") => writeln!(self.yaml)?,
                (_, line) => writeln!(self.yaml, "{indent}  {line}")?,
            }
        }
        Ok(())
    }
}

/// The tree of a plugin whose files were not read, with the reason, as YAML and JSON.
///
/// # Errors
/// Those of the files.
pub fn unprocessed(plugin: &PluginName, reason: &str, yaml: &mut dyn Write, json: &mut dyn Write) -> io::Result<()> {
    let mut root = Item {
        name: plugin.to_string(),
        status: status::UNKNOWN.to_owned(),
        meta: kind_of(kind::SUMMARY),
        ..Item::default()
    };
    root.meta.insert(meta::ERROR.to_owned(), reason.to_owned());
    let text = to_yaml(&root);
    yaml.write_all(text.as_bytes())?;
    let digest = YamlDigest::of(&mut text.as_bytes())?;
    let (root, digest) = (serde_json::to_string(&root)?, serde_json::to_string(&digest)?);
    writeln!(json, "{{\"format\":{FORMAT},\"tree\":{root},\"yaml\":{digest}}}")
}

#[cfg(test)]
mod tests;
