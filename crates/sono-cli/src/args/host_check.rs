//! `sono host-check`.

use std::ffi::OsString;

use clap::Args;

/// `sono host-check`
#[derive(Debug, Args)]
pub struct HostCheck {
    /// Arguments of the plugin.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<OsString>,
}
