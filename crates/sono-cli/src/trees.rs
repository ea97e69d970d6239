//! Result trees of plugins in an archive: the YAML file, and the JSON file that is read instead if it matches.

use std::{collections::BTreeMap, ops::ControlFlow};

use sono_bundle::{Bundle, MemoryBudget, ReadError};
use sono_results::{ItemError, read_tree};
use sono_types::{Item, layout};

/// YAML and JSON result tree of one plugin.
#[derive(Debug, Default)]
pub(crate) struct TreeFiles {
    yaml: Vec<u8>,
    json: Option<Vec<u8>>,
}

impl TreeFiles {
    /// Parses the tree.
    pub(crate) fn tree(&self) -> Result<Item, ItemError> {
        read_tree(&self.yaml, self.json.as_deref())
    }
}

/// Reads the files of one plugin; `None` without a YAML file.
pub(crate) fn of_plugin(bundle: &Bundle, plugin: &str) -> Result<Option<TreeFiles>, ReadError> {
    Ok(of_plugins(bundle, &[plugin])?.into_values().next())
}

/// Reads the files of several plugins in one pass. The JSON precedes the YAML, so reading stops at the last YAML.
pub(crate) fn of_plugins(bundle: &Bundle, plugins: &[&str]) -> Result<BTreeMap<String, TreeFiles>, ReadError> {
    let names = |name: fn(&str) -> String| -> BTreeMap<String, &str> {
        plugins.iter().map(|plugin| (name(plugin), *plugin)).collect()
    };
    let json_names = names(layout::results_json_file_named);
    let yaml_names = names(layout::results_file_named);
    let (mut found, mut json) = (BTreeMap::new(), BTreeMap::new());
    // JSON and YAML have separate memory limits.
    let (mut memory, mut memory_of_json) = (MemoryBudget::new(bundle.limits()), MemoryBudget::new(bundle.limits()));
    bundle.visit(&mut |name, content| {
        if let Some(plugin) = json_names.get(name) {
            // A JSON file above the limit is ignored.
            if let Ok(bytes) = memory_of_json.read(name, content) {
                json.insert(*plugin, bytes);
            }
        } else if let Some(plugin) = yaml_names.get(name) {
            let files = TreeFiles {
                yaml: memory.read(name, content)?,
                json: json.remove(plugin),
            };
            found.insert((*plugin).to_owned(), files);
        }
        Ok(if found.len() == yaml_names.len() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    })?;
    Ok(found)
}
