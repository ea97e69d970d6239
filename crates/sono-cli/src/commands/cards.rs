//! Cards of runs in archives.

use std::{io::Read as _, ops::ControlFlow};

use sono_analysis::{Card, Rules, explain};
use sono_bundle::{Bundle, ReadError};
use sono_redact::{Layers, Redactions, Redactor};
use sono_types::layout;

use super::failures;
use crate::error::CliError;

/// Maximum size of a card in an archive in bytes.
const MAX_CARD_BYTES: u64 = 64 << 20;
/// Directory that follows those with facts about the run. Archives are sorted.
const PLUGINS: &str = "plugins/";

/// The card that the aggregator stored; `None` if the archive has none that this program can read.
pub(super) fn stored(bundle: &Bundle) -> Result<Option<Card>, CliError> {
    let mut text = None;
    let visited = bundle.visit(&mut |name, content| {
        if name == layout::CARD {
            let mut bytes = Vec::new();
            content.take(MAX_CARD_BYTES).read_to_end(&mut bytes)?;
            text = Some(bytes);
            return Ok(ControlFlow::Break(()));
        }
        // The rest of the archive may be large.
        Ok(if name.starts_with(PLUGINS) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    });
    visited.map_err(|error| unreadable(&error))?;
    let Some(text) = text else { return Ok(None) };
    match Card::parse(&text) {
        Ok(card) => Ok(Some(card)),
        Err(error) => {
            tracing::debug!(%error, "the stored card cannot be used");
            Ok(None)
        }
    }
}

/// The card of an archive, derived from its content if the aggregator stored none. Texts of failures are redacted then.
pub(super) fn of_archive(bundle: &Bundle) -> Result<Card, CliError> {
    if let Some(card) = stored(bundle)? {
        return Ok(card);
    }
    let rules = Rules::built_in().map_err(|error| CliError::new("cannot read the rules").caused_by(&error))?;
    let read = failures::with_card(bundle, None)?;
    let why = explain(&rules, &read.texts.outputs, &read.texts.logs);
    let mut card = read.texts.card.map(|parts| parts.card(&why)).unwrap_or_default();
    let (redactor, mut found) = (Redactor::default(), Redactions::default());
    for failure in card.plugins.iter_mut().flat_map(|plugin| &mut plugin.failures) {
        failure.first = redactor.text(&failure.first, Layers::All, &mut found).into_owned();
    }
    Ok(card)
}

fn unreadable(error: &ReadError) -> CliError {
    CliError::of_archive(error.to_string(), error)
}
