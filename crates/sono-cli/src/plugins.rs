//! Resolution of `--plugin` (cli §6.1): an installed plugin, a built-in one, a URL, an OCI artifact, a file, a
//! directory, or `-` for standard input. `@NAME` at the end renames the plugin.

pub(crate) mod directory;
pub(crate) mod fetch;
pub(crate) mod source;

use sono_manifest::{BUILTIN_NAMES, Definition, Images, Problem, Severity};
use sono_types::PluginName;

use self::{
    directory::Directory,
    fetch::{Access, Document},
    source::{Location, Source},
};
use crate::{error::CliError, output::Printer};

/// Loads all plugins. The error contains all problems of all files.
pub(crate) async fn load(
    names: &[String],
    images: &Images,
    access: Access<'_>,
    printer: &Printer,
) -> Result<Vec<Definition>, CliError> {
    let is_fetched = |name: &String| {
        ["http://", "https://", "oci://"]
            .iter()
            .any(|start| name.starts_with(start))
    };
    if !access.digests.is_empty() && !names.iter().any(is_fetched) {
        return Err(CliError::new("--sha256 requires a plugin from a URL").hint("add --plugin https://…"));
    }
    let mut definitions: Vec<(String, Definition)> = Vec::new();
    let mut problems = Vec::new();
    for name in names {
        let (documents, rename) = match find(name, access, printer).await? {
            ResolvedPlugin::BuiltIn(name) => {
                definitions.extend(sono_manifest::builtin(&name, images).map(|definition| (name, definition)));
                continue;
            }
            ResolvedPlugin::Documents { documents, rename } => (documents, rename),
        };
        let installed = documents.first().filter(|_| BUILTIN_NAMES.contains(&name.as_str()));
        if let Some(document) = installed {
            printer.note(&format!(
                "note: plugin `{name}` is the installed {}, not the built-in one",
                document.file
            ));
        }
        let is_directory = documents.len() > 1 || std::path::Path::new(name).is_dir();
        let before = definitions.len();
        for Document { file, text } in documents {
            let (definition, found) = sono_manifest::load(&file, &text);
            for problem in found {
                match problem.severity {
                    Severity::Error => problems.push(problem),
                    Severity::Warning => printer.note(&format!("warning: {problem}")),
                }
            }
            definitions.extend(definition.map(|definition| (file, renamed(definition, rename.as_ref()))));
        }
        if is_directory {
            let found: Vec<&str> = definitions
                .iter()
                .skip(before)
                .map(|(_, found)| found.name.as_str())
                .collect();
            printer.note(&format!("plugins in {name}: {}", found.join(", ")));
        }
    }
    problems.extend(sono_manifest::check_set(&definitions));
    if problems.is_empty() {
        return Ok(definitions.into_iter().map(|(_, definition)| definition).collect());
    }
    Err(refused(&problems))
}

/// Plugin found for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ResolvedPlugin {
    BuiltIn(String),
    Documents {
        documents: Vec<Document>,
        rename: Option<PluginName>,
    },
}

/// Finds the plugin for a value of `--plugin` and reads its definitions.
pub(crate) async fn find(text: &str, access: Access<'_>, printer: &Printer) -> Result<ResolvedPlugin, CliError> {
    let installed = Directory::for_lookup();
    let exists = |name: &str| {
        std::path::Path::new(name).exists()
            || installed
                .as_ref()
                .is_some_and(|directory| directory.find(name).is_some())
    };
    let Source { location, rename } = Source::parse(text, exists);
    let one = |document| ResolvedPlugin::Documents {
        documents: vec![document],
        rename: rename.clone(),
    };
    match location {
        Location::Input => fetch::input().map(one),
        Location::Url(address) => access.check(one(fetch::url(&address, access, printer).await?)),
        Location::Artifact(name) => access.check(one(fetch::artifact(&name, access).await?)),
        Location::Foreign(scheme) => Err(CliError::new(format!("cannot fetch the plugin `{text}`"))
            .details([format!("unsupported scheme `{scheme}`; one of https, http, oci")])
            .hint("download the file and pass its path")),
        Location::Name(name) => {
            if let Some(path) = installed.as_ref().and_then(|directory| directory.find(&name)) {
                return fetch::file(&path).map(one);
            }
            if BUILTIN_NAMES.contains(&name.as_str()) {
                return match rename {
                    None => Ok(ResolvedPlugin::BuiltIn(name)),
                    Some(_) => Err(CliError::new(format!("the built-in plugin `{name}` cannot be renamed"))
                        .hint("only plugins from a file, a URL or a registry can be renamed")),
                };
            }
            let files = fetch::files(&name)?.ok_or_else(|| not_found(&name, installed.as_ref(), exists))?;
            if rename.is_some() && std::path::Path::new(&name).is_dir() {
                return Err(CliError::new(format!(
                    "`{name}` is a directory: only single plugins can be renamed"
                )));
            }
            let documents = files.iter().map(|path| fetch::file(path)).collect::<Result<_, _>>()?;
            Ok(ResolvedPlugin::Documents { documents, rename })
        }
    }
}

/// Renames a definition.
pub(crate) fn renamed(mut definition: Definition, rename: Option<&PluginName>) -> Definition {
    if let Some(name) = rename {
        definition.name = name.clone();
    }
    definition
}

fn not_found(name: &str, installed: Option<&Directory>, exists: impl Fn(&str) -> bool) -> CliError {
    if let Some((location, rename)) = name.rsplit_once('@').filter(|(location, _)| exists(location))
        && let Err(error) = PluginName::parse(rename)
    {
        return CliError::new(format!("`{location}` cannot be renamed `{rename}`"))
            .caused_by(&error)
            .hint("expected a name such as my-plugin after @");
    }
    let mut hint = format!("built-in plugins: {}", BUILTIN_NAMES.join(", "));
    let names = installed.map(Directory::names).unwrap_or_default();
    if !names.is_empty() {
        hint = format!("{hint}; installed: {}", names.join(", "));
    }
    CliError::new(format!("plugin `{name}` not found: no such file or directory")).hint(hint)
}

/// Error with all problems.
pub(crate) fn refused(problems: &[Problem]) -> CliError {
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
    CliError::new(what).details(problems.iter().map(ToString::to_string))
}
