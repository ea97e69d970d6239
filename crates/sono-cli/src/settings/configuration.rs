//! The configuration file (cli spec §19).

use std::path::Path;

use sono_manifest::closest;
use sono_types::Config;

use crate::{error::CliError, output::Printer};

/// Reads it over the defaults. Keys that mean nothing, as files for older versions have, are named.
pub(crate) fn read(path: &Path, printer: &Printer) -> Result<Config, CliError> {
    let file = path.display();
    let what = format!("cannot use the configuration file `{file}`");
    let text = fs_err::read_to_string(path).map_err(|error| CliError::new(&what).caused_by(&error))?;
    let config = Config::from_json(&text).map_err(|error| CliError::new(&what).caused_by(&error))?;
    for (key, known) in Config::unknown_keys(&text) {
        let (above, name) = key
            .rsplit_once('.')
            .map_or(("", key.as_str()), |(above, name)| (above, name));
        let nearest = closest(name, known).map_or_else(String::new, |nearest| {
            let dot = if above.is_empty() { "" } else { "." };
            format!(" (did you mean {above}{dot}{nearest}?)")
        });
        printer.note(&format!("warning: {file}: unknown key `{key}` has no effect{nearest}"));
    }
    Ok(config)
}
