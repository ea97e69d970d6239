//! Exit codes of the command line.

/// Success, also if tests failed: scripts written for Sonobuoy depend on it.
pub const SUCCESS: u8 = 0;
/// Any error, including wrong usage; `status` of a run that failed.
pub const FAILURE: u8 = 1;
/// `retrieve` only: fetching the archive failed although it is ready.
pub const RETRIEVE_FAILURE: u8 = 2;
/// With `--exit-code`: something failed or ran out of time.
pub const RESULTS_FAILED: u8 = 3;
/// `redact verify` and `run --canaries`: a secret was found in the archive.
pub const SECRETS_FOUND: u8 = 3;
/// With `--exit-code`: nothing failed, but a result is missing, `unknown` or has a custom status.
pub const RESULTS_UNKNOWN: u8 = 4;
/// With `--exit-code`: the run ended without an archive, or its aggregator is not running.
pub const RUN_FAILED: u8 = 5;
/// With `--exit-code`: the time limit of waiting expired. The run continues; a local run is ended.
pub const TIMED_OUT: u8 = 6;
/// With `--exit-code`, `status` only: the run is not complete yet.
pub const NOT_COMPLETE: u8 = 7;
/// Ended by Ctrl-C (128 + SIGINT).
pub const INTERRUPTED: u8 = 130;
/// Ended by SIGTERM (128 + SIGTERM).
pub const TERMINATED: u8 = 143;
/// Ended because its terminal was closed (128 + SIGHUP).
pub const HUNG_UP: u8 = 129;
