//! `sono conformance submit`.

use std::path::{Path, PathBuf};

use fs_err as fs;
use jiff::SignedDuration;
use sono_bundle::write_durably;
use sono_conformance::{
    FILES, JUNIT, LOG, LogFacts, MAX_AGE_DAYS, Minor, Mode, PRODUCT, Product, README, Refusal, Submission,
    SubmittedFile, Verdict, check_product, is_product_name, judge, render_readme, title,
};
use sono_types::exit;

use super::{check::print_table, given_version, latest, required_tests, results::Results};
use crate::{
    args, clock,
    error::CliError,
    output::{Printer, Text},
    text_file,
};

/// Maximum size of the user's text for the README in bytes.
const MAX_README_BYTES: u64 = 1 << 20;
/// Maximum size of PRODUCT.yaml in bytes.
const MAX_PRODUCT_BYTES: u64 = 1 << 20;

pub(super) fn submit(arguments: args::ConformanceSubmit, printer: &Printer) -> Result<u8, CliError> {
    let args::ConformanceSubmit {
        archive,
        product,
        readme,
        directory,
        folder,
        draft,
        version,
        plugin,
    } = arguments;
    let description = description(&product)?;
    let added = readme
        .as_deref()
        .map(|path| read_text(path, MAX_README_BYTES))
        .transpose()?;
    let results = Results::read(&archive, &plugin)?;
    let minor = results.minor(given_version(&version)?, &archive)?;
    let required = required_tests(&version, minor)?;
    let oldest = oldest();
    let mut refusals = results
        .run
        .refusals(results.junit.as_deref(), results.log.as_deref(), &required, &oldest);
    if results.run.minor().is_some_and(|actual| actual != minor) {
        refusals.push(Refusal {
            name: "version",
            reason: format!("the API server has version {}, the folder {minor}", results.run.server),
        });
    }
    if !refusals.is_empty() && !draft {
        let lines = refusals
            .iter()
            .map(|Refusal { name, reason }| format!("{name}: {reason}"));
        return Err(CliError::new(format!("`{}` is not a submission", archive.display()))
            .details(lines)
            .hint("run the whole suite: sono run --mode certified-conformance; or write a draft with --draft")
            .exit_with(exit::RESULTS_FAILED));
    }
    let folder = folder_name(folder, &description)?;
    let log = results.log.as_deref().map(LogFacts::read).unwrap_or_default();
    let text = render_readme(&results.run, &description, minor, &log, added.as_deref(), &refusals);
    let mut files = vec![
        (PRODUCT, description.render().into_bytes()),
        (README, text.into_bytes()),
    ];
    files.extend(results.log.map(|log| (LOG, log)));
    files.extend(results.junit.map(|junit| (JUNIT, junit)));
    let target = directory.join(minor.to_string()).join(&folder);
    write(&target, &files)?;
    let submission = Submission {
        title: Some(title(minor, &folder)),
        files: files
            .into_iter()
            .map(|(name, contents)| SubmittedFile {
                path: format!("{minor}/{folder}/{name}"),
                contents,
            })
            .collect(),
        ..Submission::default()
    };
    let judgement = judge(&submission, &required, latest().max(minor), Mode::Strict);
    print_table(&judgement, printer)?;
    printer.line(&steps(minor, &folder, &target, !refusals.is_empty()))?;
    Ok(exit::SUCCESS)
}

/// The description of the product, without errors.
fn description(path: &Path) -> Result<Product, CliError> {
    let what = format!("cannot read `{}`", path.display());
    let hint = "write the file with: sono conformance product init";
    let bytes = read(path, MAX_PRODUCT_BYTES).map_err(|error| error.hint(hint))?;
    let product = Product::read(&bytes).map_err(|error| CliError::new(&what).caused_by(&error).hint(hint))?;
    let failed: Vec<String> = check_product(&bytes)
        .into_iter()
        .filter(|finding| finding.verdict == Verdict::Failed)
        .map(|finding| format!("{}: {}", finding.place, finding.message))
        .collect();
    if failed.is_empty() {
        Ok(product)
    } else {
        Err(CliError::new("invalid description of the product")
            .details(failed)
            .hint(hint))
    }
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, CliError> {
    use std::io::Read as _;
    let what = format!("cannot read `{}`", path.display());
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
        .map_err(|error| CliError::new(&what).caused_by(&error))?;
    if bytes.len() as u64 > limit {
        return Err(CliError::new(&what).details([format!("the file has more than {limit} bytes")]));
    }
    Ok(bytes)
}

fn read_text(path: &Path, limit: u64) -> Result<String, CliError> {
    let bytes = read(path, limit)?;
    text_file::text(&bytes)
        .map_err(|error| CliError::new(format!("cannot read `{}`", path.display())).caused_by(&error))
}

/// The earliest accepted start of a run, RFC 3339 in UTC.
fn oldest() -> String {
    let age = SignedDuration::from_hours(24 * i64::from(MAX_AGE_DAYS));
    let oldest = clock::now().checked_sub(age).unwrap_or_default();
    format!("{oldest:.0}")
}

/// The given name of the folder, or the product's name in lower case with dashes.
fn folder_name(given: Option<String>, product: &Product) -> Result<String, CliError> {
    let name = given.unwrap_or_else(|| {
        let words = product.text("name").to_lowercase();
        let words = words.split(|letter: char| !letter.is_ascii_alphanumeric());
        words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-")
    });
    if is_product_name(&name) {
        Ok(name)
    } else {
        Err(CliError::new(format!("invalid name of a folder `{name}`"))
            .hint("name the folder with letters, digits and dashes: --folder NAME"))
    }
}

/// Writes the files. Files of another submission are not mixed with them.
fn write(folder: &Path, files: &[(&str, Vec<u8>)]) -> Result<(), CliError> {
    let what = format!("cannot write `{}`", folder.display());
    let failed = |error: &(dyn std::error::Error + 'static)| CliError::new(&what).caused_by(error);
    fs::create_dir_all(folder).map_err(|error| failed(&error))?;
    for entry in fs::read_dir(folder).map_err(|error| failed(&error))? {
        let name = entry.map_err(|error| failed(&error))?.file_name();
        if !FILES.iter().any(|known| name == **known) {
            return Err(CliError::new(&what)
                .details([format!("the folder has another file: `{}`", name.to_string_lossy())])
                .hint("select another directory with -C"));
        }
    }
    for name in FILES {
        let path: PathBuf = folder.join(name);
        match files.iter().find(|(written, _)| *written == name) {
            Some((_, contents)) => write_durably(&path, contents).map_err(|error| failed(&error))?,
            None if path.exists() => fs::remove_file(&path).map_err(|error| failed(&error))?,
            None => {}
        }
    }
    Ok(())
}

/// The steps that remain to the user.
fn steps(minor: Minor, folder: &str, target: &Path, draft: bool) -> Text {
    let mut lines = vec![format!("wrote {}", target.display())];
    if draft {
        lines.push("this is a draft, not a submission".to_owned());
    } else {
        let title = title(minor, folder);
        lines.extend([
            String::new(),
            "In a fork of https://github.com/cncf/k8s-conformance:".to_owned(),
            format!("  git checkout -b {minor}-{folder}"),
            format!("  git add {minor}/{folder}"),
            format!("  git commit -s -m '{title}'"),
            format!("  git push origin {minor}-{folder}"),
            format!("Then open a pull request with the title: {title}"),
        ]);
    }
    Text::lines(lines)
}
