//! `sono wait`, and the output of all commands that wait.

use clap::{Args, ValueEnum, builder::NonEmptyStringValueParser};

use super::{RunLocation, WaitTime};

/// `sono wait`
#[derive(Debug, Args)]
pub struct Wait {
    #[command(flatten)]
    pub location: RunLocation,
    /// ID of the run [default: the newest in the namespace]
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub run: Option<String>,
    /// Time limit: a duration such as 30m, or a number of minutes; 0 means no limit
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_value = "24h", default_missing_value = "24h")]
    pub wait: WaitTime,
    /// Output while waiting
    #[arg(long, value_enum, ignore_case = true, default_value_t = WaitOutput::from_environment())]
    pub wait_output: WaitOutput,
    /// Exit with a code for the outcome.
    ///
    /// 3: a result failed, 4: a result is unknown, 5: the run failed, 6: the run is still active at the time limit.
    #[arg(long)]
    pub exit_code: bool,
}

/// Output while waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WaitOutput {
    /// Only the outcome.
    Silent,
    /// Same as progress.
    Spinner,
    /// Progress bars on a terminal, otherwise one line for each change.
    Progress,
}

impl WaitOutput {
    /// Default of `--wait-output`; Sonobuoy's variable can silence it.
    pub(crate) fn from_environment() -> Self {
        match std::env::var("SONOBUOY_WAIT_PROGRESS").as_deref() {
            Ok("false") => Self::Silent,
            _ => Self::Progress,
        }
    }
}
