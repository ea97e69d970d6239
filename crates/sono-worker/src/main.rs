//! The worker's program.

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    sono_worker::main_with_args(env::args_os())
}
