//! Files of a plugin's result tree: YAML, and JSON, which is faster to parse.
//!
//! The JSON is `{"format":1,"tree":ITEM,"yaml":{"size":N,"sha256":"…"}}`. It is used only if the YAML file has this size and
//! digest; if the YAML file was changed, the JSON is ignored.

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

/// Version of the JSON format.
pub(crate) const FORMAT: u32 = 1;

/// Size and SHA-256 of a YAML file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct YamlDigest {
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 in lower-case hexadecimal digits.
    pub sha256: String,
}

impl YamlDigest {
    /// Digest of the whole `content`.
    ///
    /// # Errors
    /// Fails if `content` cannot be read.
    pub fn of(content: &mut dyn Read) -> io::Result<Self> {
        let mut hashing = Hashing::new(io::sink());
        io::copy(content, &mut hashing)?;
        Ok(hashing.digest())
    }
}

/// Writer that hashes and counts the written bytes.
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
        YamlDigest {
            size: self.size,
            sha256: hex::encode(self.sha256.finalize()),
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

/// Parses the tree in `yaml`, or in `json` if that was written with it.
///
/// # Errors
/// Fails like [`from_yaml`].
pub fn read_tree(yaml: &[u8], json: Option<&[u8]>) -> Result<Item, ItemError> {
    #[derive(Deserialize)]
    struct File {
        tree: Item,
    }
    if let Some(json) = json
        // Applies the same checks as streaming.
        && let Ok((_, digest)) = stream_json(json, &mut |_| {})
        && YamlDigest::of(&mut &*yaml).is_ok_and(|found| found == digest)
        && let Ok(File { tree }) = serde_json::from_slice(json)
    {
        return Ok(tree);
    }
    from_yaml(&String::from_utf8_lossy(yaml))
}

/// Verdict of a plugin or of one of its nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// `passed`, `failed`, `unknown`, or counts of custom statuses.
    pub status: String,
    /// Number of leaves by status.
    pub counts: BTreeMap<String, i64>,
}

/// One node of a DaemonSet plugin.
#[derive(Debug)]
pub struct Node {
    name: String,
    /// Number of files, that is of lines in the spool.
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

/// A plugin with all files read. Their items are in a spool, one line each.
#[derive(Debug)]
pub struct Collected {
    name: String,
    per_node: bool,
    /// Nodes in the order of the tree. A node with a result and an error occurs twice.
    pub(crate) nodes: Vec<Node>,
    /// Files of a Job plugin.
    own: Node,
    compatibility: Compatibility,
    /// Problems of files.
    pub problems: Vec<Problem>,
    /// Size of the tree.
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

    /// Adds a file of the last node.
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

    /// The verdict of each node by name. If a node has a result and an error, the verdict of the result.
    pub fn nodes(&self) -> BTreeMap<&str, Verdict> {
        let rule = self.rule();
        let mut verdicts = BTreeMap::new();
        for node in &self.nodes {
            verdicts.entry(node.name.as_str()).or_insert_with(|| node.verdict(rule));
        }
        verdicts
    }

    /// Writes the tree as YAML and JSON, with the files' items from `spool`.
    ///
    /// # Errors
    /// Fails if a file cannot be written, or if `spool` does not contain the written items.
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
    /// Leaves as counted by the parent. A node without files is a leaf.
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
    /// Writes an item and its children. `dash` is the prefix of its first line.
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
            // Blank lines of block scalars are not indented.
            match (number, line) {
                (0, line) => writeln!(self.yaml, "{indent}- {line}")?,
                (_, "") => writeln!(self.yaml)?,
                (_, line) => writeln!(self.yaml, "{indent}  {line}")?,
            }
        }
        Ok(())
    }
}

/// Writes the tree of a plugin with unprocessed files as YAML and JSON, with the reason.
///
/// # Errors
/// Fails if a file cannot be written.
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
