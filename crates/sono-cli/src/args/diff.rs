//! `sono diff`.

use std::path::PathBuf;

use clap::{
    Args, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use sono_analysis::Change;

use super::HistoryPlace;

const EXAMPLES: &str = "\
Examples:
  sono diff latest~1 latest                            the last two runs on a cluster
  sono diff before.tar.gz after.tar.gz                 what changed
  sono diff before.tar.gz after.tar.gz --only fixed    the tests that pass again
  sono diff before.tar.gz after.tar.gz -o markdown     for a comment or an issue";

/// `sono diff`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Diff {
    /// Earlier run: archive, directory with an extracted archive, id of a run in the history, or latest~1
    #[arg(value_name = "A")]
    pub before: PathBuf,
    /// Later run, in one of the same forms
    #[arg(value_name = "B")]
    pub after: PathBuf,
    /// Compare only this plugin
    #[arg(short, long, value_name = "NAME")]
    pub plugin: Option<String>,
    /// Output format: table, markdown or html for people, json for programs
    #[arg(short, long, value_enum, default_value_t = DiffOutput::Table)]
    pub output: DiffOutput,
    /// Show only changes of these classes, separated by commas
    #[arg(long, value_name = "CLASSES", value_delimiter = ',', hide_possible_values = true, value_parser = classes())]
    pub only: Vec<Change>,
    /// Classes of changes for which the exit code is 3, separated by commas
    #[arg(
        long,
        value_name = "CLASSES",
        value_delimiter = ',',
        default_value = "regression,infrastructure,new-failure",
        hide_possible_values = true,
        value_parser = classes()
    )]
    pub fail_on: Vec<Change>,
    #[command(flatten)]
    pub place: HistoryPlace,
    /// Do not use the history for known flakes
    #[arg(long, conflicts_with = "directory", hide_short_help = true)]
    pub no_history: bool,
    /// Read archives of any size, without a memory limit
    #[arg(long)]
    pub no_limits: bool,
}

/// Output format of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DiffOutput {
    /// Changes by class.
    Table,
    /// The same for programs.
    Json,
    /// For a comment or an issue.
    Markdown,
    /// One page that needs no network.
    Html,
}

fn classes() -> impl TypedValueParser<Value = Change> {
    let classes = Change::ALL.into_iter();
    PossibleValuesParser::new(classes.map(Change::as_str)).map(|word| {
        let change = Change::ALL.into_iter().find(|change| change.as_str() == word);
        change.unwrap_or(Change::Regression)
    })
}
