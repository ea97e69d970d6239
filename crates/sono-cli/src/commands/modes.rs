//! `sono modes`.

use sono_manifest::{Mode, Selection};
use sono_types::exit;

use crate::{
    args,
    error::CliError,
    output::{Printer, Text, text},
};

/// Maximum length of a line without `--verbose`.
const MAX_LINE: usize = 200;

pub(super) fn modes(arguments: &args::Modes, printer: &Printer) -> Result<u8, CliError> {
    let blocks = Mode::ALL.map(|mode| block(mode, arguments.verbose));
    printer.print(&Text::lines(blocks))?;
    Ok(exit::SUCCESS)
}

fn block(mode: Mode, whole: bool) -> Text {
    let Selection { focus, skip, parallel } = mode.selection();
    let lines = [
        ("Mode", mode.name()),
        ("Description", mode.description()),
        ("E2E_FOCUS", &focus),
        ("E2E_SKIP", &skip),
        ("E2E_PARALLEL", &parallel),
    ];
    let line = |(name, value): (&str, &str)| {
        let line = format!("{name}: {value}");
        match line.get(..MAX_LINE) {
            Some(start) if !whole && line.len() > MAX_LINE => format!("{start}... (truncated) ..."),
            _ => line,
        }
    };
    text![Text::lines(lines.map(line)), Text::own("\n")]
}
