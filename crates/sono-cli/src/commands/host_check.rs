//! `sono host-check`: what the built-in plugin of a local run starts.

use std::process::ExitCode;

use crate::args;

pub(crate) fn host_check(arguments: args::HostCheck) -> ExitCode {
    let args::HostCheck { arguments } = arguments;
    sono_host::command(arguments)
}
