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
        .ok_or_else(|| refused().details(["it leads out of the directory".to_owned()]))?;
    if path.exists() && !force {
        return Err(already(&name, &path));
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
                "`{source}` is a built-in plugin, which need not be installed"
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
    // As it was written, with its comments, unless something in it changes.
    let text = if is_renamed { definition.to_yaml() } else { text.clone() };
    write(&path, &text, force).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => already(&name, &path),
        _ => CliError::new(format!("cannot write `{}`", path.display())).caused_by(&error),
    })?;
    if BUILTIN_NAMES.contains(&name.as_str()) {
        printer.note(&format!(
            "note: `--plugin {name}` now means this one, not the built-in plugin"
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

fn already(name: &str, path: &Path) -> CliError {
    CliError::new(format!("a plugin is installed as `{name}` already: {}", path.display())).hint("--force replaces it")
}

/// Whoever sees the file sees all of it.
fn write(path: &Path, text: &str, force: bool) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    fs_err::create_dir_all(folder)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".sono-");
    readable(&mut builder);
    let mut beside = builder.tempfile_in(folder)?;
    beside.write_all(text.as_bytes())?;
    beside.as_file().sync_all()?;
    let persisted = if force {
        beside.persist(path)
    } else {
        beside.persist_noclobber(path)
    };
    persisted.map(|_| ()).map_err(|error| error.error)
}

/// Temporary files are private otherwise; this one is not temporary.
#[cfg(unix)]
fn readable(builder: &mut tempfile::Builder<'_, '_>) {
    use std::os::unix::fs::PermissionsExt as _;
    builder.permissions(std::fs::Permissions::from_mode(0o666));
}

#[cfg(not(unix))]
fn readable(_: &mut tempfile::Builder<'_, '_>) {}

/// The file is not read: one that does not parse can go too.
pub(super) fn uninstall(arguments: &args::PluginUninstall, printer: &Printer) -> Result<u8, CliError> {
    let args::PluginUninstall { name } = arguments;
    let directory = super::directory()?;
    // A link that leads nowhere is there too.
    let is_there = |path: &std::path::PathBuf| fs_err::symlink_metadata(path).is_ok_and(|found| !found.is_dir());
    let path = directory.file(name).filter(is_there);
    let path = path.ok_or_else(|| missing(name, &directory))?;
    fs_err::remove_file(&path)
        .map_err(|error| CliError::new(format!("cannot remove `{}`", path.display())).caused_by(&error))?;
    printer.line(&format!("Uninstalled plugin file {}", path.display()))?;
    Ok(exit::SUCCESS)
}
