//! `sono host-check`: the program of the built-in plugin host-check in a local run.

use std::process::ExitCode;

use crate::args;

pub(crate) fn host_check(arguments: args::HostCheck) -> ExitCode {
    let args::HostCheck { arguments } = arguments;
    sono_host::command(arguments)
}
