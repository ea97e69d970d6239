//! See the library.

use std::process::ExitCode;

#[expect(
    clippy::print_stderr,
    reason = "an error that a person can fix is one line, not a backtrace"
)]
fn main() -> ExitCode {
    sono_sim::program(std::env::args_os()).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
