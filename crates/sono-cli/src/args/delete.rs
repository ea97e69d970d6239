//! `sono delete`.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{RunLocation, WaitOutput, WaitTime};

/// Time limit of the deletion by `run --rm`.
const DELETION_TIMEOUT: Duration = Duration::from_mins(10);

/// `sono delete`
#[derive(Debug, Args)]
pub struct Delete {
    #[command(flatten)]
    pub location: RunLocation,
    /// Wait until everything is deleted: a duration such as 30m, or a number of minutes [without TIME: 1h]
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "1h", conflicts_with = "dry_run")]
    pub wait: Option<WaitTime>,
    /// Output while waiting
    #[arg(long, value_enum, ignore_case = true, default_value_t = WaitOutput::Progress)]
    pub wait_output: WaitOutput,
    /// Also delete roles of all other runs, and namespaces left behind by e2e tests
    #[arg(long)]
    pub all: bool,
    /// Whether to delete cluster roles; detect deletes them only if permitted
    #[arg(long, value_enum, ignore_case = true, default_value_t = DeleteRoles::Detect)]
    pub rbac: DeleteRoles,
    /// Print what would be deleted, without deleting it
    #[arg(long)]
    pub dry_run: bool,
    /// Skip the wait if the account may not watch the deleted objects.
    #[arg(skip)]
    pub tolerant: bool,
}

/// Whether to delete cluster roles of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeleteRoles {
    /// Delete them; fail without permission.
    Enable,
    /// Do not delete them.
    Disable,
    /// Delete them if permitted.
    Detect,
}

impl Delete {
    /// Deletes one run and waits for it. `created_roles`: the run created cluster roles.
    pub(crate) fn of_run(location: RunLocation, created_roles: bool) -> Self {
        Self {
            location,
            wait: Some(WaitTime::new(DELETION_TIMEOUT)),
            wait_output: WaitOutput::Progress,
            all: false,
            rbac: if created_roles {
                DeleteRoles::Detect
            } else {
                DeleteRoles::Disable
            },
            dry_run: false,
            tolerant: true,
        }
    }
}
