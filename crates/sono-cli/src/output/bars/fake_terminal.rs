//! A terminal in memory, for tests of bars.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use indicatif::{MultiProgress, ProgressDrawTarget, TermLike};

use super::Stack;

#[derive(Debug, Default)]
struct Screen {
    rows: Vec<String>,
    cursor: usize,
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

    /// Visible lines.
    pub(crate) fn text(&self) -> String {
        self.screen().rows.join("\n")
    }

    fn screen(&self) -> MutexGuard<'_, Screen> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The line of the cursor.
    fn edit(&self, change: impl FnOnce(&mut String)) {
        let mut screen = self.screen();
        let cursor = screen.cursor;
        if screen.rows.len() <= cursor {
            screen.rows.resize(cursor + 1, String::new());
        }
        change(&mut screen.rows[cursor]);
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
        screen.cursor = screen.cursor.saturating_sub(lines);
        Ok(())
    }

    fn move_cursor_down(&self, lines: usize) -> io::Result<()> {
        self.screen().cursor += lines;
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)?;
        self.screen().cursor += 1;
        Ok(())
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.edit(|row| row.push_str(text));
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.edit(String::clear);
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}
