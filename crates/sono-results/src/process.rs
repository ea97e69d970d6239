//! Converts a plugin's result files to its result tree (core §6.2, §6.3).

use std::io::{self, Read, Write};

use sono_types::{Item, PluginName, ResultFiles, ResultFormat, constants, item::status};

use crate::{
    Compatibility, TreeLimits, formats, limits,
    measure::{Leaves, measure},
    tree::{kind, meta},
    tree_files::{Collected, Node},
};

/// A problem with a file. Processing continues, and the tree contains the effect on the results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, relative to the processed directory.
    pub file: String,
    /// Error message.
    pub message: String,
}

/// Properties of a plugin that determine how its files are processed.
#[derive(Debug, Clone, Copy)]
pub struct PluginInput<'a> {
    /// Name of the plugin and of the tree's root.
    pub name: &'a PluginName,
    /// Format of the files.
    pub format: ResultFormat,
    /// Base names of the result files; empty means all files with the format's suffix.
    pub result_files: &'a [String],
    /// Whether it is a DaemonSet plugin: the tree then has an item for each node.
    pub per_node: bool,
    /// Compatibility with Sonobuoy.
    pub compatibility: Compatibility,
    /// Limits of the tree.
    pub limits: TreeLimits,
}

/// Reads the files of one plugin, with `files` rooted at `plugins/<name>`, and writes the item of each file to `spool`.
///
/// Each item is a line of JSON, so that only one file is in memory at a time. [`Collected::write`] writes the tree.
///
/// # Errors
/// Fails if `spool` fails. Errors of files are returned as [`Problem`].
pub fn process_plugin(
    input: &PluginInput<'_>,
    files: &dyn ResultFiles,
    spool: &mut dyn Write,
) -> io::Result<Collected> {
    let mut reader = Reader {
        input,
        files,
        spool,
        collected: Collected::new(input),
        used: TreeLimits { items: 0, bytes: 0 },
        unlisted_problems: 0,
    };
    reader.directory("results", Reader::result)?;
    reader.directory("errors", Reader::error)?;
    let mut collected = reader.collected;
    if reader.unlisted_problems > 0 {
        collected.problems.push(Problem {
            file: "results".to_owned(),
            message: format!("{} further problems are not listed", reader.unlisted_problems),
        });
    }
    collected.used = reader.used;
    Ok(collected)
}

struct Reader<'a> {
    input: &'a PluginInput<'a>,
    files: &'a dyn ResultFiles,
    spool: &'a mut dyn Write,
    collected: Collected,
    used: TreeLimits,
    unlisted_problems: usize,
}

/// Whether the limits allow another file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Budget {
    Available,
    Exhausted,
}

impl Reader<'_> {
    fn directory(&mut self, directory: &str, read: impl Fn(&mut Self, &str) -> Option<Item> + Copy) -> io::Result<()> {
        if !self.input.per_node {
            return self.walk(directory, read);
        }
        let mut nodes = self.files.directories(directory).unwrap_or_else(|error| {
            self.problem(directory, &error);
            Vec::new()
        });
        nodes.sort();
        for node in nodes {
            let path = format!("{directory}/{node}");
            self.collected.nodes.push(Node::new(node));
            self.walk(&path, read)?;
        }
        Ok(())
    }

    fn walk(&mut self, directory: &str, read: impl Fn(&mut Self, &str) -> Option<Item>) -> io::Result<()> {
        let names = self.files.list(directory).unwrap_or_else(|error| {
            self.problem(directory, &error);
            Vec::new()
        });
        for (position, name) in names.iter().enumerate() {
            let Some(item) = read(self, name) else { continue };
            if self.write_item(name, item, names.len() - position - 1)? == Budget::Exhausted {
                break;
            }
        }
        Ok(())
    }

    /// Writes the item of a file, or an item with the exceeded limit. `remaining` files follow in its directory.
    fn write_item(&mut self, name: &str, mut item: Item, remaining: usize) -> io::Result<Budget> {
        let measured = match measure(&item) {
            Ok(measured) => measured,
            Err(reason) => {
                item = self.rejected(name, &reason);
                measure(&item).map_err(io::Error::other)?
            }
        };
        let mut line = serde_json::to_vec(&item)?;
        let used = TreeLimits {
            items: self.used.items.saturating_add(measured.items),
            bytes: self.used.bytes.saturating_add(line.len() as u64),
        };
        let limits = self.input.limits;
        if used.items <= limits.items && used.bytes <= limits.bytes {
            self.used = used;
            self.line(line, &measured.leaves)?;
            return Ok(Budget::Available);
        }
        let mut reason = if used.items > limits.items {
            format!("the plugin has more than {} items", limits.items)
        } else {
            format!("the plugin's items exceed {} bytes", limits.bytes)
        };
        if remaining > 0 {
            reason = format!("{reason}; files not read: {remaining}");
        }
        item = self.rejected(name, &reason);
        line = serde_json::to_vec(&item)?;
        self.line(line, &Leaves::one(&item.status))?;
        Ok(Budget::Exhausted)
    }

    /// The item of a file that exceeds a limit.
    fn rejected(&mut self, name: &str, reason: &str) -> Item {
        self.problem(name, &reason);
        unreadable(name, reason)
    }

    fn line(&mut self, mut line: Vec<u8>, leaves: &Leaves) -> io::Result<()> {
        line.push(b'\n');
        self.spool.write_all(&line)?;
        self.collected.add(leaves);
        Ok(())
    }

    fn problem(&mut self, file: &str, message: &impl ToString) {
        if self.collected.problems.len() >= limits::PROBLEMS {
            self.unlisted_problems += 1;
            return;
        }
        self.collected.problems.push(Problem {
            file: file.to_owned(),
            message: message.to_string(),
        });
    }

    fn is_selected(&self, name: &str) -> bool {
        let suffixes: &[&str] = match self.input.format {
            ResultFormat::Raw => &[""],
            ResultFormat::Junit => &[".xml"],
            ResultFormat::GoJson => &[".json"],
            ResultFormat::Manual => &[".yaml", ".yml"],
        };
        if self.input.result_files.is_empty() {
            suffixes.iter().any(|suffix| name.ends_with(suffix))
        } else {
            self.input.result_files.iter().any(|file| file == base(name))
        }
    }

    fn content(&mut self, name: &str, limit: u64) -> Result<Vec<u8>, String> {
        read_limited(self.files, name, limit).map_err(|error| {
            self.problem(name, &error);
            error.to_string()
        })
    }

    fn result(&mut self, name: &str) -> Option<Item> {
        if !self.is_selected(name) {
            return None;
        }
        if self.input.format == ResultFormat::Raw {
            return Some(read_result_file(self.input.format, name, &[], self.input.compatibility).0);
        }
        let content = match self.content(name, limits::FILE_BYTES) {
            Ok(content) => content,
            Err(message) => return Some(unreadable(name, &message)),
        };
        let (item, error) = read_result_file(self.input.format, name, &content, self.input.compatibility);
        if let Some(message) = error {
            self.problem(name, &message);
        }
        Some(item)
    }

    fn error(&mut self, name: &str) -> Option<Item> {
        if base(name) != constants::ERROR_FILE {
            return None;
        }
        // A file that cannot be opened is already recorded as a problem.
        let content = self.content(name, limits::ERROR_BYTES).ok();
        let (item, error) = read_error_file(name, content.as_deref().unwrap_or_default(), self.input.compatibility);
        if let Some(message) = error.filter(|_| content.is_some()) {
            self.problem(name, &message);
        }
        Some(item)
    }
}

/// Parses one result file, with `name` as its path relative to `plugins/<plugin>`. Returns its item, with statuses not yet
/// rolled up, and an error message. Any content results in an item.
pub fn read_result_file(
    format: ResultFormat,
    name: &str,
    content: &[u8],
    compatibility: Compatibility,
) -> (Item, Option<String>) {
    let mut item = file_item(name);
    let outcome = match format {
        ResultFormat::Raw => {
            item.meta.remove(meta::TYPE);
            formats::ParsedFile::passed()
        }
        ResultFormat::Junit => formats::junit::read(content, compatibility),
        ResultFormat::GoJson => formats::gojson::read(content, base(name), compatibility),
        ResultFormat::Manual => formats::manual::read(content, compatibility),
    };
    item.status = outcome.status;
    item.items = outcome.items;
    item.details = outcome.details;
    // Sonobuoy only logs the error of a manual file.
    let is_shown = format != ResultFormat::Manual || !compatibility.leaves_decide;
    if let Some(message) = outcome.error.as_ref().filter(|_| is_shown) {
        item.meta.insert(meta::ERROR.to_owned(), message.clone());
    }
    (item, outcome.error)
}

/// Parses one `error.json`, with `name` as its path relative to `plugins/<plugin>`. Returns its item and an error message.
/// Any content results in an item.
pub fn read_error_file(name: &str, content: &[u8], compatibility: Compatibility) -> (Item, Option<String>) {
    let (mut item, error) = match formats::errors::read(content, compatibility) {
        Ok(item) => (item, None),
        Err(message) => (formats::errors::unreadable(), Some(message)),
    };
    item.meta.insert(meta::FILE.to_owned(), name.to_owned());
    (item, error)
}

/// The item of an unreadable file.
fn unreadable(name: &str, reason: &str) -> Item {
    let mut item = file_item(name);
    status::UNKNOWN.clone_into(&mut item.status);
    item.meta.insert(meta::ERROR.to_owned(), reason.to_owned());
    item
}

fn file_item(name: &str) -> Item {
    Item {
        name: base(name).to_owned(),
        meta: [(meta::FILE, name), (meta::TYPE, kind::FILE)]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        ..Item::default()
    }
}

/// The last part of a path.
pub(crate) fn base(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, base)| base)
}

/// Reads a file of at most `limit` bytes.
pub(crate) fn read_limited(files: &dyn ResultFiles, name: &str, limit: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    files.open(name)?.take(limit + 1).read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        return Err(io::Error::other(format!("file is larger than {limit} bytes")));
    }
    Ok(content)
}
