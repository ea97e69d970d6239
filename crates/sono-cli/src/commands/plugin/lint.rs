//! `sono plugin lint`.

use std::path::Path;

use serde_json::{Value, json};
use sono_manifest::{Definition, Problem, Severity};
use sono_types::exit;

use crate::{
    args::{self, PluginOutput},
    error::CliError,
    output::{Format, Printer, Tone},
    plugins::{
        self, ResolvedPlugin,
        fetch::{self, Access},
    },
    view::words::counted,
};

pub(super) async fn lint(arguments: args::PluginLint, as_sonobuoy: bool, printer: &Printer) -> Result<u8, CliError> {
    let args::PluginLint {
        files,
        addresses,
        output,
    } = arguments;
    let access = Access::new(&addresses, as_sonobuoy);
    let mut problems: Vec<Problem> = Vec::new();
    let mut definitions: Vec<(String, Definition)> = Vec::new();
    let mut checked = 0;
    let names = expanded(files)?;
    for name in &names {
        let (documents, rename) = match plugins::find(name, access, printer)
            .await
            .and_then(|found| access.check(found))
        {
            Ok(ResolvedPlugin::Documents { documents, rename }) => (documents, rename),
            Ok(ResolvedPlugin::BuiltIn(name)) => {
                return Err(CliError::new(format!("`{name}` is a built-in plugin, not a file"))
                    .hint(format!("for a file of that name: ./{name}")));
            }
            Err(error) if names.len() == 1 => return Err(error),
            // Continue with the other files.
            Err(error) => {
                problems.push(Problem {
                    file: name.clone(),
                    position: None,
                    field: None,
                    message: error.lines().join(": "),
                    severity: Severity::Error,
                });
                continue;
            }
        };
        for document in documents {
            checked += 1;
            let (definition, found) = sono_manifest::lint(&document.file, &document.text);
            problems.extend(found);
            let renamed = definition.map(|definition| plugins::renamed(definition, rename.as_ref()));
            definitions.extend(renamed.map(|definition| (document.file, definition)));
        }
    }
    problems.extend(sono_manifest::check_set(&definitions));
    let errors = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .count();
    match output {
        PluginOutput::Text => {
            for problem in &problems {
                printer.line(&format!("{}: {problem}", word(problem.severity)))?;
            }
            let summary = summary(checked, errors, problems.len() - errors);
            let tone = if errors > 0 { Tone::Bad } else { Tone::Good };
            printer.note(&tone.paint(summary));
        }
        PluginOutput::Json => {
            let values: Vec<Value> = problems.iter().map(value).collect();
            printer.document(Format::Json, &format!("{:#}\n", Value::Array(values)))?;
        }
    }
    Ok(if errors > 0 { exit::FAILURE } else { exit::SUCCESS })
}

/// Replaces directories by the definitions in them.
fn expanded(names: Vec<String>) -> Result<Vec<String>, CliError> {
    let mut expanded = Vec::with_capacity(names.len());
    for name in names {
        match fetch::files(&name) {
            Ok(Some(files)) if Path::new(&name).is_dir() => {
                expanded.extend(files.iter().map(|file| file.display().to_string()));
            }
            Err(error) => return Err(error),
            _ => expanded.push(name),
        }
    }
    Ok(expanded)
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// Problem as a JSON object.
pub(super) fn value(problem: &Problem) -> Value {
    let Problem {
        file,
        position,
        field,
        message,
        severity,
    } = problem;
    json!({
        "file": file,
        "line": position.map(|position| position.line),
        "column": position.map(|position| position.column),
        "field": field,
        "severity": word(*severity),
        "message": message,
    })
}

fn summary(files: usize, errors: usize, warnings: usize) -> String {
    let counted = |number: usize, noun: &str| counted(number as u64, noun);
    let files = counted(files, "definition");
    if errors + warnings == 0 {
        return format!("{files}, no problems");
    }
    format!(
        "{files}: {}, {}",
        counted(errors, "error"),
        counted(warnings, "warning")
    )
}
