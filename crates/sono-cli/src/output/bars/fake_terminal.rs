//! A terminal in memory, for tests of bars.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use indicatif::{MultiProgress, ProgressDrawTarget, TermLike};

use super::Stack;

#[derive(Debug, Default)]
struct Screen {
    rows: Vec<Vec<char>>,
    row: usize,
    /// The width after the last column: the next character begins a row.
    column: usize,
}

impl Screen {
    fn put(&mut self, character: char, width: usize) {
        match character {
            '\r' => self.column = 0,
            '\n' => self.begin_row(),
            _ => {
                if self.column == width {
                    self.begin_row();
                }
                let column = self.column;
                let row = self.current();
                row.resize(row.len().max(column + 1), ' ');
                row[column] = character;
                self.column += 1;
            }
        }
    }

    fn begin_row(&mut self) {
        self.row += 1;
        self.column = 0;
    }

    fn current(&mut self) -> &mut Vec<char> {
        let rows = self.rows.len().max(self.row + 1);
        self.rows.resize(rows, Vec::new());
        &mut self.rows[self.row]
    }
}

/// A terminal of a width. Clones share their screen.
#[derive(Debug, Clone)]
pub(crate) struct FakeTerminal {
    width: u16,
    screen: Arc<Mutex<Screen>>,
}

impl FakeTerminal {
    pub(crate) fn new(width: u16) -> Self {
        Self {
            width,
            screen: Arc::default(),
        }
    }

    /// Visible lines, without colours.
    pub(crate) fn text(&self) -> String {
        let rows = &self.screen().rows;
        let lines = rows
            .iter()
            .map(|row| row.iter().collect::<String>().trim_end().to_owned());
        lines.collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }

    fn screen(&self) -> MutexGuard<'_, Screen> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stack {
    /// Bars on this terminal.
    pub(crate) fn on(terminal: &FakeTerminal) -> Self {
        let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
        Self(MultiProgress::with_draw_target(target))
    }
}

impl TermLike for FakeTerminal {
    fn width(&self) -> u16 {
        self.width
    }

    fn move_cursor_up(&self, lines: usize) -> io::Result<()> {
        let mut screen = self.screen();
        screen.row = screen.row.saturating_sub(lines);
        Ok(())
    }

    fn move_cursor_down(&self, lines: usize) -> io::Result<()> {
        self.screen().row += lines;
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(&format!("{text}\n"))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        let mut screen = self.screen();
        for character in anstream::adapter::strip_str(text).to_string().chars() {
            screen.put(character, usize::from(self.width));
        }
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        let mut screen = self.screen();
        screen.current().clear();
        screen.column = 0;
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}
