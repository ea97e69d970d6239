//! A plugin's result files to its tree of results (core spec §6.2, §6.3).

use std::io::{self, Read, Write};

use sono_types::{Item, PluginName, ResultFiles, ResultFormat, constants, item::status};

use crate::{
    Compatibility, TreeLimits, formats, limits,
    measure::{Leaves, measure},
    tree::{kind, meta},
    tree_files::{Collected, Node},
};

/// Something that could not be read. It ends nothing, and what it means for the results is in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which file, relative to what was processed.
    pub file: String,
    /// What is wrong with it.
    pub message: String,
}

/// What there is to know about a plugin besides its files.
#[derive(Debug, Clone, Copy)]
pub struct PluginInput<'a> {
    /// Its name, and that of the tree's root.
    pub name: &'a PluginName,
    /// How its files are read.
    pub format: ResultFormat,
    /// Base names of the files that count; empty means all with the format's suffix.
    pub result_files: &'a [String],
    /// Whether it runs on every node (DaemonSet): then each node has an item of its own.
    pub per_node: bool,
    /// What is read as Sonobuoy reads it.
    pub compatibility: Compatibility,
    /// What its tree may hold.
    pub limits: TreeLimits,
}

/// Reads the files of one plugin, `files` being rooted at `plugins/<name>`, and writes the item of each to `spool`, a line of
/// JSON each: memory for one file, whatever their number. [`Collected::write`] makes the tree of it.
///
/// # Errors
/// Those of `spool`. What is wrong with a file is a [`Problem`].
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
        more_problems: 0,
    };
    reader.folder("results", Reader::result)?;
    reader.folder("errors", Reader::error)?;
    let mut collected = reader.collected;
    if reader.more_problems > 0 {
        collected.problems.push(Problem {
            file: "results".to_owned(),
            message: format!("{} further problems are not listed", reader.more_problems),
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
    more_problems: usize,
}

/// Whether the limits leave space for another file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Space {
    Left,
    Used,
}

impl Reader<'_> {
    fn folder(&mut self, folder: &str, read: impl Fn(&mut Self, &str) -> Option<Item> + Copy) -> io::Result<()> {
        if !self.input.per_node {
            return self.walk(folder, read);
        }
        let mut nodes = self.files.directories(folder).unwrap_or_else(|error| {
            self.problem(folder, &error);
            Vec::new()
        });
        nodes.sort();
        for node in nodes {
            let place = format!("{folder}/{node}");
            self.collected.nodes.push(Node::new(node));
            self.walk(&place, read)?;
        }
        Ok(())
    }

    fn walk(&mut self, folder: &str, read: impl Fn(&mut Self, &str) -> Option<Item>) -> io::Result<()> {
        let names = self.files.list(folder).unwrap_or_else(|error| {
            self.problem(folder, &error);
            Vec::new()
        });
        for (position, name) in names.iter().enumerate() {
            let Some(item) = read(self, name) else { continue };
            if self.keep(name, item, names.len() - position - 1)? == Space::Used {
                break;
            }
        }
        Ok(())
    }

    /// Writes the item of a file, or one that says which limit it is beyond. `further` files follow it in its folder.
    fn keep(&mut self, name: &str, mut item: Item, further: usize) -> io::Result<Space> {
        let measured = match measure(&item) {
            Ok(measured) => measured,
            Err(reason) => {
                item = self.cut(name, &reason);
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
            return Ok(Space::Left);
        }
        let mut reason = if used.items > limits.items {
            format!("the plugin has more than {} items", limits.items)
        } else {
            format!("the plugin's items have more than {} bytes", limits.bytes)
        };
        if further > 0 {
            reason = format!("{reason}; {further} further files are not read either");
        }
        item = self.cut(name, &reason);
        line = serde_json::to_vec(&item)?;
        self.line(line, &Leaves::one(&item.status))?;
        Ok(Space::Used)
    }

    /// The item of a file that is beyond a limit.
    fn cut(&mut self, name: &str, reason: &str) -> Item {
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
            self.more_problems += 1;
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
        // What cannot be opened is known as a problem already.
        let content = self.content(name, limits::ERROR_BYTES).ok();
        let (item, error) = read_error_file(name, content.as_deref().unwrap_or_default(), self.input.compatibility);
        if let Some(message) = error.filter(|_| content.is_some()) {
            self.problem(name, &message);
        }
        Some(item)
    }
}

/// Reads one result file, `name` being its path relative to `plugins/<plugin>`: its item, statuses not rolled up yet, and
/// what is wrong with it. Any bytes give an item.
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
            formats::Outcome::passed()
        }
        ResultFormat::Junit => formats::junit::read(content, compatibility),
        ResultFormat::GoJson => formats::gojson::read(content, base(name), compatibility),
        ResultFormat::Manual => formats::manual::read(content, compatibility),
    };
    item.status = outcome.status;
    item.items = outcome.items;
    item.details = outcome.details;
    // Sonobuoy has a manual file's error in its log alone.
    let is_shown = format != ResultFormat::Manual || !compatibility.leaves_decide;
    if let Some(message) = outcome.error.as_ref().filter(|_| is_shown) {
        item.meta.insert(meta::ERROR.to_owned(), message.clone());
    }
    (item, outcome.error)
}

/// Reads one `error.json`, `name` being its path relative to `plugins/<plugin>`: its item, and why it could not be read.
/// Any bytes give an item.
pub fn read_error_file(name: &str, content: &[u8], compatibility: Compatibility) -> (Item, Option<String>) {
    let (mut item, error) = match formats::errors::read(content, compatibility) {
        Ok(item) => (item, None),
        Err(message) => (formats::errors::unreadable(), Some(message)),
    };
    item.meta.insert(meta::FILE.to_owned(), name.to_owned());
    (item, error)
}

/// A file that is not read, and why.
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

/// The content of a file that may be larger than we want to hold.
pub(crate) fn read_limited(files: &dyn ResultFiles, name: &str, limit: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    files.open(name)?.take(limit + 1).read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        return Err(io::Error::other(format!("file has more than {limit} bytes")));
    }
    Ok(content)
}
