//! Results and description of the suite in an archive.

use std::{collections::BTreeMap, ops::ControlFlow, path::Path};

use sono_bundle::{Bundle, MemoryBudget};
use sono_conformance::{JUNIT, LOG, Minor, Run, SubmittedFile, description_files, namespace, result_file};
use sono_types::layout;

use crate::error::CliError;

/// Maximum number of file names of a plugin that are examined.
const MAX_NAMES: usize = 100_000;

/// The suite's part of an archive.
#[derive(Debug)]
pub(super) struct Results {
    pub(super) run: Run,
    pub(super) junit: Option<Vec<u8>>,
    pub(super) log: Option<Vec<u8>>,
}

impl Results {
    /// Reads an archive, or the directory to which it was unpacked.
    pub(super) fn read(path: &Path, plugin: &str) -> Result<Self, CliError> {
        let what = format!("cannot read `{}`", path.display());
        let failed = |error: &(dyn std::error::Error + 'static)| CliError::new(&what).caused_by(error);
        let bundle = Bundle::open(path).map_err(|error| failed(&error))?;
        let (junit, log) = (result_file(plugin, JUNIT), result_file(plugin, LOG));
        let config = bundle.read(layout::CONFIG).map_err(|error| failed(&error))?;
        let mut requested = description_files(plugin, &namespace(&config.unwrap_or_default()));
        requested.extend([junit.clone(), log.clone()]);
        let folder = format!("plugins/{plugin}/");
        let mut names = Vec::new();
        let mut memory = MemoryBudget::new(bundle.limits());
        let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        bundle
            .visit(&mut |name, content| {
                if name.starts_with(&folder) && names.len() < MAX_NAMES {
                    names.push(name.to_owned());
                }
                if requested.iter().any(|requested| requested == name) {
                    files.insert(name.to_owned(), memory.read(name, content)?);
                }
                Ok(ControlFlow::Continue(()))
            })
            .map_err(|error| failed(&error))?;
        if names.is_empty() {
            return Err(CliError::new(&what)
                .details([format!("the archive has no plugin `{plugin}`")])
                .hint("select the plugin that ran the suite: --plugin NAME"));
        }
        let run = Run::read(plugin, &files, &names);
        Ok(Self {
            run,
            junit: files.remove(&junit),
            log: files.remove(&log),
        })
    }

    /// The version: that of the flag, else that of the archive.
    pub(super) fn minor(&self, given: Option<Minor>, path: &Path) -> Result<Minor, CliError> {
        given.or_else(|| self.run.minor()).ok_or_else(|| {
            CliError::new(format!("`{}` does not have the version of Kubernetes", path.display()))
                .hint("set the version with --kubernetes-version")
        })
    }

    /// The files of a submission that the archive has.
    pub(super) fn files(self) -> Vec<SubmittedFile> {
        let file = |name: &str, contents: Option<Vec<u8>>| {
            contents.map(|contents| SubmittedFile {
                path: name.to_owned(),
                contents,
            })
        };
        [file(LOG, self.log), file(JUNIT, self.junit)]
            .into_iter()
            .flatten()
            .collect()
    }
}
