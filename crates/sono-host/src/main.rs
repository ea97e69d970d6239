//! `/sono-systemd-logs` of the image of the built-in plugin systemd-logs.

use std::process::ExitCode;

fn main() -> ExitCode {
    sono_host::systemd_logs(std::env::args_os())
}
