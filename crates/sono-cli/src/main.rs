use std::process::ExitCode;

fn main() -> ExitCode {
    sono_cli::main(std::env::args_os())
}
