//! A plugin's result files to its tree of results (core spec §6.2, §6.3).

use std::io::{self, Read};

use sono_types::{Item, PluginName, ResultFiles, ResultFormat, constants, item::status};

use crate::{
    Compatibility,
    aggregate::aggregate,
    formats,
    tree::{kind, meta},
};

/// Bytes of a result file that is read; a larger one is an item of its own that says so. The largest JUnit files of
/// conformance runs have some ten million bytes.
const MAX_FILE_BYTES: u64 = 256 << 20;

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
}

/// Reads the files of one plugin, `files` being rooted at `plugins/<name>`, into a tree with rolled-up statuses.
pub fn process_plugin(input: &PluginInput<'_>, files: &dyn ResultFiles) -> (Item, Vec<Problem>) {
    let mut reader = Reader {
        input,
        files,
        problems: Vec::new(),
    };
    let mut items = reader.folder("results", Reader::result);
    items.extend(reader.folder("errors", Reader::error));
    let mut root = Item {
        name: input.name.to_string(),
        meta: [(meta::TYPE.to_owned(), kind::SUMMARY.to_owned())].into(),
        items,
        ..Item::default()
    };
    aggregate(&mut root, input.compatibility);
    (root, reader.problems)
}

struct Reader<'a> {
    input: &'a PluginInput<'a>,
    files: &'a dyn ResultFiles,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn folder(&mut self, folder: &str, read: impl Fn(&mut Self, &str) -> Option<Item> + Copy) -> Vec<Item> {
        if !self.input.per_node {
            return self.walk(folder, read);
        }
        let mut nodes = self.files.directories(folder).unwrap_or_else(|error| {
            self.problem(folder, &error);
            Vec::new()
        });
        nodes.sort();
        nodes
            .into_iter()
            .map(|node| Item {
                items: self.walk(&format!("{folder}/{node}"), read),
                name: node,
                meta: [(meta::TYPE.to_owned(), kind::NODE.to_owned())].into(),
                ..Item::default()
            })
            .collect()
    }

    fn walk(&mut self, folder: &str, read: impl Fn(&mut Self, &str) -> Option<Item>) -> Vec<Item> {
        let names = self.files.list(folder).unwrap_or_else(|error| {
            self.problem(folder, &error);
            Vec::new()
        });
        names.iter().filter_map(|name| read(self, name)).collect()
    }

    fn problem(&mut self, file: &str, message: &impl ToString) {
        self.problems.push(Problem {
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

    fn content(&mut self, name: &str) -> Result<Vec<u8>, String> {
        read_limited(self.files, name, MAX_FILE_BYTES).map_err(|error| {
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
        let content = match self.content(name) {
            Ok(content) => content,
            Err(message) => {
                let mut item = file_item(name);
                status::UNKNOWN.clone_into(&mut item.status);
                item.meta.insert(meta::ERROR.to_owned(), message);
                return Some(item);
            }
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
        let content = self.content(name).ok();
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
