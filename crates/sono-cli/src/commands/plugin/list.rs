//! `sono plugin list` and `show`.

use serde_json::{Value, json};
use sono_manifest::{Definition, Images, Problem, Severity};
use sono_types::exit;

use crate::{
    args::{self, PluginOutput},
    error::CliError,
    output::{Format, Printer, Text, text},
    plugins::{self, fetch},
};

/// Installed plugin.
struct Installed {
    name: String,
    file: String,
    definition: Definition,
}

pub(super) fn list(arguments: &args::PluginList, printer: &Printer) -> Result<u8, CliError> {
    let args::PluginList { output } = arguments;
    let directory = super::directory()?;
    let mut installed = Vec::new();
    for path in directory.files()? {
        // Skip invalid files with a warning.
        match fetch::file(&path) {
            Err(error) => printer.note(&format!("warning: {}", error.lines().join(": "))),
            Ok(document) => {
                let (definition, problems) = sono_manifest::load(&document.file, &document.text);
                for problem in problems {
                    printer.note(&format!("warning: {problem}"));
                }
                installed.extend(definition.map(|definition| Installed {
                    name: directory.name_of(&path),
                    file: document.file,
                    definition,
                }));
            }
        }
    }
    match output {
        PluginOutput::Text => {
            printer.print(&Text::joined(installed.iter().map(block), "---\n"))?;
        }
        PluginOutput::Json => {
            let values: Vec<Value> = installed.iter().map(value).collect();
            printer.document(Format::Json, &format!("{:#}\n", Value::Array(values)))?;
        }
    }
    Ok(exit::SUCCESS)
}

/// Description of a plugin in Sonobuoy's format, which scripts parse.
fn block(installed: &Installed) -> Text {
    let Installed { name, file, definition } = installed;
    let lines = [
        ("Run as", name.as_str()),
        ("Filename", file),
        ("Plugin name (in aggregator)", definition.name.as_str()),
        ("Source URL", &definition.source_url),
        ("Description", &definition.description),
    ];
    let lines = lines.map(|(word, value)| format!("{word}: {value}"));
    text![Text::lines(lines), Text::own("\n")]
}

fn value(installed: &Installed) -> Value {
    let Installed { name, file, definition } = installed;
    json!({
        "name": name,
        "file": file,
        "plugin": definition.name,
        "driver": definition.driver.as_str(),
        "sourceUrl": definition.source_url,
        "description": definition.description,
    })
}

pub(super) fn show(arguments: &args::PluginShow, printer: &Printer) -> Result<u8, CliError> {
    let args::PluginShow { name } = arguments;
    let directory = super::directory()?;
    let definition = match directory.find(name) {
        Some(path) => {
            let document = fetch::file(&path)?;
            let (definition, problems) = sono_manifest::load(&document.file, &document.text);
            let errors: Vec<Problem> = problems
                .into_iter()
                .filter(|problem| problem.severity == Severity::Error)
                .collect();
            definition.ok_or_else(|| plugins::refused(&errors))?
        }
        None => sono_manifest::builtin(name, &Images::default()).ok_or_else(|| missing(name, &directory))?,
    };
    printer.document(Format::Yaml, &(definition.to_yaml() + "\n"))?;
    Ok(exit::SUCCESS)
}

/// Error for a plugin that is not installed.
pub(super) fn missing(name: &str, directory: &plugins::directory::Directory) -> CliError {
    let names = directory.names();
    let error = CliError::new(format!("plugin `{name}` is not installed"));
    if names.is_empty() {
        error.hint("to install a plugin: sono plugin install NAME FILE-OR-URL")
    } else {
        error.hint(format!("installed: {}", names.join(", ")))
    }
}
