//! The configuration file (cli §19).

use std::path::Path;

use sono_manifest::closest;
use sono_types::{
    Config,
    config::{ConfigError, PluginSelection},
};

use crate::{error::CliError, output::Printer, text_file};

/// Reads the configuration file over the defaults. Unknown keys, as in files for older versions, cause warnings.
pub(crate) fn read(path: &Path, printer: &Printer) -> Result<Config, CliError> {
    let file = path.display();
    let text = text_file::read(path).map_err(|error| {
        CliError::new(format!("cannot read the configuration file `{file}`"))
            .caused_by(&error)
            .hint("for a template: sono gen config")
    })?;
    let config = Config::from_json(&text).map_err(|error| {
        CliError::new(format!("cannot use the configuration file `{file}`"))
            .details([format!("{file}{}", wrong(&text, &error))])
            .hint("for a valid file: sono gen config")
    })?;
    for (key, known) in Config::unknown_keys(&text) {
        let (above, name) = key
            .rsplit_once('.')
            .map_or(("", key.as_str()), |(above, name)| (above, name));
        let nearest = closest(name, known).map_or_else(String::new, |nearest| {
            let dot = if above.is_empty() { "" } else { "." };
            format!(" (did you mean {above}{dot}{nearest}?)")
        });
        printer.note(&format!("warning: {file}: unknown key `{key}` has no effect{nearest}"));
    }
    Ok(config)
}

/// Position and description of an error in the text.
fn wrong(text: &str, error: &ConfigError) -> String {
    let ConfigError::Json(error) = error else {
        return format!(": {error}");
    };
    // An error in the merged configuration has no line. Parsing the text alone finds it, if the key has its usual case.
    let of_text = serde_json::from_str::<Config>(text).err();
    let error = of_text.as_ref().unwrap_or(error);
    let (line, column) = (error.line(), error.column());
    let message = error.to_string();
    let end = format!(" at line {line} column {column}");
    match message.strip_suffix(&end) {
        Some(message) if line > 0 => format!(":{line}:{column}: {message}"),
        _ => format!(": {message}"),
    }
}

/// Fails with all problems of a file.
pub(super) fn refused(file: &Path, problems: &[String]) -> Result<(), CliError> {
    let number = match problems {
        [] => return Ok(()),
        [_] => "a problem".to_owned(),
        problems => format!("{} problems", problems.len()),
    };
    let file = file.display();
    Err(CliError::new(format!("the configuration file `{file}` has {number}"))
        .details(problems.iter().map(|problem| format!("{file}: {problem}")))
        .hint("for a valid file: sono gen config; flags override the file"))
}

/// Fails if a selected plugin is not loaded. The aggregator would fail.
pub(super) fn check_selection(file: &Path, selected: &[PluginSelection], loaded: &[&str]) -> Result<(), CliError> {
    let absent = selected.iter().filter(|plugin| !loaded.contains(&plugin.name.as_str()));
    let problems: Vec<String> = absent
        .map(|PluginSelection { name }| format!("Plugins: unknown plugin `{name}`; one of {}", loaded.join(", ")))
        .collect();
    refused(file, &problems)
}
