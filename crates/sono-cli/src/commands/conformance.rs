//! `sono conformance`: the tests that Kubernetes requires, and submissions to CNCF. Without network.

mod check;
mod folder;
mod list;
mod product;
mod results;
mod submit;

use std::path::Path;

use fs_err as fs;
use sono_conformance::{Minor, RequiredTests};

use crate::{
    args::{self, ConformanceAction, ConformanceProductAction, ConformanceVersion},
    error::CliError,
    output::Printer,
    text_file,
};

/// Maximum size of a list of required tests. That of Kubernetes has 250 kB.
const MAX_LIST_BYTES: u64 = 64 << 20;

pub(super) fn conformance(arguments: args::Conformance, printer: &Printer) -> Result<u8, CliError> {
    let args::Conformance { action } = arguments;
    match action {
        ConformanceAction::List(arguments) => list::list(&arguments, printer),
        ConformanceAction::Check(arguments) => check::check(arguments, printer),
        ConformanceAction::Submit(arguments) => submit::submit(*arguments, printer),
        ConformanceAction::Product(args::ConformanceProduct { action }) => match action {
            ConformanceProductAction::Init(arguments) => product::init(*arguments, printer),
        },
    }
}

/// The version of the flag, if given. The word `auto`, which the flag's variable may have for runs, is not one.
fn given_version(version: &ConformanceVersion) -> Result<Option<Minor>, CliError> {
    let given = version.kubernetes_version.as_deref();
    given.filter(|text| *text != "auto").map(minor).transpose()
}

fn minor(text: &str) -> Result<Minor, CliError> {
    text.parse().map_err(|error| {
        let error: sono_conformance::InvalidMinor = error;
        CliError::new(error.to_string()).hint("write a version such as v1.37")
    })
}

/// The lists of required tests; that of `minor` from the user's file, if given.
fn required_tests(version: &ConformanceVersion, minor: Minor) -> Result<RequiredTests, CliError> {
    let lists = RequiredTests::embedded();
    let Some(path) = version.required.as_deref() else {
        return Ok(lists);
    };
    let what = format!("cannot read `{}`", path.display());
    let file = fs::File::open(path).map_err(|error| CliError::new(&what).caused_by(&error))?;
    let text = text_file::read_from(file, MAX_LIST_BYTES).map_err(|error| CliError::new(&what).caused_by(&error))?;
    lists.with_yaml(&text, minor).map_err(|error| {
        CliError::new(&what)
            .caused_by(&error)
            .hint("get the list from the image of the suite: e2e.test --list-conformance-tests")
    })
}

/// The newest version with a list.
fn latest() -> Minor {
    RequiredTests::embedded().latest().unwrap_or(Minor::of(0))
}

/// Whether a path is a submission folder rather than an archive, or the directory to which one was unpacked.
fn is_folder(path: &Path) -> bool {
    path.is_dir() && !path.join("plugins").is_dir()
}
