//! See the library.

use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    sono_sim::program(std::env::args_os())
}
