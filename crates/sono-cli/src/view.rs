//! What is shown. Pure, but for [`screen`], which holds the terminal.

pub(crate) mod archive;
pub(crate) mod checks;
pub(crate) mod counts;
pub(crate) mod overview;
pub(crate) mod screen;
pub(crate) mod story;
pub(crate) mod table;
pub(crate) mod words;
