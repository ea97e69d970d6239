//! `sono plugin list` and `show`.

use serde_json::{Value, json};
use sono_manifest::{Definition, Images, Problem, Severity};
use sono_types::exit;

use crate::{
    args::{self, PluginOutput},
    error::CliError,
    output::Printer,
    plugins::{self, fetch},
};

/// An installed plugin.
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
        // One file that cannot be used does not hide the others.
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
            let blocks: Vec<String> = installed.iter().map(block).collect();
            printer.data(blocks.join("---\n").as_bytes())?;
        }
        PluginOutput::Json => {
            let values: Vec<Value> = installed.iter().map(value).collect();
            printer.line(&format!("{:#}", Value::Array(values)))?;
        }
    }
    Ok(exit::SUCCESS)
}

/// The words are what scripts look for.
fn block(installed: &Installed) -> String {
    let Installed { name, file, definition } = installed;
    format!(
        "Run as: {name}\nFilename: {file}\nPlugin name (in aggregator): {}\nSource URL: {}\nDescription: {}\n",
        definition.name, definition.source_url, definition.description
    )
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
    printer.line(&definition.to_yaml())?;
    Ok(exit::SUCCESS)
}

/// No such plugin is installed.
pub(super) fn missing(name: &str, directory: &plugins::directory::Directory) -> CliError {
    let names = directory.names();
    let error = CliError::new(format!("there is no installed plugin `{name}`"));
    if names.is_empty() {
        error.hint("sono plugin install NAME FILE-OR-ADDRESS")
    } else {
        error.hint(format!("installed: {}", names.join(", ")))
    }
}
