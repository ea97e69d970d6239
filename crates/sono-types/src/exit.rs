//! Exit codes of the command line: the one place that documents them.

/// Done. Also when tests failed: scripts written for Sonobuoy rely on it.
pub const SUCCESS: u8 = 0;
/// Any error, including wrong usage; `status` of a run that failed.
pub const FAILURE: u8 = 1;
/// `retrieve` only: the archive could not be fetched for another reason than that it is not ready.
pub const RETRIEVE_FAILURE: u8 = 2;
/// Ended by Ctrl-C (128 + SIGINT).
pub const INTERRUPTED: u8 = 130;
