//! Progress bars on a terminal. Like [`super::Printer`], they accept only [`Text`].
#![expect(clippy::disallowed_types, reason = "this module wraps them")]

#[cfg(test)]
mod fake_terminal;

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

#[cfg(test)]
pub(crate) use self::fake_terminal::FakeTerminal;
use super::{on_stderr, text::Text};

/// Characters for the done, current and open parts of a bar.
const BAR_CHARACTERS: &str = "━╸─";

/// Progress bar or status line.
#[derive(Debug)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// Bar that shows nothing.
    pub(crate) fn hidden() -> Self {
        Self(ProgressBar::hidden())
    }

    /// Single bar on standard error.
    pub(crate) fn alone(template: &'static str, length: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
        bar.set_style(style(template));
        Self(bar)
    }

    /// Sets `{msg}` of the template.
    pub(crate) fn set_message(&self, text: impl Into<Text>) {
        self.0.set_message(on_stderr(&text.into()));
    }

    /// Sets `{prefix}` of the template.
    pub(crate) fn set_prefix(&self, text: impl Into<Text>) {
        self.0.set_prefix(on_stderr(&text.into()));
    }

    pub(crate) fn set_length(&self, length: u64) {
        self.0.set_length(length);
    }

    pub(crate) fn set_position(&self, position: u64) {
        self.0.set_position(position);
    }

    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

/// Bars below each other, on standard error.
#[derive(Debug)]
pub(crate) struct Stack(MultiProgress);

impl Stack {
    pub(crate) fn new() -> Self {
        Self(MultiProgress::with_draw_target(ProgressDrawTarget::stderr()))
    }

    /// Adds a bar without a length.
    pub(crate) fn add(&self, template: &'static str) -> Bar {
        let bar = self.0.add(ProgressBar::no_length());
        bar.set_style(style(template));
        Bar(bar)
    }

    /// Adds a spinner with a steady tick.
    pub(crate) fn add_spinner(&self) -> Bar {
        let bar = self.0.add(ProgressBar::new_spinner());
        bar.enable_steady_tick(Duration::from_millis(120));
        Bar(bar)
    }

    /// Writes a line above the bars.
    pub(crate) fn line(&self, text: &Text) {
        // The next write reports a closed terminal.
        drop(self.0.println(on_stderr(text)));
    }
}

fn style(template: &'static str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("the template is a constant")
        .progress_chars(BAR_CHARACTERS)
}
