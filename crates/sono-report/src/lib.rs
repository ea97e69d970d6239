//! The report of a run: one HTML file with the verdict, causes, failures, tests and facts, readable without scripts and without
//! a network.
//!
//! The crate does no I/O and knows no clock: equal input gives equal bytes. All texts are untrusted: [`Html`] escapes them, the
//! data of the script is JSON without markup, and a Content-Security-Policy forbids every request and every other script.

mod html;
mod page;
mod sections;
mod words;

pub use html::Html;
pub use page::{Input, report, static_page};
