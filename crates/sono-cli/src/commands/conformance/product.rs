//! `sono conformance product init`.

use std::io::{BufRead as _, stdin};

use sono_bundle::write_durably;
use sono_conformance::{Finding, Product, REQUIRED_FIELDS, TYPES, Verdict, check_product};
use sono_types::exit;

use crate::{
    args,
    error::CliError,
    output::{Format, Printer, text},
};

/// Maximum length of an answer in bytes.
const MAX_ANSWER: u64 = 64 << 10;
const STANDARD_OUTPUT: &str = "-";

pub(super) fn init(arguments: args::ConformanceProductInit, printer: &Printer) -> Result<u8, CliError> {
    let args::ConformanceProductInit {
        vendor,
        name,
        version,
        kind,
        description,
        website_url,
        documentation_url,
        contact_email_address,
        repo_url,
        product_logo_url,
        file,
        force,
    } = arguments;
    let to_stdout = file.as_os_str() == STANDARD_OUTPUT;
    if !to_stdout && !force && file.exists() {
        return Err(CliError::new(format!("`{}` already exists", file.display())).hint("replace it with --force"));
    }
    let given = [
        ("vendor", vendor),
        ("name", name),
        ("version", version),
        ("type", kind),
        ("description", description),
        ("website_url", website_url),
        ("documentation_url", documentation_url),
        ("contact_email_address", contact_email_address),
        ("repo_url", repo_url),
        ("product_logo_url", product_logo_url),
    ];
    let asks = given
        .iter()
        .any(|(name, value)| value.is_none() && REQUIRED_FIELDS.contains(name));
    let mut fields = Vec::new();
    for (name, value) in given {
        let required = REQUIRED_FIELDS.contains(&name);
        let value = match value {
            Some(value) => value,
            // Optional fields are asked for only when others are.
            None if asks => answer(name, required, printer)?,
            None => continue,
        };
        if !value.is_empty() {
            fields.push((name.to_owned(), value));
        }
    }
    let text = Product::of(fields).render();
    let problems: Vec<Finding> = check_product(text.as_bytes())
        .into_iter()
        .filter(|finding| finding.verdict == Verdict::Failed)
        .collect();
    if let Some(first) = problems.first() {
        let lines = problems
            .iter()
            .map(|finding| format!("{}: {}", finding.place, finding.message));
        return Err(CliError::new("invalid description of the product")
            .details(lines)
            .hint(first.hint.unwrap_or("correct the fields")));
    }
    if to_stdout {
        printer.document(Format::Yaml, &text)?;
        return Ok(exit::SUCCESS);
    }
    write_durably(&file, text.as_bytes())
        .map_err(|error| CliError::new(format!("cannot write `{}`", file.display())).caused_by(&error))?;
    printer.note(&format!("wrote `{}`", file.display()));
    Ok(exit::SUCCESS)
}

/// Asks for a field on standard error and reads a line from standard input.
fn answer(name: &str, required: bool, printer: &Printer) -> Result<String, CliError> {
    let choices = if name == "type" {
        format!(" ({})", TYPES.join(", "))
    } else {
        String::new()
    };
    let optional = if required { "" } else { " (optional)" };
    printer.note(&text![name, choices, optional, ":"]);
    let mut line = String::new();
    let read = std::io::Read::take(stdin().lock(), MAX_ANSWER).read_line(&mut line);
    let read = read.map_err(|error| CliError::new("cannot read standard input").caused_by(&error))?;
    if read == 0 && required {
        let flag = name.replace('_', "-");
        return Err(CliError::new(format!("field `{name}` is missing")).hint(format!("set it with --{flag}")));
    }
    Ok(line.trim().to_owned())
}
