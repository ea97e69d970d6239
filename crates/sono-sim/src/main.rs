//! The program `sono-sim`; see the library.

use std::process::ExitCode;

#[expect(clippy::print_stderr, reason = "prints errors as one line, without a backtrace")]
fn main() -> ExitCode {
    sono_sim::program(std::env::args_os()).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
