//! Rendering. Pure, except for [`screen`] and [`meter`], which own the terminal.

pub(crate) mod archive;
pub(crate) mod checks;
pub(crate) mod counts;
pub(crate) mod diff;
pub(crate) mod failed_log;
pub(crate) mod history;
pub(crate) mod meter;
pub(crate) mod obstacles;
pub(crate) mod overview;
pub(crate) mod progress_log;
pub(crate) mod reference;
pub(crate) mod screen;
#[cfg(test)]
mod screens;
pub(crate) mod sections;
pub(crate) mod table;
pub(crate) mod why;
pub(crate) mod words;
