//! Tables on a terminal. Pure, apart from the terminal's width.
#![expect(clippy::disallowed_types, reason = "here they are wrapped")]

use comfy_table::{Cell, ColumnConstraint, ContentArrangement, Table, presets::NOTHING};

use super::text::{Text, Tone};

/// Columns of a terminal below which nobody reads, because it does not know its size.
const NARROWEST: u16 = 20;
/// Columns of one that does not know.
const USUAL: u16 = 80;

/// A table that fits the terminal.
#[derive(Debug)]
pub(crate) struct Grid(Table);

impl Grid {
    pub(crate) fn new(header: &[&'static str]) -> Self {
        let mut table = Table::new();
        table
            .load_style(NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic);
        if table.width().is_some_and(|width| width < NARROWEST) {
            table.set_width(USUAL);
        }
        table.set_header(header);
        Self(table)
    }

    /// The terminal's width, where there is one.
    pub(crate) fn width(&self) -> Option<usize> {
        self.0.width().map(usize::from)
    }

    /// Adds a row; the tone of a cell takes the place of its text's.
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

    /// The first columns are not wrapped.
    pub(crate) fn keep_whole(&mut self, columns: usize) {
        for column in self.0.column_iter_mut().take(columns) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }

    /// Its lines as they are laid out, without the blanks around them.
    pub(crate) fn lines(&self) -> Vec<Text> {
        self.0.lines().map(|line| Text::of_table(line).trimmed_row()).collect()
    }

    pub(crate) fn text(&self) -> Text {
        Text::of_table(self.0.to_string())
    }
}
