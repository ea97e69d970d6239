//! `/sonobuoy` of the aggregator's image: `aggregator`, `worker`, `splat`, `query`, `host-check`.

use std::process::ExitCode;

fn main() -> ExitCode {
    sono_aggregator::program(std::env::args_os())
}
