//! From what the user calls a plugin to its definition.

use std::path::{Path, PathBuf};

use sono_manifest::{BUILTIN_NAMES, Definition, Images, Severity};

use crate::{error::CliError, output::Printer};

/// Loads all plugins. Every problem of every file is in the one error.
pub(crate) fn load(names: &[String], images: &Images, printer: &Printer) -> Result<Vec<Definition>, CliError> {
    let mut definitions: Vec<(String, Definition)> = Vec::new();
    let mut problems = Vec::new();
    for name in names {
        // A name without a path is a built-in plugin, even if there is a file of that name: a script means the same
        // thing wherever it runs.
        if let Some(definition) = sono_manifest::builtin(name, images) {
            definitions.push((name.clone(), definition));
            continue;
        }
        for path in files(name)? {
            let file = path.display().to_string();
            let text = fs_err::read_to_string(&path)
                .map_err(|error| CliError::new(format!("cannot read the plugin `{file}`")).caused_by(&error))?;
            let (definition, found) = sono_manifest::load(&file, &text);
            for problem in found {
                match problem.severity {
                    Severity::Error => problems.push(problem),
                    Severity::Warning => printer.note(&format!("warning: {problem}")),
                }
            }
            definitions.extend(definition.map(|definition| (file, definition)));
        }
    }
    problems.extend(sono_manifest::check_set(&definitions));
    if problems.is_empty() {
        return Ok(definitions.into_iter().map(|(_, definition)| definition).collect());
    }
    let mut concerned: Vec<&str> = problems.iter().map(|problem| problem.file.as_str()).collect();
    concerned.dedup();
    let number = match problems.len() {
        1 => "a problem".to_owned(),
        number => format!("{number} problems"),
    };
    let what = match concerned.as_slice() {
        [file] => format!("plugin definition `{file}` has {number}"),
        _ => format!("the plugin definitions have {number}"),
    };
    Err(CliError::new(what).details(problems.iter().map(ToString::to_string)))
}

fn files(name: &str) -> Result<Vec<PathBuf>, CliError> {
    let path = Path::new(name);
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    if !path.is_dir() {
        return Err(
            CliError::new(format!("there is no plugin `{name}`: no such file or directory"))
                .hint(format!("built-in plugins: {}", BUILTIN_NAMES.join(", "))),
        );
    }
    let listed =
        |error: &std::io::Error| CliError::new(format!("cannot list the plugins in `{name}`")).caused_by(error);
    let mut files = Vec::new();
    for entry in fs_err::read_dir(path).map_err(|error| listed(&error))? {
        let file = entry.map_err(|error| listed(&error))?.path();
        let is_yaml = file
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml");
        if is_yaml && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(CliError::new(format!(
            "there is no plugin in `{name}`: no file ends in .yaml or .yml"
        )));
    }
    Ok(files)
}
