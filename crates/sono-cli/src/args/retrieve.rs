//! `sono retrieve`.

use std::path::PathBuf;

use clap::{Args, builder::NonEmptyStringValueParser};
use sono_types::constants;

use super::{HistoryPlace, Recording, RunLocation};

/// `sono retrieve`
#[derive(Debug, Args)]
pub struct Retrieve {
    /// Directory to write the archive to
    #[arg(default_value = ".")]
    pub path: PathBuf,
    #[command(flatten)]
    pub location: RunLocation,
    /// ID of the run [default: the newest in the namespace]
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub run: Option<String>,
    /// File name of the archive, relative to the directory.
    ///
    /// An existing file is replaced only if it is empty or an archive of a run.
    #[arg(short, long, value_name = "NAME")]
    pub filename: Option<PathBuf>,
    /// Replace any existing file at --filename
    #[arg(long, requires = "filename")]
    pub force: bool,
    /// Extract the archive into the directory and do not store the archive itself.
    ///
    /// Files of the same name are replaced; other files do not change.
    #[arg(short = 'x', long)]
    pub extract: bool,
    /// Directory of archives in the aggregator
    #[arg(long, value_name = "DIRECTORY", default_value = constants::AGGREGATOR_DIR)]
    pub retrieve_path: String,
    /// Fetch the results that an unfinished run has collected so far
    #[arg(long)]
    pub partial: bool,
    /// Number of archives to retain in the directory, newest first.
    ///
    /// Older archives are removed after this one is complete; other files are not.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..),
        conflicts_with_all = ["extract", "filename", "partial"])]
    pub keep: Option<u32>,
    /// Also write a report about the run, one HTML file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["extract", "partial"])]
    pub report: Option<PathBuf>,
    #[command(flatten)]
    pub recording: Recording,
    /// Ignore size limits, even if the archive fills the disk
    #[arg(long)]
    pub no_limits: bool,
}

impl Retrieve {
    /// Retrieves the archive of a run into the current directory.
    pub(crate) fn into_this_directory(location: RunLocation, keep: Option<u32>) -> Self {
        Self {
            path: PathBuf::from("."),
            location,
            run: None,
            filename: None,
            force: false,
            extract: false,
            retrieve_path: constants::AGGREGATOR_DIR.to_owned(),
            partial: false,
            keep,
            report: None,
            recording: Recording {
                place: HistoryPlace { directory: None },
                no_history: true,
            },
            no_limits: false,
        }
    }
}
