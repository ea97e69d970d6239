//! `sono modes`.

use sono_manifest::{Mode, Selection};
use sono_types::exit;

use crate::{args, error::CliError, output::Printer};

/// Bytes that a line shows unless all is asked for.
const SHOWN: usize = 200;

pub(super) fn modes(arguments: &args::Modes, printer: &Printer) -> Result<u8, CliError> {
    let blocks = Mode::ALL.map(|mode| block(mode, arguments.verbose));
    printer.data(blocks.join("\n").as_bytes())?;
    Ok(exit::SUCCESS)
}

fn block(mode: Mode, whole: bool) -> String {
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
            Some(start) if !whole && line.len() > SHOWN => format!("{start}... (truncated) ...\n"),
            _ => format!("{line}\n"),
        }
    };
    lines.map(line).concat()
}
