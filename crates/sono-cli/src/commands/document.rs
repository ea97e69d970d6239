//! `sono __document`: generated documents.

use clap::CommandFactory as _;
use serde_json::Value;
use sono_types::{constants::DEFAULT_NAMESPACE as NAMESPACE, exit};

use crate::{
    args::{self, Arguments, DocumentKind, environment},
    error::CliError,
    output::{Format, Printer},
    view::reference,
};

pub(super) fn document(arguments: &args::Document, printer: &Printer) -> Result<u8, CliError> {
    let args::Document { what, out } = arguments;
    match (what, out) {
        (DocumentKind::Reference, _) => {
            let text = reference::markdown(Arguments::command(), &environment::VARIABLES);
            printer.verbatim(text.as_bytes())?;
        }
        (DocumentKind::PluginSchema, _) => {
            printer.document(Format::Json, &format!("{:#}\n", sono_manifest::schema()))?;
        }
        (DocumentKind::RunnerRole, _) => objects(&[sono_manifest::runner_role(NAMESPACE)], printer)?,
        (DocumentKind::NetworkPolicies, _) => objects(&sono_manifest::network_policies(NAMESPACE), printer)?,
        (DocumentKind::Man, Some(directory)) => {
            let failed = |error: &std::io::Error| {
                CliError::new(format!("cannot write manual pages to `{}`", directory.display())).caused_by(error)
            };
            fs_err::create_dir_all(directory).map_err(|error| failed(&error))?;
            clap_mangen::generate_to(Arguments::command(), directory).map_err(|error| failed(&error))?;
        }
        (DocumentKind::Man, None) => return Err(CliError::new("manual pages require --out DIRECTORY")),
    }
    Ok(exit::SUCCESS)
}

fn objects(objects: &[Value], printer: &Printer) -> Result<(), CliError> {
    printer.document(Format::Yaml, &sono_manifest::to_manifest(objects))
}
