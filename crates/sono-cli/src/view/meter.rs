//! Progress bar of a transfer, on a terminal only.

use crate::output::{Bar, Printer};

/// Progress bar, removed on drop.
#[derive(Debug)]
pub(crate) struct Meter(Bar);

impl Meter {
    /// Bar for `size` bytes, or for an unknown size.
    pub(crate) fn new(printer: &Printer, what: &str, size: Option<u64>) -> Self {
        if !printer.is_terminal() {
            return Self(Bar::hidden());
        }
        let template = match size {
            Some(_) => "{msg}  {bar:20}  {binary_bytes} of {binary_total_bytes}  {binary_bytes_per_sec}  {eta} left",
            None => "{msg}  {binary_bytes}  {binary_bytes_per_sec}  {elapsed}",
        };
        let bar = Bar::alone(template, size);
        bar.set_message(what);
        Self(bar)
    }

    /// Sets the number of transferred bytes.
    pub(crate) fn set(&self, bytes: u64) {
        self.0.set_position(bytes);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.0.clear();
    }
}
