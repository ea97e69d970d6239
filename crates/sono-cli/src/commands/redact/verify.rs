//! `sono redact verify`.

use std::{ops::ControlFlow, path::Path};

use sono_bundle::{Bundle, FileSearch, ReadLimits};
use sono_redact::{Layers, Redactions, Redactor};
use sono_types::exit;

use super::Content;
use crate::{error::CliError, output::Printer};

/// Most printed places.
const MAX_PRINTED: usize = 10_000;

/// Prints the place of each secret in an archive or directory: path, offset and rule, never the value.
pub(super) fn verify(path: &Path, redactor: &Redactor, no_limits: bool, printer: &Printer) -> Result<u8, CliError> {
    let failed = |error: &sono_bundle::ReadError| CliError::of_archive("cannot verify the archive", error);
    let mut bundle = Bundle::open(path).map_err(|error| failed(&error))?;
    if no_limits {
        bundle = bundle.with_limits(ReadLimits::NONE);
    }
    let (mut files, mut opaque, mut found, mut printed) = (0_u64, 0_u64, 0_u64, 0);
    let mut print_error = None;
    let mut print = |path: &str, offset: u64, rule: &str| {
        printed += 1;
        if printed <= MAX_PRINTED && print_error.is_none() {
            print_error = printer.line(&format!("{path}  offset {offset}  {rule}")).err();
        }
    };
    bundle
        .visit(&mut |name, content| {
            let mut in_name = Redactions::default();
            let shown = redactor.text(name, Layers::Known, &mut in_name);
            if in_name.total() > 0 {
                print(&format!("{shown} (name)"), 0, "known");
            }
            let searched = FileSearch::new(redactor, layers(name), "").search(content)?;
            for place in searched.places() {
                let path = match place.within.as_str() {
                    "" => shown.clone().into_owned(),
                    within => format!("{shown}!{within}"),
                };
                let path = redactor
                    .text(&path, Layers::Known, &mut Redactions::default())
                    .into_owned();
                print(&path, place.offset, &place.rule.id());
            }
            files += 1;
            opaque += u64::from(!searched.opaque().is_empty());
            found += searched.total() + in_name.total();
            Ok(ControlFlow::Continue(()))
        })
        .map_err(|error| failed(&error))?;
    if let Some(error) = print_error {
        return Err(error);
    }
    if opaque > 0 {
        printer.note(&format!(
            "{opaque} of {files} files have content that cannot be searched"
        ));
    }
    let searched = match redactor.known() {
        Ok(summary) => format!("{} known values and published formats were searched", summary.values),
        Err(reason) => format!("published formats only were searched: {reason}"),
    };
    if found == 0 {
        printer.note(&format!("no secrets found in {files} files; {searched}"));
        return Ok(exit::SUCCESS);
    }
    printer.note(&format!("{found} secrets found in {files} files; {searched}"));
    Ok(exit::SECRETS_FOUND)
}

/// The layers by which redacted archives are free of secrets: names of fields do not prove a secret.
fn layers(name: &str) -> Layers {
    match Content::of(name) {
        Content::Text(Layers::Known, _) => Layers::Known,
        Content::Text(..) | Content::Objects => Layers::Shapes,
    }
}
