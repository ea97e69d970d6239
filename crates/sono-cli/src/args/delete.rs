//! `sono delete`.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{Place, WaitOutput, WaitTime};

/// How long `run --rm` waits for the deletion.
const DELETION: Duration = Duration::from_mins(10);

/// `sono delete`
#[derive(Debug, Args)]
pub struct Delete {
    #[command(flatten)]
    pub place: Place,
    /// Wait until all is gone; minutes, or a duration such as 30m [bare: 60]
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "60", conflicts_with = "dry_run")]
    pub wait: Option<WaitTime>,
    /// What is shown while waiting
    #[arg(long, value_enum, ignore_case = true, default_value_t = WaitOutput::Progress)]
    pub wait_output: WaitOutput,
    /// Also the roles of all other runs, and namespaces that e2e tests left behind
    #[arg(long)]
    pub all: bool,
    /// Whether cluster roles are deleted; `Detect` asks whether that is allowed
    #[arg(long, value_enum, ignore_case = true, default_value_t = DeleteRoles::Detect)]
    pub rbac: DeleteRoles,
    /// Say what would be deleted
    #[arg(long)]
    pub dry_run: bool,
    /// An account that may not watch what it deletes does not wait.
    #[arg(skip)]
    pub tolerant: bool,
}

/// Whether a run's cluster roles are deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeleteRoles {
    /// They must be.
    Enable,
    /// They are left.
    Disable,
    /// Where the account may.
    Detect,
}

impl Delete {
    /// That run, and waits until it is deleted. Cluster roles are its own where it `made_roles`.
    pub(crate) fn of_run(place: Place, made_roles: bool) -> Self {
        Self {
            place,
            wait: Some(WaitTime(DELETION)),
            wait_output: WaitOutput::Progress,
            all: false,
            rbac: if made_roles {
                DeleteRoles::Detect
            } else {
                DeleteRoles::Disable
            },
            dry_run: false,
            tolerant: true,
        }
    }
}
