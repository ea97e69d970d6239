//! Reads the failures of an archive and the logs of their containers in one pass.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
    ops::ControlFlow,
};

use sono_analysis::{ContainerLog, MAX_LOG_BYTES, MAX_LOGS, MAX_LOGS_BYTES, TestOutput};
use sono_bundle::{Bundle, ReadError, ReadLimits};
use sono_results::{Leaf, YamlDigest, stream_json, stream_yaml, visit_leaves};
use sono_types::layout;

use crate::{error::CliError, trees};

/// Maximum size of the texts of passed tests in bytes. They only make causes less certain.
const MAX_PASSED_BYTES: u64 = 64 << 20;

/// Texts of an archive.
#[derive(Debug, Default)]
pub(super) struct Failures {
    /// Failed tests, and passed ones with logs.
    pub(super) outputs: Vec<TestOutput>,
    /// Logs of containers in the namespaces of tests.
    pub(super) logs: Vec<ContainerLog>,
    /// Plugins that cannot be read.
    pub(super) problems: Vec<CliError>,
}

/// Reads the failures of all plugins or of one.
pub(super) fn failures(bundle: &Bundle, plugin: Option<&str>) -> Result<Failures, CliError> {
    let mut pass = Pass {
        plugin,
        limits: *bundle.limits(),
        found: Failures::default(),
        plugins: BTreeSet::new(),
        from_json: BTreeMap::new(),
        again: Vec::new(),
        bytes: 0,
        passed_bytes: 0,
        log_bytes: 0,
        items: 0,
    };
    let unreadable = |error: &ReadError| CliError::of_archive(error.to_string(), error);
    bundle
        .visit(&mut |name, content| pass.file(name, content))
        .map_err(|error| unreadable(&error))?;
    // Trees that cannot be streamed, or whose JSON differs from the YAML.
    for name in std::mem::take(&mut pass.again) {
        let files = trees::of_plugin(bundle, &name).map_err(|error| unreadable(&error))?;
        match files.unwrap_or_default().tree() {
            Ok(root) => visit_leaves(&root, &mut |leaf| pass.leaf(&name, leaf)),
            Err(error) => pass
                .found
                .problems
                .push(CliError::new(format!("cannot read the results of plugin `{name}`")).caused_by(&error)),
        }
        pass.check().map_err(|source| {
            unreadable(&ReadError::File {
                path: bundle.path().to_path_buf(),
                name: layout::results_file_named(&name),
                source,
            })
        })?;
    }
    let Pass { found, plugins, .. } = pass;
    if plugins.is_empty() {
        let path = bundle.path().display();
        return Err(match plugin {
            Some(plugin) => CliError::new(format!("cannot read `{path}`"))
                .details([format!("failed to find results of plugin `{plugin}` in archive")]),
            None => CliError::new(format!("`{path}` contains no results of plugins"))
                .hint("expected an archive from sono retrieve or sonobuoy retrieve, not a result file of a plugin"),
        });
    }
    Ok(found)
}

struct Pass<'a> {
    plugin: Option<&'a str>,
    limits: ReadLimits,
    found: Failures,
    /// Plugins with results.
    plugins: BTreeSet<String>,
    /// Texts in the JSON of a plugin, and the digest of the YAML that follows it.
    from_json: BTreeMap<String, (Vec<TestOutput>, YamlDigest)>,
    /// Plugins with results that must be read as a whole.
    again: Vec<String>,
    /// Size of the texts of failed and passed tests, and of logs, in bytes.
    bytes: u64,
    passed_bytes: u64,
    log_bytes: usize,
    items: u64,
}

impl Pass<'_> {
    fn file(&mut self, name: &str, content: &mut dyn Read) -> io::Result<ControlFlow<()>> {
        let plugin = name.strip_prefix("plugins/").and_then(|rest| rest.split_once('/'));
        let Some((plugin, _)) = plugin.filter(|(plugin, _)| self.plugin.is_none_or(|only| only == *plugin)) else {
            return Ok(ControlFlow::Continue(()));
        };
        if let Some((_, namespace)) = ContainerLog::place(name) {
            self.log(name, plugin, namespace, content)?;
        } else if name == layout::results_json_file_named(plugin) {
            let read = self.stream(plugin, content, |json, visit| stream_json(json, visit));
            if let (outputs, Ok((_, yaml))) = read {
                self.from_json.insert(plugin.to_owned(), (outputs, yaml));
            }
        } else if name == layout::results_file_named(plugin) && self.plugins.insert(plugin.to_owned()) {
            self.yaml(plugin, content)?;
        }
        Ok(ControlFlow::Continue(()))
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
        if let Some((outputs, yaml)) = self.from_json.remove(plugin) {
            // The YAML is only hashed.
            if YamlDigest::of(content)? == yaml {
                self.found.outputs.extend(outputs);
                return self.check();
            }
            self.again.push(plugin.to_owned());
            return Ok(());
        }
        let (outputs, read) = self.stream(plugin, content, |yaml, visit| stream_yaml(yaml, visit));
        if read.is_ok() {
            self.found.outputs.extend(outputs);
        } else {
            self.again.push(plugin.to_owned());
        }
        self.check()
    }

    /// Texts of the leaves that a reader visits, and what it returns.
    fn stream<T>(
        &mut self,
        plugin: &str,
        content: &mut dyn Read,
        read: impl FnOnce(&mut dyn Read, &mut dyn FnMut(Leaf<'_>)) -> T,
    ) -> (Vec<TestOutput>, T) {
        let before = self.found.outputs.len();
        let mut limited = content.take(self.limits.max_tree_bytes);
        let read = read(&mut limited, &mut |leaf| self.leaf(plugin, leaf));
        (self.found.outputs.split_off(before), read)
    }

    /// Stores the texts of a leaf if the limits permit.
    fn leaf(&mut self, plugin: &str, leaf: Leaf<'_>) {
        self.items = self.items.saturating_add(1);
        if self.check().is_err() {
            return;
        }
        let Some(output) = TestOutput::of(plugin, leaf) else {
            return;
        };
        if output.is_failed() {
            self.bytes = self.bytes.saturating_add(output.bytes());
        } else if self.passed_bytes < MAX_PASSED_BYTES {
            self.passed_bytes += output.bytes();
        } else {
            return;
        }
        self.found.outputs.push(output);
    }

    fn check(&self) -> io::Result<()> {
        let ReadLimits {
            max_items,
            max_parsed_bytes,
            ..
        } = self.limits;
        let message = if self.items > max_items {
            format!("the archive has more than {max_items} result items")
        } else if self.bytes > max_parsed_bytes {
            format!("the texts of failures have more than {max_parsed_bytes} bytes")
        } else {
            return Ok(());
        };
        Err(io::Error::new(io::ErrorKind::FileTooLarge, message))
    }
}
