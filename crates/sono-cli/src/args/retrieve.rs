//! `sono retrieve`.

use std::path::PathBuf;

use clap::{Args, builder::NonEmptyStringValueParser};
use sono_types::constants;

use super::Place;

/// `sono retrieve`
#[derive(Debug, Args)]
pub struct Retrieve {
    /// Directory to put it into
    #[arg(default_value = ".")]
    pub path: PathBuf,
    #[command(flatten)]
    pub place: Place,
    /// Identity of the run; without it the newest one in the namespace
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub run: Option<String>,
    /// Another name for the file, relative to the directory. Replaces an empty file or an archive of a run of that name
    #[arg(short, long, value_name = "NAME")]
    pub filename: Option<PathBuf>,
    /// Replace whatever file is called --filename
    #[arg(long, requires = "filename")]
    pub force: bool,
    /// Extract it into the directory instead of keeping it. Files of the same names are replaced, others stay
    #[arg(short = 'x', long)]
    pub extract: bool,
    /// Where the aggregator keeps archives
    #[arg(long, value_name = "DIRECTORY", default_value = constants::AGGREGATOR_DIR)]
    pub retrieve_path: String,
    /// Fetch what a run that still goes on has collected so far
    #[arg(long)]
    pub partial: bool,
    /// Of the archives in the directory keep only this many, the newest, and remove the others once this one is there. Other files stay
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..),
        conflicts_with_all = ["extract", "filename", "partial"])]
    pub keep: Option<u32>,
    /// Write as much as the cluster sends, even where that fills the disk
    #[arg(long)]
    pub no_limits: bool,
}

impl Retrieve {
    /// The archive of that run, into the current directory.
    pub(crate) fn into_this_directory(place: Place, keep: Option<u32>) -> Self {
        Self {
            path: PathBuf::from("."),
            place,
            run: None,
            filename: None,
            force: false,
            extract: false,
            retrieve_path: constants::AGGREGATOR_DIR.to_owned(),
            partial: false,
            keep,
            no_limits: false,
        }
    }
}
