//! `sono modes`.

use sono_manifest::{Mode, Selection};
use sono_types::exit;

use crate::{
    args,
    error::CliError,
    output::{Printer, Text, text},
};

/// Bytes that a line shows unless all is asked for.
const SHOWN: usize = 200;

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
        match line.get(..SHOWN) {
            Some(start) if !whole && line.len() > SHOWN => format!("{start}... (truncated) ..."),
            _ => line,
        }
    };
    text![Text::lines(lines.map(line)), Text::own("\n")]
}
