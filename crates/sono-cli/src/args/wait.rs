//! `sono wait`, and what all commands show that wait.

use clap::{Args, ValueEnum, builder::NonEmptyStringValueParser};

use super::{Place, WaitTime};

/// `sono wait`
#[derive(Debug, Args)]
pub struct Wait {
    #[command(flatten)]
    pub place: Place,
    /// Identity of the run; without it the newest one in the namespace
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub run: Option<String>,
    /// How long; minutes, or a duration such as 30m; 0 means no limit
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_value = "1440", default_missing_value = "1440")]
    pub wait: WaitTime,
    /// What is shown while waiting
    #[arg(long, value_enum, ignore_case = true, default_value_t = WaitOutput::usual())]
    pub wait_output: WaitOutput,
    /// End with a code that tells the outcome: 3 something failed, 4 not known to have passed, 5 the run failed, 6 still running when the time is over
    #[arg(long)]
    pub exit_code: bool,
}

/// What is shown while waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WaitOutput {
    /// Nothing but the end.
    Silent,
    /// As progress.
    Spinner,
    /// What happens: bars on a terminal, a line for each change elsewhere.
    Progress,
}

impl WaitOutput {
    /// What is shown unless a flag says otherwise; the variable is Sonobuoy's.
    pub(crate) fn usual() -> Self {
        match std::env::var("SONOBUOY_WAIT_PROGRESS").as_deref() {
            Ok("false") => Self::Silent,
            _ => Self::Progress,
        }
    }
}
