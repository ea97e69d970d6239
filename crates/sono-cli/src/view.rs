//! What is shown. Pure, but for [`screen`] and [`meter`], which hold the terminal.

pub(crate) mod archive;
pub(crate) mod checks;
pub(crate) mod counts;
pub(crate) mod meter;
pub(crate) mod overview;
pub(crate) mod reference;
pub(crate) mod screen;
pub(crate) mod sections;
pub(crate) mod story;
pub(crate) mod table;
pub(crate) mod words;
