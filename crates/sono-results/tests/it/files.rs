//! Files in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
    path::Path,
};

use sono_results::{PluginInput, Problem, process_plugin, read_tree, to_yaml};
use sono_types::{Item, ResultFiles};

/// The tree of a plugin, which both of its files contain, and its problems.
pub(crate) fn tree(input: &PluginInput<'_>, files: &dyn ResultFiles) -> (Item, Vec<Problem>) {
    let (mut spool, mut yaml, mut json) = (Vec::new(), Vec::new(), Vec::new());
    let collected = process_plugin(input, files, &mut spool).unwrap();
    collected.write(&mut spool.as_slice(), &mut yaml, &mut json).unwrap();
    let item = read_tree(&yaml, None).unwrap();
    assert_eq!(String::from_utf8(yaml.clone()).unwrap(), to_yaml(&item));
    assert_eq!(read_tree(b"status: other", Some(&json)).unwrap().status, "other");
    assert_eq!(read_tree(&yaml, Some(&json)).as_ref(), Ok(&item));
    let verdict = collected.verdict();
    assert_eq!(
        (&verdict.status, &verdict.counts),
        (&item.status, &item.status_counts())
    );
    (item, collected.problems)
}

/// Files in memory: content by name. A name with a trailing slash is an empty directory.
#[derive(Debug, Default)]
pub(crate) struct MapFiles(BTreeMap<String, Vec<u8>>);

impl MapFiles {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        Self(
            files
                .iter()
                .map(|(name, content)| ((*name).to_owned(), content.as_bytes().to_vec()))
                .collect(),
        )
    }

    /// Loads all files below a directory.
    pub(crate) fn load(directory: &Path) -> Self {
        let mut files = BTreeMap::new();
        let mut pending = vec![String::new()];
        while let Some(name) = pending.pop() {
            for entry in fs_err::read_dir(directory.join(&name)).unwrap() {
                let entry = entry.unwrap();
                let own = entry.file_name().into_string().unwrap();
                let full = if name.is_empty() { own } else { format!("{name}/{own}") };
                if entry.file_type().unwrap().is_dir() {
                    pending.push(full);
                } else {
                    files.insert(full, fs_err::read(entry.path()).unwrap());
                }
            }
        }
        Self(files)
    }

    /// Names below a directory, each with its part relative to it.
    fn below<'a>(&'a self, below: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.keys().filter_map(move |name| {
            let rest = if below.is_empty() {
                Some(name.as_str())
            } else {
                name.strip_prefix(below).and_then(|rest| rest.strip_prefix('/'))
            };
            rest.map(|rest| (name.as_str(), rest))
        })
    }
}

impl ResultFiles for MapFiles {
    fn list(&self, below: &str) -> io::Result<Vec<String>> {
        let mut names: Vec<String> = self
            .below(below)
            .filter(|(name, _)| !name.ends_with('/'))
            .map(|(name, _)| name.to_owned())
            .collect();
        names.sort_by(|one, other| one.split('/').cmp(other.split('/')));
        Ok(names)
    }

    fn directories(&self, below: &str) -> io::Result<Vec<String>> {
        let names: BTreeSet<&str> = self
            .below(below)
            .filter_map(|(_, rest)| rest.split_once('/'))
            .map(|(directory, _)| directory)
            .collect();
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + '_>> {
        match self.0.get(name) {
            Some(content) if content == b"<unreadable>" => Err(io::Error::other("input/output error")),
            Some(content) => Ok(Box::new(content.as_slice())),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}
