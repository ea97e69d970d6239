//! `sono rules`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `sono rules`
#[derive(Debug, Args)]
pub struct Rules {
    /// Action.
    #[command(subcommand)]
    pub action: RulesAction,
}

/// Action on rules.
#[derive(Debug, Subcommand)]
pub enum RulesAction {
    /// List the rules in the order in which they are tried
    List(RulesList),
    /// Check that a rule file can be read
    Lint(RulesLint),
    /// Run the examples of rules
    Test(RulesTest),
}

/// Output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RulesOutput {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// `sono rules list`
#[derive(Debug, Args)]
pub struct RulesList {
    /// Rules to try first; a rule replaces the one with the same id
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// Output format
    #[arg(short, long, value_enum, default_value_t = RulesOutput::Table)]
    pub output: RulesOutput,
}

/// `sono rules lint`
#[derive(Debug, Args)]
pub struct RulesLint {
    /// Rule file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// `sono rules test`
#[derive(Debug, Args)]
pub struct RulesTest {
    /// Rule file; its rules are tried before those of this program [default: only the latter]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
}
