//! `sono plugin install` and `uninstall`.

use std::{
    io::{ErrorKind, Write as _},
    path::Path,
};

use sono_manifest::{BUILTIN_NAMES, Problem, Severity};
use sono_types::exit;

use super::{list::missing, name};
use crate::{
    args,
    error::CliError,
    output::Printer,
    plugins::{
        self, ResolvedPlugin,
        fetch::{Access, Document},
    },
};

pub(super) async fn install(
    arguments: args::PluginInstall,
    as_sonobuoy: bool,
    printer: &Printer,
) -> Result<u8, CliError> {
    let args::PluginInstall {
        name,
        source,
        force,
        addresses,
        access,
    } = arguments;
    let args::ImagesAccess {
        insecure_registry,
        ca_file,
    } = access;
    let refused = || CliError::new(format!("cannot install a plugin as `{name}`"));
    name::check(&name).map_err(|reason| refused().details([reason.to_owned()]))?;
    let directory = super::directory()?;
    let path = directory
        .file(&name)
        .ok_or_else(|| refused().details(["the name points outside the plugin directory".to_owned()]))?;
    if path.exists() && !force {
        return Err(already_installed(&name, &path));
    }
    let access = Access {
        insecure: &insecure_registry,
        authorities: ca_file.as_deref(),
        ..Access::new(&addresses, as_sonobuoy)
    };
    let (documents, rename) = match access.check(plugins::find(&source, access, printer).await?)? {
        ResolvedPlugin::Documents { documents, rename } => (documents, rename),
        ResolvedPlugin::BuiltIn(_) => {
            return Err(CliError::new(format!(
                "`{source}` is a built-in plugin, which does not need to be installed"
            )));
        }
    };
    let [document] = documents.as_slice() else {
        let found = documents.len();
        return Err(CliError::new(format!(
            "may only install one plugin at a time, found {found}"
        )));
    };
    let Document { file, text } = document;
    let (definition, problems) = sono_manifest::load(file, text);
    let (errors, warnings): (Vec<Problem>, Vec<Problem>) = problems
        .into_iter()
        .partition(|problem| problem.severity == Severity::Error);
    let definition = definition.ok_or_else(|| plugins::refused(&errors))?;
    for warning in warnings {
        printer.note(&format!("warning: {warning}"));
    }
    let is_renamed = rename.is_some();
    let definition = plugins::renamed(definition, rename.as_ref());
    // Store the original text with its comments, unless the plugin is renamed.
    let text = if is_renamed { definition.to_yaml() } else { text.clone() };
    write(&path, &text, force).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => already_installed(&name, &path),
        _ => CliError::new(format!("cannot write `{}`", path.display())).caused_by(&error),
    })?;
    if BUILTIN_NAMES.contains(&name.as_str()) {
        printer.note(&format!(
            "note: `--plugin {name}` now selects this plugin instead of the built-in one"
        ));
    }
    printer.line(&format!(
        "Installed plugin {} into file {} from source {source}",
        definition.name,
        path.display()
    ))?;
    printer.note(&format!("SHA-256 of the source: {}", document.sha256()));
    Ok(exit::SUCCESS)
}

fn already_installed(name: &str, path: &Path) -> CliError {
    CliError::new(format!("plugin `{name}` is already installed: {}", path.display())).hint("to replace it: --force")
}

/// Writes a file atomically.
fn write(path: &Path, text: &str, force: bool) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    fs_err::create_dir_all(folder)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".sono-");
    readable(&mut builder);
    let mut temporary = builder.tempfile_in(folder)?;
    temporary.write_all(text.as_bytes())?;
    temporary.as_file().sync_all()?;
    let persisted = if force {
        temporary.persist(path)
    } else {
        temporary.persist_noclobber(path)
    };
    persisted.map(|_| ()).map_err(|error| error.error)
}

/// Sets default permissions. Temporary files are private by default.
#[cfg(unix)]
fn readable(builder: &mut tempfile::Builder<'_, '_>) {
    use std::os::unix::fs::PermissionsExt as _;
    builder.permissions(std::fs::Permissions::from_mode(0o666));
}

#[cfg(not(unix))]
fn readable(_: &mut tempfile::Builder<'_, '_>) {}

/// Removes a plugin without reading its file, so that invalid ones can be removed too.
pub(super) fn uninstall(arguments: &args::PluginUninstall, printer: &Printer) -> Result<u8, CliError> {
    let args::PluginUninstall { name } = arguments;
    let directory = super::directory()?;
    // Broken links can be removed too.
    let exists = |path: &std::path::PathBuf| fs_err::symlink_metadata(path).is_ok_and(|found| !found.is_dir());
    let path = directory.file(name).filter(exists);
    let path = path.ok_or_else(|| missing(name, &directory))?;
    fs_err::remove_file(&path)
        .map_err(|error| CliError::new(format!("cannot remove `{}`", path.display())).caused_by(&error))?;
    printer.line(&format!("Uninstalled plugin file {}", path.display()))?;
    Ok(exit::SUCCESS)
}
