//! `sono results`: what an archive says (cli spec §12).

use std::collections::BTreeMap;

use sono_bundle::Bundle;
use sono_results::{DetailedLine, Health, detailed_lines, from_yaml, health_report, report};
use sono_types::{Item, PluginName, constants::HEALTH_PLUGIN, exit, layout, yaml};

use crate::{
    args::{self, ResultsMode},
    error::CliError,
    judgement,
    output::Printer,
};

pub(super) fn results(arguments: &args::Results, printer: &Printer) -> Result<u8, CliError> {
    let args::Results {
        archive,
        plugin,
        mode,
        node,
        skip_prefix,
        exit_code,
    } = arguments;
    let bundle = Bundle::open(archive).map_err(|error| CliError::new(error.to_string()).caused_by(&error))?;
    let names = match plugin {
        Some(name) => vec![name.clone()],
        None => plugin_names(&bundle)?,
    };
    let view = View {
        bundle: &bundle,
        mode: *mode,
        node: node.as_deref(),
        skip_prefix: *skip_prefix,
        printer,
    };
    let mut failure = None;
    for (index, name) in names.iter().enumerate() {
        let shown = if name == HEALTH_PLUGIN {
            view.health()
        } else {
            view.plugin(name)
        };
        if let Err(error) = shown {
            // One plugin that cannot be read says nothing about the others.
            if let Some(before) = failure.replace(error) {
                printer.error(&before);
            }
            continue;
        }
        if index + 1 < names.len() {
            printer.line("")?;
        }
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    if !exit_code {
        return Ok(exit::SUCCESS);
    }
    let plugins = names.iter().filter(|name| *name != HEALTH_PLUGIN);
    let statuses = plugins.map(|name| Ok(view.item(name)?.status));
    let statuses = statuses.collect::<Result<Vec<String>, CliError>>()?;
    Ok(judgement::of_results(statuses.iter().map(String::as_str)))
}

fn plugin_names(bundle: &Bundle) -> Result<Vec<String>, CliError> {
    #[derive(serde::Deserialize)]
    struct Info {
        #[serde(default)]
        plugins: Vec<String>,
    }
    let info = read(bundle, layout::INFO)?;
    let info: Info = serde_json::from_slice(&info).map_err(|error| {
        CliError::new(format!("`{}` in the archive cannot be read", layout::INFO)).caused_by(&error)
    })?;
    let mut names = info.plugins;
    if names.is_empty() {
        return Err(CliError::new("the archive names no plugins").hint("name one: --plugin NAME"));
    }
    names.push(HEALTH_PLUGIN.to_owned());
    Ok(names)
}

fn read(bundle: &Bundle, name: &str) -> Result<Vec<u8>, CliError> {
    let failed = || format!("cannot read `{}`", bundle.path().display());
    bundle
        .read(name)
        .map_err(|error| CliError::new(failed()).caused_by(&error))?
        .ok_or_else(|| CliError::new(failed()).details([format!("failed to find file \"{name}\" in archive")]))
}

struct View<'a> {
    bundle: &'a Bundle,
    mode: ResultsMode,
    node: Option<&'a str>,
    skip_prefix: bool,
    printer: &'a Printer,
}

impl View<'_> {
    fn plugin(&self, name: &str) -> Result<(), CliError> {
        let parsed = PluginName::parse(name)
            .map_err(|error| CliError::new(format!("`{name}` is no plugin")).caused_by(&error))?;
        let text = read(self.bundle, &layout::results_file(&parsed))?;
        match self.mode {
            ResultsMode::Dump => return self.printer.data(&text),
            ResultsMode::Readable => return self.printer.data(readable(&String::from_utf8_lossy(&text)).as_bytes()),
            ResultsMode::Report | ResultsMode::Detailed => {}
        }
        let root = parse(name, &text)?;
        let item = self.chosen(name, &root)?;
        if self.mode == ResultsMode::Report {
            return self.printer.data(report(item).as_bytes());
        }
        self.detailed(&detailed_lines(item, &parsed))
    }

    /// The item that is shown.
    fn item(&self, name: &str) -> Result<Item, CliError> {
        let parsed = PluginName::parse(name)
            .map_err(|error| CliError::new(format!("`{name}` is no plugin")).caused_by(&error))?;
        let root = parse(name, &read(self.bundle, &layout::results_file(&parsed))?)?;
        self.chosen(name, &root).cloned()
    }

    fn chosen<'item>(&self, name: &str, root: &'item Item) -> Result<&'item Item, CliError> {
        let Some(node) = self.node else { return Ok(root) };
        root.find(node).ok_or_else(|| {
            CliError::new(format!(
                "node named \"{node}\" not found in the results of plugin `{name}`"
            ))
            .hint(format!("there are: {}", children(root)))
        })
    }

    fn detailed(&self, lines: &[DetailedLine]) -> Result<(), CliError> {
        let paths: Vec<&str> = lines
            .iter()
            .filter_map(|line| match line {
                DetailedLine::File { path, .. } => Some(path.as_str()),
                DetailedLine::Json(_) => None,
            })
            .collect();
        let files = if paths.is_empty() {
            BTreeMap::new()
        } else {
            self.bundle
                .read_many(&paths)
                .map_err(|error| CliError::new(error.to_string()).caused_by(&error))?
        };
        for line in lines {
            match line {
                DetailedLine::Json(text) => self.printer.line(text)?,
                DetailedLine::File { prefix, path } => {
                    let content = files
                        .get(path)
                        .ok_or_else(|| CliError::new(format!("failed to find file \"{path}\" in archive")))?;
                    if !self.skip_prefix {
                        self.printer.data(prefix.as_bytes())?;
                    }
                    self.printer.data(content)?;
                }
            }
        }
        Ok(())
    }

    fn health(&self) -> Result<(), CliError> {
        let text = self
            .bundle
            .read(layout::CLUSTER_HEALTH)
            .map_err(|error| CliError::new(error.to_string()).caused_by(&error))?;
        if self.mode == ResultsMode::Detailed {
            return self.printer.data(&match text {
                Some(text) => text,
                None => read(self.bundle, layout::CLUSTER_HEALTH)?,
            });
        }
        let unreadable = |error: &dyn std::error::Error| {
            CliError::new("the cluster's health in the archive cannot be read").details([error.to_string()])
        };
        let health: Health = match &text {
            Some(text) => serde_json::from_slice(text).map_err(|error| unreadable(&error))?,
            None => Health::default(),
        };
        if self.mode == ResultsMode::Report {
            return self.printer.data(health_report(&health).as_bytes());
        }
        self.printer
            .data(yaml::to_string(&health).map_err(|error| unreadable(&error))?.as_bytes())
    }
}

fn parse(name: &str, text: &[u8]) -> Result<Item, CliError> {
    from_yaml(&String::from_utf8_lossy(text))
        .map_err(|error| CliError::new(format!("the results of plugin `{name}` cannot be read")).caused_by(&error))
}

/// Line breaks and tabs as such.
fn readable(text: &str) -> String {
    text.replace("\\n", "\n").replace("\\t", "\t")
}

fn children(root: &Item) -> String {
    let names: Vec<&str> = root.items.iter().take(10).map(|item| item.name.as_str()).collect();
    names.join(", ")
}
