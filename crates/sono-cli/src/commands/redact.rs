//! `sono redact`: an archive without its secrets, and the search for secrets in an archive.

mod known;
mod names;
mod objects;
mod rewriter;
mod verify;

use std::path::Path;

use sono_bundle::{ReadLimits, rewrite_tar_gz, usable_space};
use sono_redact::{Layers, Redactor};
use sono_types::exit;

use self::rewriter::Rewriter;
use crate::{args, error::CliError, output::Printer};

/// gzip level, as in archives of runs.
const COMPRESSION_LEVEL: u32 = 6;
/// Entries that are left out and named.
const NAMED: usize = 10;

pub(super) async fn redact(arguments: args::Redact, printer: &Printer) -> Result<u8, CliError> {
    let args::Redact {
        archive,
        output,
        known,
        redact,
        names_key,
        no_limits,
        action,
    } = arguments;
    if let Some(args::RedactAction::Verify(arguments)) = action {
        let args::RedactVerify {
            archive,
            known,
            no_limits,
        } = arguments;
        let redactor = Redactor::new(known::read(&known).await?);
        return verify::verify(&archive, &redactor, no_limits, printer);
    }
    let (Some(archive), Some(output)) = (archive, output) else {
        return Err(CliError::new("an archive and --output are required"));
    };
    let redactor = Redactor::new(known::read(&known).await?);
    let limits = limits(no_limits);
    let names = match redact {
        Some(args::Identifying::Names) => names::read(&archive, names_key.as_deref(), &limits)?,
        None => None,
    };
    if redact.is_some() && names.is_none() {
        printer.note("warning: the archive names no nodes");
    }
    let mut rewriter = Rewriter::new(&redactor, names);
    write(&archive, &output, (&mut rewriter, &limits), printer)?;
    Ok(exit::SUCCESS)
}

/// Limits on reading: each file is buffered.
fn limits(no_limits: bool) -> ReadLimits {
    if no_limits {
        return ReadLimits::NONE;
    }
    let usable = usable_space(&std::env::temp_dir()).unwrap_or(ReadLimits::DEFAULT.max_unpacked_bytes);
    ReadLimits {
        max_unpacked_bytes: usable.min(ReadLimits::DEFAULT.max_unpacked_bytes),
        ..ReadLimits::DEFAULT
    }
}

/// Writes the new archive next to its place, then renames it.
fn write(
    archive: &Path,
    output: &Path,
    (rewriter, limits): (&mut Rewriter<'_>, &ReadLimits),
    printer: &Printer,
) -> Result<(), CliError> {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        CliError::new(format!("cannot redact `{}`", archive.display())).caused_by(error)
    };
    let unwritable = |error: &(dyn std::error::Error + 'static)| {
        CliError::new(format!("cannot write `{}`", output.display())).caused_by(error)
    };
    let source = fs_err::File::open(archive).map_err(|error| failed(&error))?;
    let parent = output.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or_else(|| Path::new("."));
    // Its mode is 0600: the archive contains data of the cluster.
    let target = tempfile::Builder::new()
        .prefix(".sono-")
        .tempfile_in(parent)
        .map_err(|error| unwritable(&error))?;
    let rewritten = rewrite_tar_gz(source, target, limits, COMPRESSION_LEVEL, rewriter);
    let (target, left_out) = rewritten.map_err(|error| failed(&error))?;
    target.as_file().sync_all().map_err(|error| unwritable(&error))?;
    target.persist_noclobber(output).map_err(|error| {
        let error = error.error;
        let message = unwritable(&error);
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            return message.hint("choose another path with --output");
        }
        message
    })?;
    for (name, reason) in left_out.iter().take(NAMED) {
        printer.note(&format!("`{name}` is left out: {reason}"));
    }
    if left_out.len() > NAMED {
        printer.note(&format!("{} more entries are left out", left_out.len() - NAMED));
    }
    if let Some(sentence) = rewriter.report().sentence() {
        printer.note(&sentence);
    }
    printer.path(output)
}

/// How a file of an archive is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// Kubernetes objects and other JSON.
    Objects,
    /// A text, by these layers.
    Text(Layers, &'static str),
}

impl Content {
    /// The content of the file `name`.
    fn of(name: &str) -> Self {
        let mut parts = name.split('/');
        let is_json = name
            .rsplit_once('.')
            .is_some_and(|(_, extension)| extension.eq_ignore_ascii_case("json"));
        match (parts.next(), parts.nth(1)) {
            (Some("plugins"), Some("errors" | "definition.json")) if is_json => Self::Objects,
            // Names of tests and their messages stay as they are.
            (Some("plugins"), _) => Self::Text(Layers::Known, "PluginResult"),
            (Some("podlogs"), _) => Self::Text(Layers::All, "PodLog"),
            _ if is_json => Self::Objects,
            _ => Self::Text(Layers::All, "File"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_of_a_file_follows_from_its_place() {
        let result = Content::Text(Layers::Known, "PluginResult");
        for (name, content) in [
            ("resources/ns/a/core_v1_pods.json", Content::Objects),
            ("hosts/n1/configz.json", Content::Objects),
            ("meta/config.json", Content::Objects),
            ("plugins/e2e/definition.json", Content::Objects),
            ("plugins/e2e/errors/global/error.json", Content::Objects),
            ("plugins/e2e/results/global/junit_01.xml", result),
            ("plugins/e2e/results/global/a.json", result),
            ("plugins/e2e/sonobuoy_results.yaml", result),
            ("podlogs/a/b/logs/c.txt", Content::Text(Layers::All, "PodLog")),
            ("meta/run.log", Content::Text(Layers::All, "File")),
        ] {
            assert_eq!(Content::of(name), content, "{name}");
        }
    }
}
