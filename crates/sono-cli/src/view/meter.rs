//! How far a transfer is, on a terminal; nothing elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Printer;

/// A bar that goes away when it is dropped.
#[derive(Debug)]
pub(crate) struct Meter(ProgressBar);

impl Meter {
    /// For that many bytes, or for an unknown number of them.
    pub(crate) fn new(printer: &Printer, what: &str, size: Option<u64>) -> Self {
        if !printer.is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::with_draw_target(size, ProgressDrawTarget::stderr());
        let template = match size {
            Some(_) => "{msg}  {bar:20}  {binary_bytes} of {binary_total_bytes}  {binary_bytes_per_sec}  {eta} left",
            None => "{msg}  {binary_bytes}  {binary_bytes_per_sec}  {elapsed}",
        };
        let style = ProgressStyle::with_template(template).expect("the template is a constant");
        bar.set_style(style.progress_chars(super::screen::BAR));
        bar.set_message(what.to_owned());
        Self(bar)
    }

    /// So many bytes are there.
    pub(crate) fn set(&self, bytes: u64) {
        self.0.set_position(bytes);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
