//! Bars that repaint themselves on a terminal. Like [`super::Printer`] they take nothing but [`Text`].
#![expect(clippy::disallowed_types, reason = "here they are wrapped")]

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{on_stderr, text::Text};

/// Characters of a bar.
const PARTS: &str = "━╸─";

/// A bar, or a line in its place.
#[derive(Debug)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// Shows nothing.
    pub(crate) fn hidden() -> Self {
        Self(ProgressBar::hidden())
    }

    /// On standard error, alone.
    pub(crate) fn alone(template: &'static str, length: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
        bar.set_style(style(template));
        Self(bar)
    }

    /// What `{msg}` of the template is.
    pub(crate) fn set_message(&self, text: impl Into<Text>) {
        self.0.set_message(on_stderr(&text.into()));
    }

    /// What `{prefix}` of the template is.
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

    /// Adds a spinner that turns by itself.
    pub(crate) fn add_spinner(&self) -> Bar {
        let bar = self.0.add(ProgressBar::new_spinner());
        bar.enable_steady_tick(Duration::from_millis(120));
        Bar(bar)
    }

    /// Writes a line above the bars.
    pub(crate) fn line(&self, text: &Text) {
        // A terminal that goes away is found out by the next write.
        drop(self.0.println(on_stderr(text)));
    }
}

fn style(template: &'static str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("the template is a constant")
        .progress_chars(PARTS)
}
