//! Tables on a terminal. Pure, except for the terminal's width.
#![expect(clippy::disallowed_types, reason = "this module wraps them")]

use comfy_table::{Cell, ColumnConstraint, ContentArrangement, Table, presets::NOTHING};

use super::text::{Text, Tone};

/// Minimum plausible width. A terminal that reports less does not know its size.
const MIN_WIDTH: u16 = 20;
/// Width of a terminal of unknown size.
const DEFAULT_WIDTH: u16 = 80;

/// A table that fits the terminal.
#[derive(Debug)]
pub(crate) struct Grid(Table);

impl Grid {
    pub(crate) fn new(header: &[&'static str]) -> Self {
        let mut table = Table::new();
        table
            .load_style(NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic);
        if table.width().is_some_and(|width| width < MIN_WIDTH) {
            table.set_width(DEFAULT_WIDTH);
        }
        table.set_header(header);
        Self(table)
    }

    /// A table of at most this width.
    pub(crate) fn within(header: &[&'static str], width: Option<usize>) -> Self {
        let mut grid = Self::new(header);
        if let Some(width) = width.and_then(|width| u16::try_from(width).ok()) {
            grid.0.set_width(width);
        }
        grid
    }

    /// Width of the terminal, if any.
    pub(crate) fn width(&self) -> Option<usize> {
        self.0.width().map(usize::from)
    }

    /// Adds a row. The tone of a cell overrides the style of its text.
    pub(crate) fn row<T: Into<Text>>(&mut self, cells: impl IntoIterator<Item = (T, Tone)>) {
        let cells = cells.into_iter().map(|(text, tone)| {
            let cell = Cell::new(text.into().plain());
            match tone {
                Tone::Good => cell.fg(comfy_table::Color::Green),
                Tone::Bad => cell.fg(comfy_table::Color::Red),
                Tone::Unsure => cell.fg(comfy_table::Color::Yellow),
                Tone::Plain => cell,
            }
        });
        self.0.add_row(cells.collect::<Vec<_>>());
    }

    /// Disables wrapping in the first columns.
    pub(crate) fn disable_wrapping(&mut self, columns: usize) {
        for column in self.0.column_iter_mut().take(columns) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }

    /// Lines of the table, trimmed.
    pub(crate) fn lines(&self) -> Vec<Text> {
        self.0.lines().map(|line| Text::of_table(line).trimmed_row()).collect()
    }

    pub(crate) fn text(&self) -> Text {
        Text::of_table(self.0.to_string())
    }
}
