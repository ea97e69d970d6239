//! `sono report`.

use std::path::PathBuf;

use clap::Args;

const EXAMPLES: &str = "\
Examples:
  sono report                          the newest archive in the current directory
  sono report ARCHIVE -o report.html   write this file
  sono report ARCHIVE -o - | gzip      print the page
  sono run --mode quick --rm --report report.html";

/// `sono report`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Report {
    /// Archive, or directory with an extracted archive [default: the newest archive in the current directory]
    pub archive: Option<PathBuf>,
    /// File to write, or `-` for standard output [default: the archive's name with .html, in the current directory].
    ///
    /// An existing file is replaced only if it is empty or a report.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace any existing file
    #[arg(long)]
    pub force: bool,
    /// Rules to try first; a rule replaces the one with the same id
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// Read archives of any size, without a memory limit
    #[arg(long)]
    pub no_limits: bool,
}
