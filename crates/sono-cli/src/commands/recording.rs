//! The history of runs: where it is, and the recording of runs. Recording never fails a command.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use sono_bundle::Bundle;
use sono_history::{Added, Entry, History, Listing, RunKind, RunReference};
use sono_types::error_chain;

use super::cards;
use crate::{
    args::{HistoryPlace, Recording},
    clock::now,
    error::CliError,
    output::Printer,
};

/// Directory of the history, or `off`.
const VARIABLE: &str = "SONO_HISTORY";
const OFF: &str = "off";
/// Maximum number of cards that cannot be read and are reported one by one.
const MAX_SHOWN: usize = 3;

/// The history; `None` if it is off, or without a home directory.
pub(super) fn history(place: &HistoryPlace) -> Option<History> {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    directory(place.directory.as_deref(), variable).map(History::new)
}

/// The history, if a command requires it.
pub(super) fn required(place: &HistoryPlace) -> Result<History, CliError> {
    history(place).ok_or_else(|| {
        CliError::new("there is no history: SONO_HISTORY is off, or HOME is not set").hint("set --history DIR")
    })
}

fn directory(given: Option<&Path>, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if let Some(given) = given {
        return Some(given.to_path_buf());
    }
    match variable(VARIABLE) {
        Some(value) if value == OFF => return None,
        Some(value) => return Some(value.into()),
        None => {}
    }
    // A relative path is invalid: see the XDG Base Directory Specification.
    let state = variable("XDG_STATE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let local = || variable("LOCALAPPDATA").map(PathBuf::from).filter(|_| cfg!(windows));
    let of_home = || Some(PathBuf::from(variable("HOME")?).join(".local").join("state"));
    Some(state.or_else(local).or_else(of_home)?.join("sono").join("history"))
}

/// Records the run in an archive that was retrieved or written just now. Archives without a card are not recorded.
pub(super) fn record(archive: &Path, recording: &Recording, printer: &Printer) {
    if recording.no_history {
        return;
    }
    let Some(history) = history(&recording.place) else {
        return;
    };
    let card = Bundle::open(archive)
        .map_err(|error| CliError::of_archive(error.to_string(), &error))
        .and_then(|bundle| cards::stored(&bundle));
    let recorded = match card {
        Ok(Some(card)) => history.record(&card, Added::JustEnded, now()),
        Ok(None) => return,
        Err(error) => {
            tracing::debug!(error = error.lines().join(": "), "cannot read the card");
            return;
        }
    };
    if let Err(error) = recorded {
        printer.note(&format!(
            "warning: the run is not in the history: {}",
            error_chain(&error)
        ));
    }
}

/// The runs in the history, the oldest first. Cards that cannot be read are warnings.
pub(super) fn list(history: &History, printer: &Printer) -> Result<Vec<Entry>, CliError> {
    let Listing { entries, problems } = history
        .list()
        .map_err(|error| CliError::new("cannot read the history").caused_by(&error))?;
    for problem in problems.iter().take(MAX_SHOWN) {
        printer.note(&format!("warning: {}", error_chain(problem)));
    }
    if problems.len() > MAX_SHOWN {
        printer.note(&format!("warning: and {} more cards", problems.len() - MAX_SHOWN));
    }
    Ok(entries)
}

/// The run with a name such as `latest~1`, among runs of the given kind or of that of the newest run.
pub(super) fn find<'a>(
    reference: &RunReference,
    entries: &'a [Entry],
    kind: Option<RunKind<'_>>,
) -> Result<&'a Entry, CliError> {
    reference
        .find(entries, kind)
        .map_err(|error| CliError::new(error.to_string()).hint("list the runs: sono history list"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_is_in_the_state_directory_unless_set() {
        let found = |given: Option<&str>, variables: &[(&str, &str)]| {
            let value = |name: &str| {
                variables
                    .iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| value.into())
            };
            directory(given.map(Path::new), value).map(|path| path.display().to_string())
        };
        for (given, variables, expected) in [
            (None, &[][..], None),
            (None, &[("HOME", "/h")], Some("/h/.local/state/sono/history")),
            (
                None,
                &[("HOME", "/h"), ("XDG_STATE_HOME", "/s")],
                Some("/s/sono/history"),
            ),
            (
                None,
                &[("HOME", "/h"), ("XDG_STATE_HOME", "s")],
                Some("/h/.local/state/sono/history"),
            ),
            (None, &[("HOME", "/h"), ("SONO_HISTORY", "/x")], Some("/x")),
            (None, &[("HOME", "/h"), ("SONO_HISTORY", "off")], None),
            (Some("d"), &[("SONO_HISTORY", "off")], Some("d")),
        ] {
            if cfg!(unix) {
                assert_eq!(found(given, variables).as_deref(), expected, "{given:?} {variables:?}");
            }
        }
    }
}
